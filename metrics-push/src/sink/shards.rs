//! `Shards`: the Pushgateways of a ring. Each stores a part of the groups.

use std::sync::Arc;

use super::pushgateway::Pushgateway;
use super::ring::{Ring, SCHEME_PREFIX, SEPARATOR};
use super::target::Target;
use crate::error::Error;
use crate::http::RawUrl;
use crate::labels::GroupingKey;

#[derive(Debug)]
pub(crate) struct Shards {
    ring: Ring,
    /// In the order of the ring.
    gateways: Vec<Arc<Pushgateway>>,
    targets: Vec<Target>,
}

impl Shards {
    /// Returns the shards of a target whose scheme is that of a ring.
    ///
    /// # Errors
    /// `is_config` if a URL, a header or a TLS setting is invalid.
    pub(crate) fn open(target: &Target) -> Result<Arc<Self>, Error> {
        let (scheme, list) = split(target.url.as_str());
        let urls = list.split(SEPARATOR).map(str::trim).filter(|url| !url.is_empty());
        let shards = urls.map(|url| {
            let url = url.strip_prefix(&format!("{scheme}://")).unwrap_or(url);
            let target = at_url(target, format!("{scheme}://{url}"));
            Ok((Arc::new(Pushgateway::connect(&target)?), target))
        });
        let mut shards = shards.collect::<Result<Vec<_>, Error>>()?;
        shards.sort_unstable_by(|(a, _), (b, _)| a.url().cmp(b.url()));
        let (gateways, targets): (Vec<_>, Vec<_>) = shards.into_iter().unzip();
        let urls = gateways.iter().map(|gateway| gateway.url().to_owned()).collect();
        Ok(Arc::new(Self { ring: Ring::new(&scheme, urls)?, gateways, targets }))
    }

    pub(crate) fn ring(&self) -> &Ring {
        &self.ring
    }

    pub(crate) fn gateways(&self) -> &[Arc<Pushgateway>] {
        &self.gateways
    }

    /// Returns the target of each shard.
    pub(crate) fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// Returns the gateway that stores the group.
    pub(crate) fn owner(&self, key: &GroupingKey) -> &Arc<Pushgateway> {
        &self.gateways[self.ring.owner(key)]
    }

    /// Returns the gateway with this URL, which may be that of a shard that was removed from the ring. Such a URL comes from
    /// the state directory and not from the configuration, so its requests have no credentials.
    ///
    /// # Errors
    /// `is_config` if the URL is invalid.
    pub(crate) fn gateway_at(&self, url: &str) -> Result<Arc<Pushgateway>, Error> {
        match self.gateways.iter().find(|gateway| gateway.url() == url) {
            Some(gateway) => Ok(Arc::clone(gateway)),
            None => {
                // A ring has at least one shard.
                let mut target = at_url(&self.targets[0], url.to_owned());
                target.transport = target.transport.without_credentials();
                Pushgateway::connect(&target).map(Arc::new)
            }
        }
    }
}

/// Returns the scheme of the shards in lowercase, and the list of their URLs.
fn split(url: &str) -> (String, &str) {
    let (scheme, list) = url.trim().split_once("://").unwrap_or_default();
    let scheme = scheme.to_ascii_lowercase();
    (scheme.strip_prefix(SCHEME_PREFIX).unwrap_or(&scheme).to_owned(), list)
}

fn at_url(target: &Target, url: String) -> Target {
    Target { url: RawUrl::new(url), ..target.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(url: &str) -> Result<String, Error> {
        let shards = Shards::open(&Target::with_defaults(RawUrl::new(url)))?;
        Ok(shards.ring().to_string())
    }

    #[test]
    fn spelling_of_a_url_does_not_change_the_ring() {
        for url in [
            "shards+http://a:9091;b/prefix",
            " Shards+HTTP://b/prefix/; A:9091 ;",
            "shards+http://user:hunter2@a:9091;http://b:80/prefix",
        ] {
            assert_eq!(name(url).unwrap(), "shards+http://a:9091;b/prefix", "{url}");
        }
    }

    #[test]
    fn mistake_in_the_url_of_a_shard_is_an_error() {
        for (url, cause) in [
            ("shards+http://", "it has no shard"),
            ("shards+http://a;a:80", "a shard twice"),
            ("shards+http://a;b/metrics", "leave out /metrics"),
            ("shards+http://a;https://b", "invalid URL"),
            ("shards+https://a;u:hunter2@b c", "it contains ' '"),
        ] {
            let error = name(url).expect_err(url).to_string();
            assert!(error.contains(cause) && !error.contains("hunter2"), "{url}: {error}");
        }
    }
}
