//! `ProxySettings`: the proxy variables, and the [`Proxy`] that requests to one server use.
//!
//! The client's own reader of these variables ignores ports, wildcards and IPv6 brackets in `NO_PROXY`. This one accepts
//! every form that curl or Go's `httpproxy` documents.

use std::net::IpAddr;

use reqwest::Url;

use super::url::{RawUrl, is_loopback};
use crate::error::Error;

/// The proxy variables of the environment. The default connects directly.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProxySettings {
    http: Option<ProxyVariable>,
    https: Option<ProxyVariable>,
    no_proxy: NoProxy,
}

/// A proxy and the variable that sets it.
#[derive(Clone, Debug)]
pub(super) struct Proxy {
    pub(super) url: Url,
    pub(super) variable: String,
}

/// A variable and the URL in it.
#[derive(Clone, Debug)]
struct ProxyVariable {
    name: String,
    url: RawUrl,
}

impl ProxySettings {
    /// Reads the variables. `HTTP_PROXY` applies to `http` URLs, `HTTPS_PROXY` to `https` URLs and `ALL_PROXY` to those
    /// without a variable of their scheme. For each variable, the name in upper case takes precedence.
    pub(crate) fn from_variables(value_of: impl Fn(&str) -> Option<String>) -> Self {
        let value_of = |name: &str| value_of(name).filter(|value| !value.trim().is_empty());
        let variable = |name: &str| {
            // A web server passes the header `Proxy` of a request to a CGI program in `HTTP_PROXY`.
            let is_header = name == "HTTP_PROXY" && value_of("REQUEST_METHOD").is_some();
            let names = [name.to_owned(), name.to_lowercase()].into_iter();
            names.skip(usize::from(is_header)).find_map(|name| {
                let url = RawUrl::new(value_of(&name)?);
                Some(ProxyVariable { name, url })
            })
        };
        let no_proxy = value_of("NO_PROXY").or_else(|| value_of("no_proxy"));
        Self {
            http: variable("HTTP_PROXY").or_else(|| variable("ALL_PROXY")),
            https: variable("HTTPS_PROXY").or_else(|| variable("ALL_PROXY")),
            no_proxy: NoProxy::parse(&no_proxy.unwrap_or_default()),
        }
    }

    /// Returns the proxy for requests to `base`; `None` for a direct connection. Servers on this machine never use a
    /// proxy.
    ///
    /// # Errors
    /// `is_config` if the variable does not contain the URL of an HTTP proxy.
    pub(super) fn proxy_for(&self, base: &Url) -> Result<Option<Proxy>, Error> {
        let variable = if base.scheme() == "https" { &self.https } else { &self.http };
        match variable {
            Some(variable) if !is_loopback(base) && !self.no_proxy.contains(base) => {
                variable.parse().map(Some)
            }
            _ => Ok(None),
        }
    }
}

impl ProxyVariable {
    fn parse(&self) -> Result<Proxy, Error> {
        let refused = |cause: &str| {
            Error::config(format!("invalid proxy {:?}: {cause}", self.url.redacted()))
                .at("variable", &self.name)
                .remedy(
                    "set the URL of an HTTP proxy, such as http://proxy:3128, or add the gateway to NO_PROXY",
                )
        };
        let text = self.url.as_str().trim();
        let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        let url = match scheme.as_deref() {
            None => format!("http://{text}"),
            Some("http" | "https") => text.to_owned(),
            Some(scheme) => {
                return Err(refused(&format!("the scheme {scheme} is not supported")));
            }
        };
        let url = Url::parse(&url).map_err(|error| refused(&error.to_string()))?;
        Ok(Proxy { url, variable: self.name.clone() })
    }
}

/// The hosts to which requests are sent without a proxy.
#[derive(Clone, Debug, Default)]
struct NoProxy(Vec<DirectHosts>);

/// One entry of `NO_PROXY`.
#[derive(Clone, Debug, PartialEq)]
enum DirectHosts {
    All,
    Network {
        address: IpAddr,
        prefix: u32,
    },
    Address {
        address: IpAddr,
        port: Option<u16>,
    },
    /// The hosts whose name ends with a dot and `domain`.
    Subdomains {
        domain: String,
        port: Option<u16>,
    },
    /// `domain` and its subdomains.
    Domain {
        domain: String,
        port: Option<u16>,
    },
}

impl NoProxy {
    /// Commas or blanks separate the entries. An entry in another form matches no host.
    fn parse(list: &str) -> Self {
        let entries = list.split([',', ' ', '\t']).filter(|entry| !entry.is_empty());
        Self(entries.filter_map(DirectHosts::parse).collect())
    }

    fn contains(&self, base: &Url) -> bool {
        let host = base.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let host = host.trim_end_matches('.');
        let port = base.port_or_known_default();
        self.0.iter().any(|hosts| hosts.contains(host, port))
    }
}

