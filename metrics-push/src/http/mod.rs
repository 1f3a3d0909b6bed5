//! The HTTP client: sends one request and returns one [`Response`]. Sinks decide what a status means.
//!
//! This is the only folder that imports `reqwest`. The client does not follow redirects, limits the size of response
//! bodies and applies a timeout to every request. Errors and `Debug` output never contain secrets.

mod client_error;
mod config_file;
mod credentials;
mod dns;
mod endpoint;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod headers;
mod late_responses;
mod proxy;
mod redaction;
mod request;
mod response;
mod retry_after;
mod retry_table;
mod server;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "tls_disabled.rs"]
mod tls;
mod tracked_body;
mod transport;
mod url;

pub(crate) use config_file::ConfigFile;
pub(crate) use credentials::{Auth, Secret, SecretSource};
pub(crate) use endpoint::EndpointRules;
pub(crate) use headers::check_headers;
pub(crate) use proxy::ProxySettings;
pub(crate) use request::{MAX_LISTING_SIZE, MAX_RESPONSE_SIZE, Request};
pub(crate) use reqwest::Method;
pub(crate) use response::Response;
pub(crate) use retry_table::retry_policy;
pub(crate) use server::Server;
pub(crate) use tls::check_server_name;
pub(crate) use tracked_body::RequestBody;
pub(crate) use transport::Transport;
pub(crate) use url::RawUrl;
