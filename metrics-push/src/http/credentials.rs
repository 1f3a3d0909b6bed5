//! `Auth`: the user name, password or token of requests, and its source. `Debug` output never contains a secret.

use std::{fmt, io};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};

use super::config_file::ConfigFile;
use crate::error::Error;

/// A text whose `Debug` output is always `"…"`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"…\"")
    }
}

/// The source of a secret. A file is read for every request, so that a request always uses the current secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SecretSource {
    Value(Secret),
    File(ConfigFile),
}

impl SecretSource {
    /// # Errors
    /// `is_config` if the file cannot be read.
    pub(crate) fn read(&self) -> Result<Secret, Error> {
        match self {
            Self::Value(secret) => Ok(secret.clone()),
            Self::File(file) => file
                .read()
                .and_then(|bytes| String::from_utf8(bytes).map_err(io::Error::other))
                // Editors and `echo` add a line break at the end.
                .map(|text| Secret::new(text.trim_end_matches(['\r', '\n'])))
                .map_err(|error| {
                    file.locate(Error::config("cannot read the secret file"))
                        .caused_by(error)
                        .remedy("make it readable for the job's user, or set another file")
                }),
        }
    }
}

/// How requests are authenticated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Auth {
    #[default]
    None,
    Basic {
        user: String,
        password: SecretSource,
    },
    Bearer(SecretSource),
}

impl Auth {
    /// Returns true if the next request may send a different secret than the last one.
    pub(crate) fn may_change(&self) -> bool {
        match self {
            Self::None => false,
            Self::Basic { password: secret, .. } | Self::Bearer(secret) => {
                matches!(secret, SecretSource::File(_))
            }
        }
    }

    /// Adds the `Authorization` header. `token_scheme` is the word before a token.
    ///
    /// # Errors
    /// `is_config` if a secret file cannot be read, or the token is invalid in a header.
    pub(super) fn authorize(
        &self,
        headers: &mut HeaderMap,
        token_scheme: &str,
    ) -> Result<(), Error> {
        let value = match self {
            Self::None => return Ok(()),
            Self::Basic { user, password } => {
                let pair = format!("{user}:{}", password.read()?.0);
                format!("Basic {}", STANDARD.encode(pair))
            }
            Self::Bearer(token) => format!("{token_scheme} {}", token.read()?.0),
        };
        let mut value = HeaderValue::try_from(value).map_err(|_| {
            let error = Error::config(
                "invalid bearer token: it contains characters that HTTP does not allow",
            )
            .remedy("set the token alone, on one line");
            match self {
                Self::Bearer(SecretSource::File(file)) => file.locate(error),
                _ => error,
            }
        })?;
        value.set_sensitive(true);
        headers.append(AUTHORIZATION, value);
        Ok(())
    }
}

/// Removes the credentials from a URL and returns them, because messages contain the URL.
pub(super) fn take_userinfo(base: &mut Url) -> Result<Auth, Error> {
    if base.username().is_empty() && base.password().is_none() {
        return Ok(Auth::None);
    }
    let password = percent_decoded(base.password().unwrap_or_default())?;
    let auth = Auth::Basic {
        user: percent_decoded(base.username())?,
        password: SecretSource::Value(Secret::new(password)),
    };
    // These calls fail only if the URL cannot contain credentials.
    let _ = base.set_username("");
    let _ = base.set_password(None);
    Ok(auth)
}

fn percent_decoded(text: &str) -> Result<String, Error> {
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| {
        Error::config("invalid credentials in the URL: the user or password is not UTF-8")
            .remedy("set the credentials in the variables instead")
    })?;
    Ok(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_removed_from_the_url() {
        let mut url = Url::parse("http://us%40er:p%2Fw@gateway:9091/").unwrap();
        let password = SecretSource::Value(Secret::new("p/w"));
        let expected = Auth::Basic { user: "us@er".into(), password };
        assert_eq!(take_userinfo(&mut url).unwrap(), expected);
        assert_eq!(url.as_str(), "http://gateway:9091/");
        assert_eq!(take_userinfo(&mut url).unwrap(), Auth::None);
    }
}