impl DirectHosts {
    fn parse(entry: &str) -> Option<Self> {
        if entry == "*" {
            return Some(Self::All);
        }
        if let Some((address, prefix)) = entry.split_once('/') {
            let (address, prefix) = (parse_address(address)?, prefix.parse().ok()?);
            let max_prefix = if address.is_ipv4() { 32 } else { 128 };
            return (prefix <= max_prefix).then_some(Self::Network { address, prefix });
        }
        let (host, port) = split_port(entry)?;
        if let Some(address) = parse_address(host) {
            return Some(Self::Address { address, port });
        }
        let host = host.trim_end_matches('.');
        if let Some(domain) = host.strip_prefix("*.") {
            return Some(Self::Subdomains { domain: normalized(domain)?, port });
        }
        let domain = normalized(host.strip_prefix('.').unwrap_or(host))?;
        Some(Self::Domain { domain, port })
    }

    fn contains(&self, host: &str, host_port: Option<u16>) -> bool {
        let is_port = |port: Option<u16>| port.is_none() || port == host_port;
        let is_below =
            |domain: &str| host.strip_suffix(domain).is_some_and(|before| before.ends_with('.'));
        match self {
            Self::All => true,
            Self::Network { address, prefix } => {
                parse_address(host).is_some_and(|host| has_prefix(host, *address, *prefix))
            }
            Self::Address { address, port } => {
                parse_address(host) == Some(*address) && is_port(*port)
            }
            Self::Subdomains { domain, port } => is_below(domain) && is_port(*port),
            Self::Domain { domain, port } => (host == domain || is_below(domain)) && is_port(*port),
        }
    }
}

/// Splits `host:port`. An IPv6 address with a port is in brackets.
fn split_port(entry: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match entry.rsplit_once(':') {
        Some(_) if entry.ends_with(']') || parse_address(entry).is_some() => (entry, None),
        Some((host, port)) => (host, Some(port.parse().ok()?)),
        None => (entry, None),
    };
    Some((host, port))
}

/// Parses an address, which may be in brackets. An IPv4 address that is mapped to IPv6 is an IPv4 address.
fn parse_address(text: &str) -> Option<IpAddr> {
    let inside = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    inside.unwrap_or(text).parse().ok().map(|address: IpAddr| address.to_canonical())
}

/// Returns a host name in the form in which URLs contain it: in lower case, and beyond ASCII in Punycode.
fn normalized(host: &str) -> Option<String> {
    Url::parse(&format!("http://{host}/")).ok()?.host_str().map(str::to_owned)
}

