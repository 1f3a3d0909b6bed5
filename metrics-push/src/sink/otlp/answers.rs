//! What the responses of OTLP receivers mean.
//!
//! The [specification](https://opentelemetry.io/docs/specs/otlp/#failures-1) permits a client to send a request again only
//! after the statuses 429, 502, 503 and 504. The texts are those of Prometheus and Mimir.

use std::borrow::Cow;

use super::response_message::{PartialSuccess, status_message};
use crate::error::{Error, Kind, Retry};
use crate::http::Response;
use crate::log;
use crate::sink::answers::{Meaning, Row, SUPERSEDED_TEXTS, TOO_OLD_TEXTS, answer};
use crate::sink::interface::{Accepted, Rejection};
use crate::sink::post::refusal_of_kind;

/// The media type of requests and responses.
pub(super) const MEDIA_TYPE: &str = "application/x-protobuf";

/// Returns what a response means.
///
/// # Errors
/// If the receiver did not accept the request, or another server responded.
pub(super) fn read(response: Response) -> Result<Accepted, Rejection> {
    match response.status {
        200 if is_protobuf(&response) => Ok(accepted(&response)),
        201..=299 => {
            let error = refusal_of_kind(
                Kind::Config,
                &response,
                "a receiver of OTLP responds with status 200",
            );
            Err(Rejection::Failed(error.remedy(PATH_REMEDY)))
        }
        _ => {
            let body = message_text(&response.body).into_owned();
            answer(&Response { body, ..response }, ANSWERS, "a receiver of OTLP")
        }
    }
}

fn is_protobuf(response: &Response) -> bool {
    response.headers.get("content-type").is_some_and(|value| value.starts_with(MEDIA_TYPE))
}

/// Reads how much of the request the receiver has accepted.
fn accepted(response: &Response) -> Accepted {
    let PartialSuccess { rejected_data_points, message } =
        PartialSuccess::parse(&response.bytes).unwrap_or_default();
    if rejected_data_points > 0 {
        let kind = Kind::Refused { status: response.status, retry: Retry::Never };
        let error =
            Error::new(kind, format!("the receiver rejected {rejected_data_points} data points"));
        return Accepted::Partially(error.at("response", message));
    }
    if !message.is_empty() {
        log::debug(format_args!("the receiver accepted the push with a warning: {message}"));
    }
    Accepted::Queued
}

/// Returns the text of an error response. It is a protobuf message, or plain text of a proxy. If the message is not
/// readable as a whole, its longest part without control characters is its text.
fn message_text(body: &str) -> Cow<'_, str> {
    if let Some(message) = status_message(body.as_bytes()) {
        return message.into();
    }
    let is_binary =
        |c: char| c == char::REPLACEMENT_CHARACTER || (c.is_control() && !c.is_whitespace());
    body.split(is_binary).max_by_key(|part| part.len()).unwrap_or_default().into()
}

const ANSWERS: &[Row] = &[
    Row {
        statuses: &[404],
        texts: &["needs to be enabled"],
        meaning: Meaning::Setting,
        cause: "this Prometheus does not accept OTLP",
        remedy: "start Prometheus with --web.enable-otlp-receiver",
    },
    Row {
        statuses: &[404, 405],
        texts: &[],
        meaning: Meaning::Setting,
        cause: "no receiver of OTLP responds at this URL",
        remedy: PATH_REMEDY,
    },
    Row {
        statuses: &[415],
        texts: &[],
        meaning: Meaning::Setting,
        cause: "the receiver does not accept protobuf or gzip",
        remedy: "use a receiver of OTLP over HTTP with protobuf, or unset METRICS_PUSH_GZIP",
    },
    Row {
        statuses: &[400],
        texts: &["decode", "decompress", "gzip"],
        meaning: Meaning::Setting,
        cause: "the receiver could not decode the request",
        remedy: "unset METRICS_PUSH_GZIP, or check whether a proxy changes the bodies of requests",
    },
    Row {
        statuses: &[400, 409, 500],
        texts: TOO_OLD_TEXTS,
        meaning: Meaning::TooOld,
        cause: "the push is older than what the receiver accepts",
        remedy: "",
    },
    Row {
        statuses: &[400, 409, 422, 500],
        texts: SUPERSEDED_TEXTS,
        meaning: Meaning::Superseded,
        cause: "the receiver has newer samples",
        remedy: "",
    },
    Row {
        statuses: &[401, 403],
        texts: &[],
        meaning: Meaning::Credentials,
        cause: "the receiver requires valid credentials",
        remedy: "set METRICS_PUSH_TOKEN, METRICS_PUSH_USERNAME and METRICS_PUSH_PASSWORD, or METRICS_PUSH_HEADERS",
    },
    Row {
        statuses: &[400, 413, 422],
        texts: &[],
        meaning: Meaning::Invalid,
        cause: "the receiver rejected the push",
        remedy: "",
    },
    Row {
        statuses: &[502, 503, 504],
        texts: &[],
        meaning: Meaning::ByStatus,
        cause: "the receiver cannot accept pushes at the moment",
        remedy: "",
    },
    Row {
        statuses: &[],
        texts: &[],
        meaning: Meaning::Permanent,
        cause: "the receiver failed to process the push",
        remedy: "check the log of the receiver",
    },
];

