//! The credentials that a fake gateway requires. In production, a proxy in front of the gateway requires them.

use super::go_base64::{Alphabet, decode_base64};
use super::http::{HttpResponse, Request};

/// The credentials that a request must have.
#[derive(Debug, Default)]
pub(super) enum RequiredAuth {
    #[default]
    None,
    Basic {
        user: String,
        password: String,
    },
    Bearer(String),
}

impl RequiredAuth {
    pub(super) fn accepts(&self, request: &Request) -> bool {
        let sent = request.header("authorization").and_then(|value| value.split_once(' '));
        match (self, sent) {
            (Self::None, _) => true,
            (Self::Basic { user, password }, Some(("Basic", sent))) => {
                let expected = format!("{user}:{password}").into_bytes();
                decode_base64(sent.as_bytes(), Alphabet::Standard) == Ok(expected)
            }
            (Self::Bearer(token), Some(("Bearer", sent))) => token == sent,
            _ => false,
        }
    }

    /// The response to a request without valid credentials.
    pub(super) fn challenge(&self) -> HttpResponse {
        let scheme = if matches!(self, Self::Bearer(_)) { "Bearer" } else { "Basic" };
        HttpResponse::error(401, "Unauthorized").header("WWW-Authenticate", scheme)
    }
}
