//! Replaces `tls.rs` in builds without the feature `tls`: rejects `https` and every TLS setting.

use reqwest::{ClientBuilder, Url};

use super::transport::Transport;
use crate::error::Error;

pub(super) fn check(base: &Url, transport: &Transport) -> Result<(), Error> {
    let files = [&transport.ca_file, &transport.cert_file, &transport.key_file];
    let needs_tls = transport.server_name.is_some() || files.iter().any(|file| file.is_some());
    if base.scheme() != "https" && !needs_tls {
        return Ok(());
    }
    Err(Error::config("TLS is not supported by this build")
        .at("url", base)
        .remedy("enable the feature \"tls\" of metrics-push, or use an http:// URL"))
}

#[expect(clippy::unnecessary_wraps, reason = "same signature as in tls.rs")]
pub(crate) fn check_server_name(_name: &str) -> Result<(), Error> {
    Ok(())
}

#[expect(clippy::unnecessary_wraps, reason = "same signature as in tls.rs")]
pub(super) fn configure(
    builder: ClientBuilder,
    _base: &Url,
    _transport: &Transport,
) -> Result<ClientBuilder, Error> {
    Ok(builder)
}

pub(super) fn handshake_failure(_error: &reqwest::Error, _transport: &Transport) -> Option<Error> {
    None
}
