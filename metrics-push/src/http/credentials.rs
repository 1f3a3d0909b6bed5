//! Credentials: who asks, and where their secrets come from. None of them is ever shown.

use std::fmt;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};

use crate::error::Error;

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"…\"")
    }
}

/// Where a secret comes from. Files are read for every request, so that a rotated secret is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SecretSource {
    Value(Secret),
    File(PathBuf),
}

impl SecretSource {
    fn read(&self) -> Result<Secret, Error> {
        match self {
            Self::Value(secret) => Ok(secret.clone()),
            Self::File(path) => std::fs::read_to_string(path)
                // Editors and `echo` end a file with a line break that is no part of the secret.
                .map(|text| Secret::new(text.trim_end_matches(['\r', '\n'])))
                .map_err(|error| {
                    Error::config("the secret file can't be read")
                        .at("file", path.display())
                        .caused_by(error)
                        .remedy("let the job's user read it, or name another file")
                }),
        }
    }
}

/// Who asks.
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
    /// Whether the next request may carry another secret than the last.
    pub(super) fn may_change(&self) -> bool {
        match self {
            Self::None => false,
            Self::Basic { password: secret, .. } | Self::Bearer(secret) => {
                matches!(secret, SecretSource::File(_))
            }
        }
    }

    pub(super) fn authorize(&self, headers: &mut HeaderMap) -> Result<(), Error> {
        let value = match self {
            Self::None => return Ok(()),
            Self::Basic { user, password } => {
                let pair = format!("{user}:{}", password.read()?.0);
                format!("Basic {}", STANDARD.encode(pair))
            }
            Self::Bearer(token) => format!("Bearer {}", token.read()?.0),
        };
        let mut value = HeaderValue::try_from(value).map_err(|_| {
            Error::config("the bearer token has characters no header can carry")
                .remedy("give the token alone, on one line")
        })?;
        value.set_sensitive(true);
        headers.append(AUTHORIZATION, value);
        Ok(())
    }
}

/// Takes the credentials out of a URL, which would be shown with it: they belong into the header.
pub(super) fn take_userinfo(base: &mut Url) -> Result<Auth, Error> {
    if base.username().is_empty() && base.password().is_none() {
        return Ok(Auth::None);
    }
    let password = percent_decoded(base.password().unwrap_or_default())?;
    let auth = Auth::Basic {
        user: percent_decoded(base.username())?,
        password: SecretSource::Value(Secret::new(password)),
    };
    // These fail only for URLs that cannot have credentials in the first place.
    let _ = base.set_username("");
    let _ = base.set_password(None);
    Ok(auth)
}

fn percent_decoded(text: &str) -> Result<String, Error> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = match tail {
            [high, low, ..] if *first == b'%' => hex_digit(*high).zip(hex_digit(*low)),
            _ => None,
        };
        bytes.push(hex.map_or(*first, |(high, low)| high * 16 + low));
        rest = if hex.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(bytes).map_err(|_| Error::config("the URL's user or password is not UTF-8"))
}

fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_move_from_the_url_to_the_header() {
        let mut url = Url::parse("http://us%40er:p%2Fw@gateway:9091/").unwrap();
        let password = SecretSource::Value(Secret::new("p/w"));
        let expected = Auth::Basic { user: "us@er".into(), password };
        assert_eq!(take_userinfo(&mut url).unwrap(), expected);
        assert_eq!(url.as_str(), "http://gateway:9091/");
        assert_eq!(take_userinfo(&mut url).unwrap(), Auth::None);
    }
}
