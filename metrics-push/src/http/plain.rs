//! What `tls.rs` is when its feature is off: `https` is refused, with the way to have it.

use reqwest::{ClientBuilder, Url};

use super::Transport;
use crate::error::Error;

pub(super) fn check(base: &Url, transport: &Transport) -> Result<(), Error> {
    let files = [&transport.ca_file, &transport.cert_file, &transport.key_file];
    let wants_tls = transport.server_name.is_some() || files.iter().any(|file| file.is_some());
    if base.scheme() != "https" && !wants_tls {
        return Ok(());
    }
    Err(Error::config("this build has no TLS")
        .at("url", base.as_str())
        .remedy("enable the feature \"tls\" of metrics-push, or use a plain http:// gateway"))
}

#[expect(clippy::unnecessary_wraps, reason = "the form of its counterpart with TLS")]
pub(super) fn configure(
    builder: ClientBuilder,
    _base: &Url,
    _transport: &Transport,
) -> Result<ClientBuilder, Error> {
    Ok(builder)
}

pub(super) fn failure(_error: &reqwest::Error) -> Option<Error> {
    None
}
