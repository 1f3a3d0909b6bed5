//! Parses the URLs of servers, and redacts URLs for messages.

use std::borrow::Cow;
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

    /// Returns the URL without credentials.
    pub(crate) fn redacted(&self) -> String {
        redacted(&self.0)
    }

    /// Returns true if the URL contains a user name or a password.
    pub(crate) fn has_credentials(&self) -> bool {
        self.0.contains('@')
    }
}

impl fmt::Debug for RawUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.redacted(), f)
    }
}

/// Parses the base URL of a server. The scheme may be missing; it defaults to `http`.
///
/// # Errors
/// `is_config` if the text is not a URL, or has a part that is not supported.
pub(super) fn parse_base(text: &str) -> Result<Url, Error> {
    let refused = |what: Cow<'static, str>| {
        invalid(what, text).remedy("write it as http://host:9091 or https://host/prefix")
    };
    let trimmed = text.trim();
    let (scheme, rest) = trimmed.split_once("://").unwrap_or(("http", trimmed));
    let url = parse(scheme, rest, refused)?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refused("invalid URL: a query or fragment is not supported".into()));
    }
    if url.path().starts_with("//") {
        return Err(refused("invalid URL: the path starts with two slashes".into()));
    }
    match api_path(url.path()) {
        None => Ok(url),
        Some(path) => Err(refused(
            format!("invalid URL: every request appends a path such as {path:?}").into(),
        )
        .remedy(format!("leave out {path}: write it as http://host:9091 or https://host/prefix"))),
    }
}

/// The parameters of a query in which servers accept credentials. A query is part of the URL that messages contain.
const CREDENTIAL_PARAMETERS: [&str; 4] = ["u", "p", "token", "password"];

/// Parses the whole URL of an endpoint, whose scheme is `prefix` and that of HTTP. If it has no path, `default_path`
/// selects one by its query.
///
/// # Errors
/// `is_config` if the text is not such a URL, or its query contains credentials.
pub(super) fn parse_endpoint(
    text: &str,
    prefix: &str,
    default_path: fn(&str) -> &'static str,
) -> Result<Url, Error> {
    let refused = |what: Cow<'static, str>| {
        invalid(what, text).remedy(format!("write it as {prefix}http://host:port/path"))
    };
    let trimmed = text.trim();
    let (scheme, rest) = trimmed.split_once("://").unwrap_or_default();
    let scheme = scheme.get(prefix.len()..).unwrap_or_default();
    let mut url = parse(scheme, rest, refused)?;
    if url.fragment().is_some() {
        return Err(refused("invalid URL: a fragment is not supported".into()));
    }
    let credential = |(name, _): (Cow<'_, str>, _)| {
        CREDENTIAL_PARAMETERS.into_iter().find(|credential| name == *credential)
    };
    if let Some(name) = url.query_pairs().find_map(credential) {
        return Err(refused(
            format!("invalid URL: its query contains credentials in {name:?}").into(),
        )
        .remedy("set METRICS_PUSH_USERNAME and METRICS_PUSH_PASSWORD, or METRICS_PUSH_TOKEN"));
    }
    if url.path() == "/" {
        url.set_path(default_path(url.query().unwrap_or_default()));
    }
    Ok(url)
}

fn invalid(what: Cow<'static, str>, text: &str) -> Error {
    Error::config(what).at("url", format_args!("{:?}", redacted(text)))
}

fn parse(
    scheme: &str,
    rest: &str,
    refused: impl Fn(Cow<'static, str>) -> Error,
) -> Result<Url, Error> {
    check_syntax(scheme, rest).map_err(&refused)?;
    let url = Url::parse(&format!("{scheme}://{rest}"))
        .map_err(|error| refused("invalid URL".into()).caused_by(error))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refused("invalid URL: the scheme is neither http nor https".into()));
    }
    Ok(url)
}

/// Finds mistakes that `Url::parse` corrects or misreads, as browsers do.
fn check_syntax(scheme: &str, rest: &str) -> Result<(), Cow<'static, str>> {
    let authority_end = rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len());
    // The path of a push may contain a label such as `job@base64`.
    if rest[authority_end..].replace("@base64/", "").contains('@') {
        return Err(
            "invalid URL: percent-encode special characters in the user and password".into()
        );
    }
    let after_userinfo = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    // The message must not contain a character of a password.
    let is_word = |port: &str| port.starts_with(|first: char| !first.is_ascii_digit());
    if texts_after_colons(until_separator(after_userinfo)).any(is_word) {
        return Err("invalid URL: the host is missing, or the port is not a number".into());
    }
    let is_invalid =
        |c: char| c.is_whitespace() || c.is_control() || INVALID_CHARACTERS.contains(c);
    if let Some(character) =
        scheme.chars().chain(after_userinfo.chars()).find(|character| is_invalid(*character))
    {
        return Err(format!("invalid URL: it contains {character:?}").into());
    }
    match &rest[..authority_end] {
        "" => Err("invalid URL: it has no host".into()),
        // A mistyped scheme would be the host.
        host if host.ends_with(':') => {
            Err("invalid URL: the port after the colon or the slashes after the scheme are missing"
                .into())
        }
        _ => Ok(()),
    }
}

