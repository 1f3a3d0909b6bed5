//! Address: what is accepted as a gateway's URL, and how much of a URL a person may see.

use std::fmt;

use reqwest::Url;

use crate::error::Error;

/// A URL as it was given, which may hold credentials. They are not shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address(String);

impl Address {
    pub(crate) fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&without_userinfo(&self.0), f)
    }
}

pub(super) fn parse_base(address: &str) -> Result<Url, Error> {
    let refused = |what: &'static str| {
        Error::config(what)
            .at("url", format_args!("{:?}", without_userinfo(address)))
            .remedy("write it as http://host:9091 or https://host/prefix")
    };
    let address = address.trim();
    let (scheme, rest) = address.split_once("://").unwrap_or(("http", address));
    // What a browser makes of a mistyped URL is another host.
    match rest.split(['/', '\\']).next().unwrap_or_default() {
        "" => return Err(refused("the gateway's URL has no host")),
        host if host.ends_with(':') => {
            return Err(refused(
                "the gateway's URL has a colon with no port after it, or a scheme without its two slashes",
            ));
        }
        _ => {}
    }
    let url = Url::parse(&format!("{scheme}://{rest}"))
        .map_err(|error| refused("the gateway's URL can't be read").caused_by(error))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refused("the gateway's URL is neither http nor https"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refused("the gateway's URL has a query or a fragment, which would be lost"));
    }
    if url.path().contains("/metrics/job/") {
        return Err(refused("the gateway's URL names a group, which every push does itself"));
    }
    Ok(url)
}

/// The address up to its authority's `@` may hold a password.
pub(super) fn without_userinfo(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((before, host)) => {
            let scheme = before.split_once("://").map_or("", |(scheme, _)| scheme);
            if scheme.is_empty() { format!("…@{host}") } else { format!("{scheme}://…@{host}") }
        }
        None => address.to_owned(),
    }
}

/// Where a redirect leads, as a person may see it: a query may hold a session, and the rest what a URL may.
pub(super) fn shown_target(location: &str) -> String {
    let path = location.split(['?', '#']).next().unwrap_or_default();
    without_userinfo(path)
}

pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost") => true,
        Some(host) => host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback()),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_would_lose_something_is_refused() {
        for address in [
            "http://host/?a=b",
            "http://host/#x",
            "ftp://host",
            "http://",
            "http://ho st",
            "http://h/metrics/job/x",
        ] {
            let error = parse_base(address).unwrap_err();
            assert!(error.is_config() && error.to_string().contains("http://host:9091"), "{error}");
        }
    }

    #[test]
    fn a_mistyped_scheme_is_no_host() {
        for address in ["htp:/x", "http:/x", "htp://x", "ftp://x", "http:///x", "http:\\\\x", "//x"]
        {
            let error = parse_base(address).map_err(|error| error.to_string());
            let said = error.expect_err(address);
            assert!(said.contains(address.trim_end_matches("\\\\x")), "{said}");
            assert!(said.contains("write it as http://host:9091"), "{said}");
        }
    }

    #[test]
    fn a_host_alone_is_enough() {
        for (address, read) in [
            ("localhost:9091", "http://localhost:9091/"),
            ("gateway:9091/path", "http://gateway:9091/path"),
            ("gateway", "http://gateway/"),
            ("[::1]:9091", "http://[::1]:9091/"),
            ("user:word@gateway:9091", "http://user:word@gateway:9091/"),
        ] {
            assert_eq!(parse_base(address).unwrap().as_str(), read);
        }
    }

    #[test]
    fn the_machine_itself_is_recognized() {
        for (address, local) in [
            ("http://localhost:1", true),
            ("http://127.0.0.9:1", true),
            ("http://[::1]:1", true),
            ("http://gateway:1", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(is_loopback(&parse_base(address).unwrap()), local, "{address}");
        }
    }
}
