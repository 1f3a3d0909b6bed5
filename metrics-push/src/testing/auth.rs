//! Who is let in: the credentials a gateway asks for, usually a proxy in front of it.

use super::http::{Request, Response};
use super::path::{Alphabet, decode_base64};

/// Whose pushes are let in.
#[derive(Debug, Default)]
pub(super) enum Access {
    #[default]
    Anybody,
    Basic {
        user: String,
        password: String,
    },
    Bearer(String),
}

impl Access {
    pub(super) fn admits(&self, request: &Request) -> bool {
        let sent = request.header("authorization").and_then(|value| value.split_once(' '));
        match (self, sent) {
            (Self::Anybody, _) => true,
            (Self::Basic { user, password }, Some(("Basic", sent))) => {
                let expected = format!("{user}:{password}").into_bytes();
                decode_base64(sent.as_bytes(), Alphabet::Standard) == Ok(expected)
            }
            (Self::Bearer(token), Some(("Bearer", sent))) => token == sent,
            _ => false,
        }
    }

    pub(super) fn challenge(&self) -> Response {
        let scheme = if matches!(self, Self::Bearer(_)) { "Bearer" } else { "Basic" };
        Response::error(401, "Unauthorized").header("WWW-Authenticate", scheme)
    }
}
