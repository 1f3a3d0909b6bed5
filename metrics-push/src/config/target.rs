//! `Target`: the part of a configuration that applies to one gateway.

use std::sync::Once;
use std::time::Duration;

use super::Config;
use super::variables::{PASSWORD, PASSWORD_FILE, TOKEN, TOKEN_FILE, proxy_settings};
use crate::error::Error;
use crate::http::{Auth, RawUrl, Secret, SecretSource, Transport};
use crate::log;
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

/// The URL that a dry run displays if none is set. The domain is reserved for invalid names.
const UNSET_URL: &str = "http://url-is-not-set.invalid";

impl Config {
    /// Returns the target of each URL; none if pushing is disabled. A dry run needs no URL.
    pub(crate) fn targets(&self) -> Result<Vec<Target>, Error> {
        let unset = [RawUrl::new(UNSET_URL)];
        let urls = if self.urls.is_empty() && self.is_dry_run { &unset[..] } else { &self.urls };
        if self.is_disabled || urls.is_empty() {
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
        Ok(urls.iter().map(target).collect())
    }

    fn transport(&self) -> Result<Transport, Error> {
        let token = self.token_file.as_ref().or(self.token.as_ref());
        let password = self.password_file.as_ref().or(self.password.as_ref());
        self.warn_about_unused_credentials();
        let auth = match (token, &self.username, password) {
            (Some(token), _, _) => Auth::Bearer(token.clone()),
            (None, Some(user), password) => Auth::Basic {
                user: user.clone(),
                password: password.cloned().unwrap_or(SecretSource::Value(Secret::new(""))),
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
            proxy: proxy_settings(),
        })
    }
    /// Logs once which credentials requests use, if several are set.
    fn warn_about_unused_credentials(&self) {
        static LOGGED: Once = Once::new();

        let secrets = [
            (TOKEN_FILE, &self.token_file),
            (TOKEN, &self.token),
            (PASSWORD_FILE, &self.password_file),
            (PASSWORD, &self.password),
        ];
        let mut set: Vec<_> =
            secrets.iter().filter(|(_, secret)| secret.is_some()).map(|(name, _)| *name).collect();
        if self.urls.iter().any(RawUrl::has_credentials) {
            set.push("the user in the URL");
        }
        if let [used, _, ..] = set[..] {
            LOGGED.call_once(|| {
                log::warn(format_args!(
                    "several credentials are set: {}; requests use {used}; unset the others",
                    set.join(", ")
                ));
            });
        }
    }
}