/// Characters that are not part of a base URL. `$` and braces belong to a variable that was not replaced.
const INVALID_CHARACTERS: &str = "\"'`<>\\^|{}$;,*";

/// Returns the part of a URL's path that belongs to the API of the gateway.
fn api_path(path: &str) -> Option<&str> {
    let path = path.trim_end_matches('/');
    let is_api = |after: &str| {
        let mut segments = after.split('/').skip(1);
        match (segments.next(), segments.next()) {
            (Some("metrics"), next) => matches!(next, None | Some("job" | "job@base64")),
            (Some("api"), Some("v1" | "v2")) | (Some("-"), Some("ready" | "healthy")) => true,
            _ => false,
        }
    };
    path.match_indices('/').map(|(start, _)| &path[start..]).find(|after| is_api(after))
}

/// Removes what may be secret from a URL that is not valid or that contains credentials: the text between the scheme and
/// the last `@`, and the text of a query or fragment. If the host is missing, the password follows a colon in place of the
/// port, so a URL with an invalid port is removed up to its scheme.
pub(super) fn redacted(url: &str) -> String {
    let url = without_userinfo(url);
    let (scheme, rest) = split_scheme(&url);
    if texts_after_colons(rest).any(is_invalid_port) {
        return if scheme.is_empty() { "…".to_owned() } else { format!("{scheme}://…") };
    }
    match url.find(['?', '#']) {
        Some(at) if at + 1 < url.len() => format!("{}…", &url[..=at]),
        _ => url,
    }
}

fn without_userinfo(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((before, host)) => {
            let (scheme, _) = split_scheme(before);
            if scheme.is_empty() { format!("…@{host}") } else { format!("{scheme}://…@{host}") }
        }
        None => url.to_owned(),
    }
}

/// Returns the scheme, which is empty if the URL has none, and the text after it.
fn split_scheme(url: &str) -> (&str, &str) {
    url.split_once("://").unwrap_or(("", url))
}

/// Returns the text between each colon and the next separator. The colons of an IPv6 address in brackets do not count.
fn texts_after_colons(text: &str) -> impl Iterator<Item = &str> {
    let after_address = text.strip_prefix('[').and_then(|text| text.split_once(']'));
    let text = after_address.map_or(text, |(_, after)| after);
    text.split(':').skip(1).map(until_separator)
}

fn until_separator(text: &str) -> &str {
    text.split(['/', '\\', '?', '#']).next().unwrap_or_default()
}

/// The port may be missing after a colon.
fn is_invalid_port(text: &str) -> bool {
    !text.is_empty() && text.parse::<u16>().is_err()
}

/// Removes the credentials and the query from the target of a redirect. A query may contain a session.
pub(super) fn redacted_target(location: &str) -> String {
    without_userinfo(location.split(['?', '#']).next().unwrap_or_default())
}

