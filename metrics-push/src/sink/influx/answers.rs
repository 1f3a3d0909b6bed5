//! What the responses of InfluxDB mean. The texts are those of InfluxDB 1, 2 and 3.

use crate::sink::answers::{Meaning, Row};

/// A server stores all lines except those that it rejects. With status 422 or 500, some versions report the same.
const PARTIAL_STATUSES: &[u16] = &[400, 422, 500];

pub(super) const ANSWERS: &[Row] = &[
    Row {
        statuses: &[400, 422],
        texts: &["beyond retention policy", "outside retention policy"],
        meaning: Meaning::TooOld,
        cause: "the push is older than what InfluxDB retains",
        remedy: "lengthen the retention period of the database or bucket",
    },
    // The outcome is one line. In parts, the fields with the right type are stored.
    Row {
        statuses: PARTIAL_STATUSES,
        texts: &["measurement \\\"batch_job\\\""],
        meaning: Meaning::Invalid,
        cause: "the measurement \"batch_job\" has fields of another type in InfluxDB",
        remedy: "use a database or bucket without data of other programs in this measurement",
    },
    Row {
        statuses: PARTIAL_STATUSES,
        texts: &["partial write"],
        meaning: Meaning::Partial,
        cause: "InfluxDB rejected some of the metrics",
        remedy: "rename the metric that the response names, or write to another database or bucket",
    },
    Row {
        statuses: &[404],
        texts: &["database not found", "bucket"],
        meaning: Meaning::Setting,
        cause: "the database or bucket does not exist in InfluxDB",
        remedy: "create it, or check its name in the URL",
    },
    Row {
        statuses: &[400],
        texts: &["database is required"],
        meaning: Meaning::Setting,
        cause: "the URL names no database",
        remedy: "append ?db= and the name of the database to the URL, or ?bucket= and that of the bucket",
    },
    Row {
        statuses: &[500],
        texts: &["retention policy not found"],
        meaning: Meaning::Setting,
        cause: "the retention policy does not exist in InfluxDB",
        remedy: "check the parameter rp in the URL",
    },
    Row {
        statuses: &[404, 405],
        texts: &[],
        meaning: Meaning::Setting,
        cause: "no InfluxDB responds at this URL",
        remedy: "check the port (8086 by default) and the path: /write?db= for InfluxDB 1, /api/v2/write?bucket= for 2 and 3",
    },
    Row {
        statuses: &[401],
        texts: &[],
        meaning: Meaning::Credentials,
        cause: "InfluxDB requires valid credentials",
        remedy: "set METRICS_PUSH_TOKEN, or METRICS_PUSH_USERNAME and METRICS_PUSH_PASSWORD for InfluxDB 1",
    },
    Row {
        statuses: &[403],
        texts: &[],
        meaning: Meaning::Credentials,
        cause: "the credentials do not permit writes to this database or bucket",
        remedy: "check the permissions of the user or the token",
    },
    Row {
        statuses: &[400, 413, 422],
        texts: &[],
        meaning: Meaning::Invalid,
        cause: "InfluxDB rejected the push",
        remedy: "",
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Response;
    use crate::sink::answers::answer;
    use crate::sink::{Accepted, Rejection};

    fn result(status: u16, body: &str) -> Result<Accepted, Rejection> {
        let response = Response { status, body: body.into(), ..Response::default() };
        answer(&response, ANSWERS, "InfluxDB")
    }

    #[test]
    fn partial_write_is_delivered_with_less() {
        for (status, body) in [
            (
                400,
                r#"{"error":"partial write: field type conflict: input field \"value\" on measurement \"rows\" is type integer, already exists as type float dropped=1"}"#,
            ),
            (
                400,
                r#"{"error":"partial write: unable to parse 'garbage': missing fields dropped=0"}"#,
            ),
            (
                422,
                r#"{"code":"unprocessable entity","message":"failure writing points to database: partial write: field type conflict: input field \"value\" on measurement \"rows\""}"#,
            ),
            (
                400,
                r#"{"error":"partial write of line protocol occurred","data":[{"original_line":"x","line_number":2,"error_message":"invalid"}]}"#,
            ),
        ] {
            let accepted = result(status, body);
            assert!(
                matches!(accepted, Ok(Accepted::Partially(_))),
                "{status} {body}: {accepted:?}"
            );
        }
    }

    #[test]
    fn rejected_line_of_the_outcome_is_sent_in_parts() {
        let body = r#"{"error":"partial write: field type conflict: input field \"last_run_success\" on measurement \"batch_job\" is type float, already exists as type integer dropped=1"}"#;
        assert!(matches!(result(400, body), Err(Rejection::InvalidMetrics(_))));
    }

    #[test]
    fn push_before_the_retention_period_is_too_old() {
        let body = r#"{"error":"partial write: points beyond retention policy dropped=3"}"#;
        assert!(matches!(result(400, body), Err(Rejection::TooOld(_))));
    }

    #[test]
    fn settings_and_credentials_have_a_remedy() {
        for (status, body, remedy) in [
            (404, r#"{"error":"database not found: \"batch\""}"#, "create it"),
            (404, r#"{"code":"not found","message":"bucket \"b\" not found"}"#, "create it"),
            (400, r#"{"error":"database is required"}"#, "append ?db="),
            (500, r#"{"error":"retention policy not found: week"}"#, "parameter rp"),
            (404, "404 page not found\n", "/api/v2/write"),
            (405, "", "/api/v2/write"),
            (401, r#"{"error":"authorization failed"}"#, "METRICS_PUSH_TOKEN"),
            (403, "", "permissions"),
        ] {
            let Err(Rejection::Failed(error)) = result(status, body) else {
                panic!("{status} {body}")
            };
            assert!(error.is_config() && error.to_string().contains(remedy), "{error}");
        }
    }

    #[test]
    fn temporary_failures_are_retried() {
        for status in [408, 429, 500, 502, 503, 504] {
            let Err(Rejection::Failed(error)) = result(status, "timeout") else {
                panic!("{status}")
            };
            assert!(error.is_retryable(), "{status}: {error}");
        }
    }

    #[test]
    fn other_rejections_are_about_single_metrics() {
        for (status, body) in
            [(400, r#"{"error":"unable to parse 'x': missing fields"}"#), (413, ""), (422, "")]
        {
            assert!(matches!(result(status, body), Err(Rejection::InvalidMetrics(_))), "{status}");
        }
    }
}
