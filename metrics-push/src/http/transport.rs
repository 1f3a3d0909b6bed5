//! `Transport`: the settings of a connection, except its URL.

use super::config_file::ConfigFile;
use super::credentials::{Auth, Secret};
use super::proxy::ProxySettings;

#[derive(Clone, Debug, Default)]
pub(crate) struct Transport {
    pub(crate) auth: Auth,
    pub(crate) headers: Vec<(String, Secret)>,
    pub(crate) ca_file: Option<ConfigFile>,
    pub(crate) cert_file: Option<ConfigFile>,
    pub(crate) key_file: Option<ConfigFile>,
    /// The name that the server's certificate must have. Default: the host of the URL.
    pub(crate) server_name: Option<String>,
    pub(crate) proxy: ProxySettings,
}

impl Transport {
    /// Returns the same settings without credentials, headers, which may contain some, and the client certificate.
    pub(crate) fn without_credentials(&self) -> Self {
        Self {
            auth: Auth::None,
            headers: Vec::new(),
            cert_file: None,
            key_file: None,
            ..self.clone()
        }
    }
}
