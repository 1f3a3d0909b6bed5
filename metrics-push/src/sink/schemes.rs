//! The table of schemes: the scheme of a URL selects the sink.

use std::fmt;
use std::sync::Arc;

use super::dry_run::DryRun;
use super::influx;
use super::interface::Sink;
use super::kafka;
use super::otlp;
use super::pushgateway::Pushgateway;
use super::remote_write;
use super::ring::SCHEME_PREFIX;
use super::shards::Shards;
use super::target::{Mode, Target};
use super::textfile::Textfile;
use crate::error::Error;
use crate::http::RawUrl;

/// Opens the sink of a target. Without I/O: it also checks the URL when the configuration is read.
#[derive(Clone, Copy)]
enum Open {
    Single(fn(&Target) -> Result<Arc<dyn Sink>, Error>),
    Sharded(fn(&Target) -> Result<Arc<Shards>, Error>),
}

use Open::{Sharded, Single};

/// What a URL refers to. `Display` writes the URL without credentials.
#[derive(Clone, Debug)]
pub(crate) enum Destination {
    Single(Arc<dyn Sink>),
    Sharded(Arc<Shards>),
}

/// The schemes in the order of the documentation.
static SCHEMES: &[(&str, Open)] = &[
    ("http", Single(Pushgateway::open)),
    ("https", Single(Pushgateway::open)),
    ("shards+http", Sharded(Shards::open)),
    ("shards+https", Sharded(Shards::open)),
    ("remote-write+http", Single(remote_write::open)),
    ("remote-write+https", Single(remote_write::open)),
    ("influx+http", Single(influx::open)),
    ("influx+https", Single(influx::open)),
    ("otlp+http", Single(otlp::open)),
    ("otlp+https", Single(otlp::open)),
    ("textfile", Single(Textfile::open)),
    ("kafka", Single(kafka::open)),
    ("kafka+tls", Single(kafka::open)),
];

/// The scheme of a URL without one.
const DEFAULT_SCHEME: &str = "http";

/// The ends of URLs that belong to other servers than a Pushgateway, and the start of the scheme for these.
const FOREIGN_PATHS: [(&str, &str); 6] = [
    ("/api/v1/write", "remote-write+"),
    ("/api/v1/push", "remote-write+"),
    ("/api/prom/push", "remote-write+"),
    ("/api/v1/receive", "remote-write+"),
    ("/v1/metrics", "otlp+"),
    ("/api/v2/write", "influx+"),
];

/// The path of the query API of a Pushgateway, which reports this mistake itself.
const QUERY_API_PATH: &str = "/api/v1/metrics";

/// Opens the destination of a target. In a dry run, its requests are logged instead of being sent.
///
/// # Errors
/// `is_config` if the scheme is unknown, or the sink rejects the URL or a setting of the transport.
pub(crate) fn open(target: &Target) -> Result<Destination, Error> {
    Ok(find(&target.url)?.open(target)?.in_mode(target.mode))
}

/// Returns true if the scheme of a URL is that of one or several Pushgateways.
pub(crate) fn is_pushgateway(url: &RawUrl) -> bool {
    is_single_pushgateway(url) || is_sharded(url)
}

/// Returns true if the scheme of a URL is that of a ring of Pushgateways.
pub(crate) fn is_sharded(url: &RawUrl) -> bool {
    scheme(url).is_some_and(|scheme| scheme.starts_with(SCHEME_PREFIX))
}

/// Returns true if the scheme of a URL is that of a directory of the textfile collector.
pub(crate) fn is_textfile(url: &RawUrl) -> bool {
    scheme(url).is_some_and(|scheme| scheme == "textfile")
}

/// Returns true if the scheme is that of a Kafka topic.
pub(crate) fn is_kafka_scheme(scheme: &str) -> bool {
    ["kafka", "kafka+tls"].iter().any(|kafka| scheme.eq_ignore_ascii_case(kafka))
}

fn is_single_pushgateway(url: &RawUrl) -> bool {
    scheme(url).is_none_or(|scheme| matches!(&*scheme, "http" | "https"))
}

/// Returns a URL without credentials, as messages and the state directory contain it.
///
/// # Errors
/// `is_config` if the scheme is unknown, or the sink rejects the URL.
pub(crate) fn display_url(url: &RawUrl) -> Result<String, Error> {
    find(url)?.open(&Target::with_defaults(url.clone())).map(|it| it.to_string())
}

