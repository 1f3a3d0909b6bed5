//! `AllowedHosts`: the values of the header `Host` that the server accepts.
//!
//! A web site can point its own name to a loopback address and then read the responses with the visitor's browser (DNS
//! rebinding). Such a request has the name of the site in `Host`. An address cannot be rebound.

use std::net::IpAddr;

#[derive(Clone, Debug)]
pub(super) struct AllowedHosts {
    names: Vec<String>,
}

impl AllowedHosts {
    /// Allows these names beside `localhost`.
    pub(super) fn new(names: &[String]) -> Self {
        let names = names.iter().map(String::as_str).chain(["localhost"]);
        Self { names: names.map(str::to_lowercase).collect() }
    }

    /// Returns true for an allowed name, a loopback address, and the address that the client is connected to. The port
    /// can be that of a forwarder.
    pub(super) fn is_allowed(&self, host: &str, local: IpAddr) -> bool {
        let name = without_port(host);
        let address = name.trim_matches(['[', ']']).parse::<IpAddr>();
        match address {
            Ok(address) => address.is_loopback() || address == local.to_canonical(),
            Err(_) => {
                let name = name.trim_end_matches('.').to_lowercase();
                self.names.contains(&name)
            }
        }
    }
}

fn without_port(host: &str) -> &str {
    match host.find(']') {
        Some(end) => &host[..=end],
        None => host.split(':').next().unwrap_or(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_names_and_own_addresses_are_allowed() {
        let hosts = AllowedHosts::new(&["Batch.Example.org".to_owned()]);
        for (host, expected) in [
            ("localhost", true),
            ("LOCALHOST.:9092", true),
            ("127.0.0.1:9092", true),
            ("127.9.9.9", true),
            ("[::1]:8080", true),
            ("10.1.2.3:9092", true),
            ("batch.example.org:443", true),
            ("10.1.2.4", false),
            ("[::2]", false),
            ("attacker.example", false),
            ("localhost.attacker.example", false),
            ("127.0.0.1.attacker.example", false),
            ("127.0.0.1@attacker.example", false),
            ("example.org", false),
            ("[::1", false),
            ("", false),
        ] {
            let local = "10.1.2.3".parse().unwrap();
            assert_eq!(hosts.is_allowed(host, local), expected, "{host:?}");
        }
    }
}