/// Returns true if the URL's host is `localhost` or a loopback address.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost" | "localhost.") => true,
        Some(host) => host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.to_canonical().is_loopback()),
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
    fn path_of_the_api_must_be_left_out() {
        for (url, path) in [
            ("http://gw:9091/metrics", "/metrics"),
            ("gw:9091/metrics/", "/metrics"),
            ("https://gw/prefix/metrics", "/metrics"),
            ("http://gw/metrics/job/x", "/metrics/job/x"),
            ("http://gw/prefix/metrics/job@base64/eA", "/metrics/job@base64/eA"),
            ("http://gw/metrics/job", "/metrics/job"),
            ("http://gw:9091/api/v1/metrics", "/api/v1/metrics"),
            ("http://gw:9091/api/v1", "/api/v1"),
            ("http://gw:9091/-/ready", "/-/ready"),
        ] {
            let error = parse_base(url).unwrap_err().to_string();
            assert!(error.contains(&format!("; leave out {path}: write it as ")), "{error}");
        }
        for url in
            ["http://gw/metrics-gateway", "http://gw/metrics/eu", "http://gw/api", "http://gw/-/gw"]
        {
            assert!(parse_base(url).is_ok(), "{url}");
        }
    }

    #[test]
    fn mistake_in_a_url_is_an_error_and_the_password_is_not_shown() {
        for (url, cause) in [
            ("http://gw:9091#", "a query or fragment"),
            ("http://gw:9091/#", "a query or fragment"),
            ("http://gw:9091?", "a query or fragment"),
            ("http://gw 9091", "it contains ' '"),
            ("http:// gw:9091", "it contains ' '"),
            ("http://gw:9091/a b", "it contains ' '"),
            ("http://gw:90\n91", r"it contains '\n'"),
            ("http://gw:9091\u{a0}/", "it contains '\\u{a0}'"),
            ("\"http://gw:9091", "it contains '\"'"),
            ("http://'gw':9091", "it contains '\\''"),
            ("http://<host>:9091", "it contains '<'"),
            ("http://$GATEWAY:9091", "it contains '$'"),
            ("http://{{ host }}:9091", "it contains '{'"),
            ("http://a:9091;http://b:9091", "it contains ';'"),
            ("http//gw:9091", "the path starts with two slashes"),
            ("http://http://gw:9091", "the slashes after the scheme are missing"),
            ("http://gw:9091\\metrics", "it contains '\\\\'"),
            ("http://gw:99999", "invalid URL"),
            ("http://gw:port", "invalid URL"),
            ("http://gw:9091?token=hunter2", "a query or fragment"),
            ("http://gw:9091/#hunter2", "a query or fragment"),
            ("http://user:hun/ter2@gw:9091", "percent-encode"),
            ("http://user:1/hunter2@gw:9091", "percent-encode"),
            ("http://user:hun#ter2@gw:9091", "percent-encode"),
            ("http://user:hun?ter2@gw:9091", "percent-encode"),
        ] {
            let error = format!("{:?}", parse_base(url).map(String::from).expect_err(url));
            assert!(error.contains(cause), "{url}: {error}");
            assert!(!error.contains("ter2") && error.contains("write it as"), "{url}: {error}");
        }
    }

    #[test]
    fn url_without_a_host_does_not_show_its_password() {
        for url in [
            "http://user:hunter2",
            "user:hunter2",
            "https://user:hunter2/prefix",
            "http://user:hunter2:9091",
            "http://user:hunter2?x",
            "http://user:hun;ter2",
            "http://user:hun/ter2",
            "http://user:9hunter2",
            "http://user:[hunter2",
            "http://user:;ter2",
            "http://user:hunter2 ",
            "http//user:hunter2",
            "http:/user:hunter2",
            "http:user:hunter2",
            "htp://user:hunter2",
            "http://[::1]:hunter2",
            "http://user:123456",
        ] {
            let error = format!("{:?}", parse_base(url).expect_err(url));
            for secret in ["user", "hun", "ter2", "123456", "';'"] {
                assert!(!error.contains(secret), "{url}: {error}");
            }
            assert!(error.contains("write it as http://host:9091"), "{url}: {error}");
        }
        for shown in ["http://gw:9091/x y", "http://[::1]:9091/x y", "http://gw:/x y", "gw:9091/ x"]
        {
            let error = parse_base(shown).unwrap_err().to_string();
            assert!(error.contains(shown), "{error}");
        }
    }

    #[test]
    fn userinfo_may_contain_an_at_sign_and_other_characters() {
        for (url, password) in [
            ("http://user:p@ss@gw:9091", "p%40ss"),
            ("http://user:$ecret;{}@gw", "$ecret%3B%7B%7D"),
        ] {
            let url = parse_base(url).unwrap();
            assert_eq!((url.host_str(), url.password()), (Some("gw"), Some(password)));
        }
    }

    fn endpoint(text: &str) -> Result<String, Error> {
        let default_path = |query: &str| if query.is_empty() { "/write" } else { "/v2" };
        parse_endpoint(text, "influx+", default_path).map(String::from)
    }

    #[test]
    fn url_of_an_endpoint_keeps_its_path_and_query() {
        for (text, url) in [
            ("influx+http://tsdb:8086/a/b?db=x", "http://tsdb:8086/a/b?db=x"),
            ("influx+https://tsdb/", "https://tsdb/write"),
            (" influx+http://tsdb?bucket=b ", "http://tsdb/v2?bucket=b"),
        ] {
            assert_eq!(endpoint(text).unwrap(), url, "{text}");
        }
    }

    #[test]
    fn credentials_in_the_query_of_an_endpoint_are_an_error() {
        for name in ["u", "p", "token", "password"] {
            let error = endpoint(&format!("influx+http://tsdb/write?db=x&{name}=hunter2"));
            let error = error.unwrap_err().to_string();
            assert!(error.contains("credentials") && !error.contains("hunter2"), "{error}");
            assert!(error.contains("METRICS_PUSH_TOKEN"), "{error}");
        }
    }

    #[test]
    fn mistake_in_the_url_of_an_endpoint_is_an_error() {
        for (text, cause) in [
            ("influx+http://", "it has no host"),
            ("influx+http://tsdb/#x", "a fragment"),
            ("influx+http://ts db", "it contains ' '"),
            ("influx+ftp://tsdb", "neither http nor https"),
        ] {
            let error = endpoint(text).unwrap_err().to_string();
            assert!(error.contains(cause) && error.contains("influx+http://"), "{error}");
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
