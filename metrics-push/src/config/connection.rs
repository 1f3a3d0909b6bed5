//! `ConnectionSettings`: the credentials, headers and certificates for one sink, or for several.

use std::path::PathBuf;
use std::sync::Once;

use crate::error::Error;
use crate::http::{Auth, ConfigFile, ProxySettings, Secret, SecretSource, Transport};
use crate::log;

pub(super) const USERNAME: &str = "METRICS_PUSH_USERNAME";
pub(super) const PASSWORD: &str = "METRICS_PUSH_PASSWORD";
pub(super) const PASSWORD_FILE: &str = "METRICS_PUSH_PASSWORD_FILE";
pub(super) const TOKEN: &str = "METRICS_PUSH_TOKEN";
pub(super) const TOKEN_FILE: &str = "METRICS_PUSH_TOKEN_FILE";

#[derive(Clone, Debug, Default)]
pub(super) struct ConnectionSettings {
    /// The end of the names of the variables for these settings, such as `_2`.
    pub(super) suffix: String,
    pub(super) username: Option<String>,
    pub(super) password: Option<SecretSource>,
    pub(super) password_file: Option<SecretSource>,
    pub(super) token: Option<SecretSource>,
    pub(super) token_file: Option<SecretSource>,
    pub(super) headers: Vec<(String, Secret)>,
    pub(super) ca_file: Option<ConfigFile>,
    pub(super) cert_file: Option<ConfigFile>,
    pub(super) key_file: Option<ConfigFile>,
    pub(super) server_name: Option<String>,
}

impl ConnectionSettings {
    pub(super) fn set_basic_auth(
        &mut self,
        username: impl Into<String>,
        password: impl Into<String>,
    ) {
        self.username = Some(username.into());
        self.password = Some(SecretSource::Value(Secret::new(password)));
        self.password_file = None;
    }

    pub(super) fn set_token(&mut self, token: impl Into<String>) {
        self.token = Some(SecretSource::Value(Secret::new(token)));
        self.token_file = None;
    }

    pub(super) fn add_header(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.headers.push((name.into(), Secret::new(value)));
    }

    pub(super) fn set_ca_file(&mut self, file: impl Into<PathBuf>) {
        self.ca_file = Some(ConfigFile::new(file));
    }

    pub(super) fn set_client_certificate(
        &mut self,
        cert: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) {
        self.cert_file = Some(ConfigFile::new(cert));
        self.key_file = Some(ConfigFile::new(key));
    }

    /// Returns these settings, with those of `shared` in place of the ones that are not set. Credentials are replaced as
    /// a whole.
    pub(super) fn or(&self, shared: &Self) -> Self {
        let credentials = if self.has_credentials() { self } else { shared };
        let headers = if self.headers.is_empty() { shared } else { self };
        let certificate =
            if self.cert_file.is_some() || self.key_file.is_some() { self } else { shared };
        Self {
            suffix: credentials.suffix.clone(),
            username: credentials.username.clone(),
            password: credentials.password.clone(),
            password_file: credentials.password_file.clone(),
            token: credentials.token.clone(),
            token_file: credentials.token_file.clone(),
            headers: headers.headers.clone(),
            ca_file: self.ca_file.as_ref().or(shared.ca_file.as_ref()).cloned(),
            cert_file: certificate.cert_file.clone(),
            key_file: certificate.key_file.clone(),
            server_name: self.server_name.as_ref().or(shared.server_name.as_ref()).cloned(),
        }
    }

    /// Returns true if requests contain a secret.
    pub(super) fn has_credentials(&self) -> bool {
        self.username.is_some() || self.secrets().next().is_some()
    }

    /// Returns the settings of a connection.
    ///
    /// # Errors
    /// `is_config` if there is a password without a user.
    pub(super) fn transport(&self, proxy: ProxySettings) -> Result<Transport, Error> {
        let token = self.token_file.as_ref().or(self.token.as_ref());
        let password = self.password_file.as_ref().or(self.password.as_ref());
        let auth = match (token, &self.username, password) {
            (Some(token), _, _) => Auth::Bearer(token.clone()),
            (None, Some(user), password) => Auth::Basic {
                user: user.clone(),
                password: password.cloned().unwrap_or(SecretSource::Value(Secret::new(""))),
            },
            (None, None, None) => Auth::None,
            (None, None, Some(_)) => {
                return Err(Error::config("the password has no user name")
                    .remedy(format!("set {USERNAME}{}", self.suffix)));
            }
        };
        Ok(Transport {
            auth,
            headers: self.headers.clone(),
            ca_file: self.ca_file.clone(),
            cert_file: self.cert_file.clone(),
            key_file: self.key_file.clone(),
            server_name: self.server_name.clone(),
            proxy,
        })
    }

    /// Logs once which credentials requests use, if several are set.
    pub(super) fn warn_about_unused_credentials(&self, url_has_credentials: bool) {
        static LOGGED: Once = Once::new();

        let mut set: Vec<_> = self.secrets().map(|name| format!("{name}{}", self.suffix)).collect();
        if url_has_credentials {
            set.push("the user in the URL".to_owned());
        }
        if let [used, _, ..] = &set[..] {
            LOGGED.call_once(|| {
                log::warn(format_args!(
                    "several credentials are set: {}; requests use {used}; unset the others",
                    set.join(", ")
                ));
            });
        }
    }

    /// Returns the variables of the secrets that are set, in descending order of precedence.
    fn secrets(&self) -> impl Iterator<Item = &'static str> {
        let secrets = [
            (TOKEN_FILE, self.token_file.is_some()),
            (TOKEN, self.token.is_some()),
            (PASSWORD_FILE, self.password_file.is_some()),
            (PASSWORD, self.password.is_some()),
        ];
        secrets.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| name)
    }
}
