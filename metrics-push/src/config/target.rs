//! `Target`: the part of a configuration that applies to one gateway.

use std::time::Duration;

use super::Config;
use super::variables::proxy;
use crate::error::Error;
use crate::http::{Auth, RawUrl, Secret, SecretSource, Transport};
use crate::sink::GatewayKind;
use crate::sink::pushgateway::Encoding;

/// How to push to one gateway.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) url: RawUrl,
    pub(crate) transport: Transport,
    pub(crate) timeout: Duration,
    pub(crate) kind: GatewayKind,
    pub(crate) encoding: Encoding,
    pub(crate) mode: Mode,
}

/// Whether requests that change a gateway are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Live,
    /// Requests are written to stderr and not sent.
    DryRun,
}

impl Config {
    /// Returns the target of each URL; none if pushing is disabled.
    pub(crate) fn targets(&self) -> Result<Vec<Target>, Error> {
        if self.is_disabled || self.urls.is_empty() {
            return Ok(Vec::new());
        }
        let mode = if self.is_dry_run { Mode::DryRun } else { Mode::Live };
        let transport = self.transport()?;
        let target = |url: &RawUrl| Target {
            url: url.clone(),
            transport: transport.clone(),
            timeout: self.timeout,
            kind: self.kind,
            encoding: self.encoding,
            mode,
        };
        Ok(self.urls.iter().map(target).collect())
    }

    fn transport(&self) -> Result<Transport, Error> {
        let auth = match (&self.token, &self.username, &self.password) {
            (Some(token), _, _) => Auth::Bearer(token.clone()),
            (None, Some(user), password) => Auth::Basic {
                user: user.clone(),
                password: password.clone().unwrap_or(SecretSource::Value(Secret::new(""))),
            },
            (None, None, None) => Auth::None,
            (None, None, Some(_)) => {
                return Err(Error::config("the password has no user name")
                    .remedy("set METRICS_PUSH_USERNAME"));
            }
        };
        Ok(Transport {
            auth,
            headers: self.headers.clone(),
            ca_file: self.ca_file.clone(),
            cert_file: self.cert_file.clone(),
            key_file: self.key_file.clone(),
            server_name: self.server_name.clone(),
            proxy: proxy(),
        })
    }
}