/// Returns true if the first `prefix` bits of both addresses are equal.
fn has_prefix(address: IpAddr, network: IpAddr, prefix: u32) -> bool {
    let (different, bits) = match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            (u128::from(address.to_bits() ^ network.to_bits()), 32)
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => (address.to_bits() ^ network.to_bits(), 128),
        _ => return false,
    };
    different.checked_shr(bits - prefix).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> ProxySettings {
        ProxySettings::from_variables(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn proxy(variables: &[(&str, &str)], url: &str) -> Result<Option<String>, String> {
        let proxy = settings(variables).proxy_for(&Url::parse(url).unwrap());
        proxy.map(|proxy| proxy.map(|proxy| proxy.url.into())).map_err(|error| error.to_string())
    }

    #[test]
    fn no_proxy_has_the_forms_of_curl_and_go() {
        for (no_proxy, host, is_direct) in [
            ("", "gateway", false),
            ("*", "gateway", true),
            ("*", "192.0.2.1", true),
            (" * ", "gateway", true),
            ("other,*", "gateway", true),
            ("gateway", "gateway", true),
            ("GateWay", "GATEWAY", true),
            ("gateway", "gateway.example", false),
            ("gateway", "mygateway", false),
            ("example.com", "gateway.example.com", true),
            ("example.com", "example.com", true),
            ("example.com", "badexample.com", false),
            ("example.com", "example.com.evil", false),
            (".example.com", "gateway.example.com", true),
            (".example.com", "badexample.com", false),
            ("*.internal", "gateway.internal", true),
            ("*.internal", "a.b.internal", true),
            ("*.internal", "internal", false),
            ("*.internal", "gateway.internal.evil", false),
            ("*.INTERNAL.", "gateway.internal.", true),
            ("*.internal:9091", "gateway.internal:9091", true),
            ("*.internal:9091", "gateway.internal:9092", false),
            // A star inside a name is not a pattern.
            ("gate*", "gateway", false),
            ("gateway:9091", "gateway:9091", true),
            ("gateway:9091", "gateway:9092", false),
            ("gateway:80", "gateway", true),
            (".example.com:9091", "gateway.example.com:9091", true),
            ("gateway:port", "gateway", false),
            (":9091", "gateway:9091", false),
            ("gateway.", "gateway", true),
            ("gateway", "gateway.", true),
            ("gateway.:9091", "gateway:9091", true),
            ("other , gateway", "gateway", true),
            ("other gateway", "gateway", true),
            ("other\tgateway", "gateway", true),
            (",,gateway,", "gateway", true),
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.10", false),
            ("192.0.2.1:9091", "192.0.2.1:9091", true),
            ("192.0.2.1:9091", "192.0.2.1:80", false),
            ("192.0.2.0/24", "192.0.2.7", true),
            ("192.0.2.0/24", "192.0.3.7", false),
            ("192.0.2.7/24", "192.0.2.9", true),
            ("0.0.0.0/0", "192.0.3.7", true),
            ("192.0.2.1/32", "192.0.2.1", true),
            ("192.0.2.0/33", "192.0.2.0", false),
            ("192.0.2.0/24", "gateway", false),
            ("192.0.2", "192.0.2.7", false),
            ("2001:db8::1", "[2001:db8::1]", true),
            ("2001:DB8:0::1", "[2001:db8::1]", true),
            ("[2001:db8::1]", "[2001:db8::1]", true),
            ("[2001:db8::1]", "[2001:db8::1]:9091", true),
            ("[2001:db8::1]:9091", "[2001:db8::1]:9091", true),
            ("[2001:db8::1]:9091", "[2001:db8::1]:9092", false),
            ("[2001:db8::1]", "[2001:db8::2]", false),
            ("2001:db8::/32", "[2001:db8:1::2]", true),
            ("2001:db8::/32", "[2001:db9::2]", false),
            ("[2001:db8::]/32", "[2001:db8:1::2]", true),
            ("::/0", "[2001:db9::2]", true),
            ("::/0", "192.0.2.1", false),
            ("::ffff:192.0.2.1", "192.0.2.1", true),
            ("münchen.example", "xn--mnchen-3ya.example", true),
            ("localhost", "gateway", false),
        ] {
            let variables = [("HTTP_PROXY", "http://proxy:3128"), ("NO_PROXY", no_proxy)];
            let found = proxy(&variables, &format!("http://{host}")).unwrap();
            assert_eq!(found.is_none(), is_direct, "NO_PROXY={no_proxy:?}, host {host}");
        }
    }

    #[test]
    fn loopback_server_is_always_direct() {
        for host in ["localhost", "localhost.", "LOCALHOST:9091", "127.0.0.1", "127.9.9.9", "[::1]"]
        {
            let url = format!("http://{host}");
            assert_eq!(proxy(&[("ALL_PROXY", "http://proxy")], &url), Ok(None), "{host}");
        }
    }

    #[test]
    fn variable_of_the_scheme_precedes_all_proxy() {
        let variables = [
            ("HTTP_PROXY", "http://upper"),
            ("http_proxy", "http://lower"),
            ("https_proxy", "http://secure"),
            ("ALL_PROXY", "all"),
        ];
        for (skipped, url, expected) in [
            (0, "http://gateway", Some("http://upper/")),
            (1, "http://gateway", Some("http://lower/")),
            (2, "http://gateway", Some("http://all/")),
            (2, "https://gateway", Some("http://secure/")),
            (3, "https://gateway", Some("http://all/")),
            (4, "https://gateway", None),
        ] {
            let found = proxy(&variables[skipped..], url).unwrap();
            assert_eq!(found.as_deref(), expected, "{skipped} {url}");
        }
        let https_only = [("HTTPS_PROXY", "http://secure")];
        assert_eq!(proxy(&https_only, "http://gateway"), Ok(None));
        let empty = [("HTTP_PROXY", " "), ("http_proxy", "http://lower")];
        assert_eq!(proxy(&empty, "http://gateway").unwrap().unwrap(), "http://lower/");
    }

    #[test]
    fn cgi_program_ignores_the_variable_that_a_header_sets() {
        let variables = [("REQUEST_METHOD", "GET"), ("HTTP_PROXY", "http://attacker")];
        assert_eq!(proxy(&variables, "http://gateway"), Ok(None));
    }

    #[test]
    fn unusable_proxy_is_an_error_that_names_the_variable() {
        for (name, value, cause) in [
            ("ALL_PROXY", "socks5://user:hunter2@proxy:1080", "the scheme socks5 is not supported"),
            ("all_proxy", "SOCKS5h://proxy:1080", "the scheme socks5h is not supported"),
            ("HTTP_PROXY", "socks4://proxy", "the scheme socks4 is not supported"),
            ("http_proxy", "ftp://proxy", "the scheme ftp is not supported"),
            ("HTTP_PROXY", "http://", "empty host"),
            ("HTTP_PROXY", "proxy:port", "invalid port number"),
            ("HTTP_PROXY", "http://user:hunter2@pro xy", "invalid international domain name"),
            ("HTTP_PROXY", "http://user:hunter2", "invalid port number"),
            ("http_proxy", "user:hunter2/", "invalid port number"),
        ] {
            let error = proxy(&[(name, value)], "http://gateway").unwrap_err();
            assert!(error.contains(cause), "{error}");
            assert!(error.contains(&format!("(variable: {name}); set the URL")), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
            assert_eq!(
                proxy(&[(name, value), ("NO_PROXY", "gateway")], "http://gateway"),
                Ok(None)
            );
        }
    }
}
