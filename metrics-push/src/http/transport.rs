//! `Transport`: the settings of a connection, except its URL.

use std::path::PathBuf;

use super::credentials::{Auth, Secret};
use super::proxy::Proxy;

#[derive(Clone, Debug, Default)]
pub(crate) struct Transport {
    pub(crate) auth: Auth,
    pub(crate) headers: Vec<(String, Secret)>,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) cert_file: Option<PathBuf>,
    pub(crate) key_file: Option<PathBuf>,
    /// The name that the server's certificate must have. Default: the host of the URL.
    pub(crate) server_name: Option<String>,
    pub(crate) proxy: Proxy,
}