fn find(url: &RawUrl) -> Result<Open, Error> {
    check_path(url)?;
    let scheme = scheme(url).unwrap_or_else(|| DEFAULT_SCHEME.to_owned());
    let row = SCHEMES.iter().find(|(name, _)| *name == scheme);
    row.map(|(_, open)| *open).ok_or_else(|| {
        let names: Vec<_> = SCHEMES.iter().map(|(name, _)| *name).collect();
        let remedy = match scheme.strip_prefix("prometheus+") {
            Some(rest) => format!("write remote-write+{rest}"),
            None => format!("use one of {}", names.join(", ")),
        };
        Error::config(format!("unknown scheme {scheme:?}"))
            .at("url", format_args!("{url:?}"))
            .remedy(remedy)
    })
}

impl Open {
    fn open(self, target: &Target) -> Result<Destination, Error> {
        match self {
            Single(open) => open(target).map(Destination::Single),
            Sharded(open) => open(target).map(Destination::Sharded),
        }
    }
}

impl Destination {
    /// Returns the destination in this mode: in a dry run, requests are logged instead of being sent.
    pub(crate) fn in_mode(self, mode: Mode) -> Self {
        match mode {
            Mode::Live => self,
            Mode::DryRun => Self::Single(Arc::new(DryRun::new(self.to_string()))),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Single(sink) => sink.fmt(f),
            Self::Sharded(shards) => shards.ring().fmt(f),
        }
    }
}

/// Returns the scheme in lowercase; `None` if the text before `://` is not a scheme, so that the Pushgateway reports the
/// mistake in the URL.
fn scheme(url: &RawUrl) -> Option<String> {
    let (scheme, _) = url.as_str().trim().split_once("://")?;
    let is_scheme_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    let is_scheme = !scheme.is_empty() && scheme.chars().all(is_scheme_char);
    is_scheme.then(|| scheme.to_ascii_lowercase())
}

/// Checks that the URL of a Pushgateway does not end like that of another server.
///
/// # Errors
/// `is_config` with the scheme of that server.
fn check_path(url: &RawUrl) -> Result<(), Error> {
    let text = url.as_str().trim();
    let path = text.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    if !is_single_pushgateway(url) || path.ends_with(QUERY_API_PATH) {
        return Ok(());
    }
    let foreign = FOREIGN_PATHS.iter().find(|(end, _)| path.ends_with(end));
    let Some((end, prefix)) = foreign else { return Ok(()) };
    let scheme = scheme(url).unwrap_or_else(|| DEFAULT_SCHEME.to_owned());
    Err(Error::config(format!("invalid URL: a Pushgateway does not have the path {end:?}"))
        .at("url", format_args!("{url:?}"))
        .remedy(format!("write {prefix}{scheme}:// in front of the host")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(url: &str) -> Result<Destination, Error> {
        open(&Target::with_defaults(RawUrl::new(url)))
    }

    #[test]
    fn url_without_a_scheme_is_that_of_a_pushgateway() {
        for (url, name) in [
            ("gateway:9091", "http://gateway:9091"),
            ("HTTP://gateway/prefix/", "http://gateway/prefix"),
        ] {
            assert!(is_pushgateway(&RawUrl::new(url)));
            assert_eq!(opened(url).unwrap().to_string(), name);
        }
    }

    #[test]
    fn unknown_scheme_error_lists_the_schemes() {
        let error = opened("ftp://user:hunter2@gateway").unwrap_err().to_string();
        assert!(
            error.starts_with("unknown scheme \"ftp\"") && error.contains("http, https"),
            "{error}"
        );
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn prometheus_scheme_error_names_the_scheme_of_remote_write() {
        let error = opened("prometheus+https://host/api/v1/write").unwrap_err().to_string();
        assert!(error.ends_with("; write remote-write+https"), "{error}");
    }

    #[test]
    fn url_that_ends_like_that_of_another_server_is_an_error() {
        for (url, remedy) in [
            ("http://host:9090/api/v1/write", "; write remote-write+http:// in front of the host"),
            ("host/api/v1/push/", "; write remote-write+http:// in front of the host"),
            (
                "https://u:p@host/api/prom/push",
                "; write remote-write+https:// in front of the host",
            ),
            (
                "https://host/api/v1/receive?x=1",
                "; write remote-write+https:// in front of the host",
            ),
            ("https://host/otlp/v1/metrics", "; write otlp+https:// in front of the host"),
            ("host/api/v2/write?bucket=b", "; write influx+http:// in front of the host"),
        ] {
            let error = opened(url).unwrap_err().to_string();
            assert!(error.ends_with(remedy), "{url}: {error}");
        }
    }

    #[test]
    fn mistake_before_the_host_is_reported_as_an_invalid_url() {
        for url in ["\"http://gateway", "$SCHEME://gateway"] {
            let error = opened(url).unwrap_err().to_string();
            assert!(error.starts_with("invalid URL"), "{error}");
        }
    }
}