const PATH_REMEDY: &str = "check the port (4318 by default; 4317 is gRPC) and the path: /v1/metrics, and \
                           /api/v1/otlp/v1/metrics in Prometheus";

#[cfg(test)]
mod tests {
    use super::*;

    fn result(status: u16, body: &str) -> Result<Accepted, Rejection> {
        read(Response { status, body: body.into(), ..Response::default() })
    }

    #[test]
    fn only_the_statuses_of_the_specification_are_retried() {
        for status in [429, 502, 503, 504] {
            let Err(Rejection::Failed(error)) = result(status, "") else { panic!("{status}") };
            assert!(error.is_retryable(), "{status}: {error}");
        }
        for status in [408, 425, 500, 501, 505, 520] {
            let Err(Rejection::Failed(error)) = result(status, "") else { panic!("{status}") };
            assert!(error.is_rejected(), "{status}: {error}");
        }
    }

    #[test]
    fn rejected_metrics_are_sent_apart() {
        for status in [400, 413, 422] {
            assert!(matches!(result(status, ""), Err(Rejection::InvalidMetrics(_))), "{status}");
        }
    }

    #[test]
    fn newer_and_old_samples_are_recognized() {
        for (status, body) in
            [(400, "out of order sample"), (409, "duplicate sample for timestamp")]
        {
            assert!(
                matches!(result(status, body), Err(Rejection::Superseded(_))),
                "{status} {body}"
            );
        }
        for (status, body) in [(400, "out of bounds"), (500, "too old sample")] {
            assert!(matches!(result(status, body), Err(Rejection::TooOld(_))), "{status} {body}");
        }
    }

    #[test]
    fn settings_and_credentials_have_a_remedy() {
        for (status, body, remedy) in [
            (
                404,
                "otlp write receiver needs to be enabled with --web.enable-otlp-receiver",
                "start Prometheus with",
            ),
            (404, "404 page not found", "4318"),
            (405, "", "4318"),
            (415, "", "METRICS_PUSH_GZIP"),
            (400, "Failed to decode request body", "METRICS_PUSH_GZIP"),
            (401, "", "METRICS_PUSH_TOKEN"),
            (403, "", "METRICS_PUSH_TOKEN"),
            (204, "", "4318"),
            (200, "<html>Please log in</html>", "login page"),
        ] {
            let Err(Rejection::Failed(error)) = result(status, body) else {
                panic!("{status} {body}")
            };
            assert!(error.is_config() && error.to_string().contains(remedy), "{error}");
        }
    }

    #[test]
    fn success_without_a_message_is_accepted() {
        for body in ["", "{}"] {
            assert!(matches!(result(200, body), Ok(Accepted::Queued)), "{body}");
        }
    }

    #[test]
    fn rejected_data_points_are_delivered_with_less() {
        let bytes = b"\x0a\x0b\x08\xac\x02\x12\x06denied".to_vec();
        let Accepted::Partially(error) =
            accepted(&Response { status: 200, bytes, ..Response::default() })
        else {
            panic!("not partially accepted")
        };
        assert_eq!(error.to_string(), "the receiver rejected 300 data points (response: denied)");
        assert!(error.is_rejected());
    }

    #[test]
    fn message_of_an_error_is_readable() {
        let long = "x".repeat(200);
        for (body, text) in [
            ("\u{8}\u{3}\u{12}\u{9}malformed", "malformed"),
            // The length of a long message is not UTF-8.
            (&format!("\u{12}\u{fffd}\u{1}{long}"), &long),
            ("404 page not found\n", "404 page not found\n"),
            ("", ""),
        ] {
            assert_eq!(message_text(body), text);
        }
    }
}
