//! Parses the URLs of servers, and redacts URLs for messages.

use std::fmt;

use reqwest::Url;

use crate::error::Error;

/// A URL as the user wrote it. It may contain credentials; `Debug` redacts them.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct RawUrl(String);

impl RawUrl {
    pub(crate) fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RawUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&redacted(&self.0), f)
    }
}

/// Parses the URL of a server. The scheme may be missing; it defaults to `http`.
///
/// # Errors
/// `is_config` if the text is not a URL, or has a part that is not supported.
pub(super) fn parse_base(text: &str) -> Result<Url, Error> {
    let refused = |what: &'static str| {
        Error::config(what)
            .at("url", format_args!("{:?}", redacted(text)))
            .remedy("write it as http://host:9091 or https://host/prefix")
    };
    let trimmed = text.trim();
    let (scheme, rest) = trimmed.split_once("://").unwrap_or(("http", trimmed));
    // `Url::parse` reads a mistyped scheme as a host, as browsers do.
    match rest.split(['/', '\\']).next().unwrap_or_default() {
        "" => return Err(refused("invalid URL: it has no host")),
        host if host.ends_with(':') => {
            return Err(refused(
                "invalid URL: the port after the colon or the slashes after the scheme are missing",
            ));
        }
        _ => {}
    }
    let url = Url::parse(&format!("{scheme}://{rest}"))
        .map_err(|error| refused("invalid URL").caused_by(error))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refused("invalid URL: the scheme is neither http nor https"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refused("invalid URL: a query or fragment is not supported"));
    }
    if url.path().contains("/metrics/job/") {
        return Err(refused("invalid URL: it contains a grouping key, which every push appends"));
    }
    Ok(url)
}

/// Removes the text between the scheme and the last `@`, which may contain a user name and a password.
pub(super) fn redacted(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((before, host)) => {
            let scheme = before.split_once("://").map_or("", |(scheme, _)| scheme);
            if scheme.is_empty() { format!("…@{host}") } else { format!("{scheme}://…@{host}") }
        }
        None => url.to_owned(),
    }
}

/// Removes the credentials and the query from the target of a redirect. A query may contain a session.
pub(super) fn redacted_target(location: &str) -> String {
    let path = location.split(['?', '#']).next().unwrap_or_default();
    redacted(path)
}

/// Returns true if the URL's host is `localhost` or a loopback address.
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
    fn url_with_unsupported_parts_is_rejected() {
        for url in [
            "http://host/?a=b",
            "http://host/#x",
            "ftp://host",
            "http://",
            "http://ho st",
            "http://h/metrics/job/x",
        ] {
            let error = parse_base(url).unwrap_err();
            assert!(error.is_config() && error.to_string().contains("http://host:9091"), "{error}");
        }
    }

    #[test]
    fn mistyped_scheme_is_not_a_host() {
        for url in ["htp:/x", "http:/x", "htp://x", "ftp://x", "http:///x", "http:\\\\x", "//x"] {
            let error = parse_base(url).map_err(|error| error.to_string());
            let message = error.expect_err(url);
            assert!(message.contains(url.trim_end_matches("\\\\x")), "{message}");
            assert!(message.contains("write it as http://host:9091"), "{message}");
        }
    }

    #[test]
    fn scheme_defaults_to_http() {
        for (text, url) in [
            ("localhost:9091", "http://localhost:9091/"),
            ("gateway:9091/path", "http://gateway:9091/path"),
            ("gateway", "http://gateway/"),
            ("[::1]:9091", "http://[::1]:9091/"),
            ("user:word@gateway:9091", "http://user:word@gateway:9091/"),
        ] {
            assert_eq!(parse_base(text).unwrap().as_str(), url);
        }
    }

    #[test]
    fn loopback_addresses_are_recognized() {
        for (url, is_local) in [
            ("http://localhost:1", true),
            ("http://127.0.0.9:1", true),
            ("http://[::1]:1", true),
            ("http://gateway:1", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(is_loopback(&parse_base(url).unwrap()), is_local, "{url}");
        }
    }
}
