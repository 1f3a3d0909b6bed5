//! What the responses of a kind of server mean, as a table. The first row that matches decides.

use super::interface::{Accepted, Rejection};
use super::post::{general_cause, is_web_page, refusal, refusal_of_kind};
use crate::error::{Error, Kind, Retry};
use crate::http::{Response, retry_policy};
use crate::labels::GroupingKey;

/// A row of the table: statuses, and texts of which the response has one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// Empty if the status does not matter.
    pub(super) statuses: &'static [u16],
    /// In lower case. Empty if the text does not matter.
    pub(super) texts: &'static [&'static str],
    pub(super) meaning: Meaning,
    pub(super) cause: &'static str,
    /// Empty if no action of the user helps.
    pub(super) remedy: &'static str,
}

/// The meaning of a response that is not a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The server has stored the request without some of its metrics.
    Partial,
    /// The server does not accept at least one metric. It may accept the others.
    Invalid,
    /// The server has newer values of at least one series.
    Superseded,
    /// The request is too old to be stored with its time.
    TooOld,
    /// A setting or the URL must change.
    Setting,
    /// The credentials must change.
    Credentials,
    /// The server would reject the same request again.
    Permanent,
    /// The status determines whether the request is sent again.
    ByStatus,
}

/// The row of a response for which a table has none.
const UNLISTED: Row = Row {
    statuses: &[],
    texts: &[],
    meaning: Meaning::ByStatus,
    cause: "the server cannot accept pushes at the moment",
    remedy: "",
};

/// Texts of servers that have newer samples of a series, or another value for the same time.
pub(super) const SUPERSEDED_TEXTS: &[&str] = &[
    "out of order",
    "out-of-order",
    "duplicate sample",
    "duplicate-sample",
    "duplicate-timestamp",
];

/// Texts of servers that do not store samples of this age.
pub(super) const TOO_OLD_TEXTS: &[&str] =
    &["out of bounds", "too old", "too-old", "too-far-in-past"];

/// Returns what a response of `server` means. A success is accepted unless it is a web page.
///
/// # Errors
/// If the response is not a success, unless the server has stored the request in part.
pub(super) fn answer(
    response: &Response,
    table: &[Row],
    server: &str,
) -> Result<Accepted, Rejection> {
    match response.status {
        200..=299 if is_web_page(response) => Err(Rejection::Failed(web_page(server))),
        200..=299 => Ok(Accepted::Queued),
        _ => refused(response, table),
    }
}

/// Adds the URL of a sink and the group of a request to an error.
pub(super) fn locate(
    result: Result<Accepted, Rejection>,
    url: &str,
    key: &GroupingKey,
) -> Result<Accepted, Rejection> {
    let locate = |error: Error| {
        // An error without a response has the URL.
        let error = if error.has_context("url") { error } else { error.at("url", url) };
        error.at("group", key)
    };
    match result {
        Ok(Accepted::Partially(error)) => Ok(Accepted::Partially(locate(error))),
        Ok(accepted) => Ok(accepted),
        Err(rejection) => Err(rejection.map(locate)),
    }
}

/// Returns the error for a web page in place of a response of `server`.
fn web_page(server: &str) -> Error {
    Error::config(format!("the response is a web page and not from {server}"))
        .remedy("check the URL: a proxy or a login page may be in front of the server")
}

fn refused(response: &Response, table: &[Row]) -> Result<Accepted, Rejection> {
    if let Some((cause, remedy)) = general_cause(response) {
        return Err(Rejection::Failed(refusal(response, cause).remedy(remedy)));
    }
    let body = response.body.to_ascii_lowercase();
    let row = table.iter().find(|row| row.matches(response.status, &body));
    row.unwrap_or(&UNLISTED).result(response)
}

impl Row {
    fn matches(&self, status: u16, body: &str) -> bool {
        let has_status = self.statuses.is_empty() || self.statuses.contains(&status);
        let has_text = self.texts.is_empty() || self.texts.iter().any(|text| body.contains(text));
        has_status && has_text
    }

    fn result(&self, response: &Response) -> Result<Accepted, Rejection> {
        let status = response.status;
        let kind = match self.meaning {
            Meaning::Setting => Kind::Config,
            Meaning::Credentials => Kind::Credentials { status: Some(status) },
            Meaning::ByStatus => Kind::Refused { status, retry: retry_policy(status) },
            _ => Kind::Refused { status, retry: Retry::Never },
        };
        let error = refusal_of_kind(kind, response, self.cause);
        let error = if self.remedy.is_empty() { error } else { error.remedy(self.remedy) };
        match self.meaning {
            Meaning::Partial => Ok(Accepted::Partially(error)),
            Meaning::Invalid => Err(Rejection::InvalidMetrics(error)),
            Meaning::Superseded => Err(Rejection::Superseded(error)),
            Meaning::TooOld => Err(Rejection::TooOld(error)),
            Meaning::Setting | Meaning::Credentials | Meaning::Permanent | Meaning::ByStatus => {
                Err(Rejection::Failed(error))
            }
        }
    }
}
