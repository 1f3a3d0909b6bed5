//! What the responses of receivers mean.
//!
//! Receivers report permanent and temporary failures with the same statuses, so that the text decides. The texts are those
//! of Prometheus 2 and 3, Mimir, Thanos, VictoriaMetrics and InfluxDB 1.

use crate::sink::answers::{Meaning, Row, SUPERSEDED_TEXTS, TOO_OLD_TEXTS};

const PATH_REMEDY: &str = "check the path of the URL: Prometheus has /api/v1/write, Mimir /api/v1/push, Grafana Cloud \
                           /api/prom/push and Thanos /api/v1/receive";

pub(super) const ANSWERS: &[Row] = &[
    Row {
        statuses: &[404],
        texts: &["needs to be enabled"],
        meaning: Meaning::Setting,
        cause: "this Prometheus does not accept remote write",
        remedy: "start Prometheus with --web.enable-remote-write-receiver",
    },
    Row {
        statuses: &[400, 404],
        texts: &["database is required", "database not found"],
        meaning: Meaning::Setting,
        cause: "the database does not exist in InfluxDB",
        remedy: "create the database, and append ?db= and its name to the URL",
    },
    Row {
        statuses: &[400],
        texts: &["unsupported path"],
        meaning: Meaning::Setting,
        cause: "no receiver of remote write responds at this URL",
        remedy: PATH_REMEDY,
    },
    Row {
        statuses: &[404, 405],
        texts: &[],
        meaning: Meaning::Setting,
        cause: "no receiver of remote write responds at this URL",
        remedy: PATH_REMEDY,
    },
    Row {
        statuses: &[415],
        texts: &[],
        meaning: Meaning::Setting,
        cause: "the receiver does not support remote write 1.0",
        remedy: "set METRICS_PUSH_REMOTE_WRITE to 2",
    },
    Row {
        statuses: &[400],
        texts: &["snappy", "cannot decompress", "cannot unmarshal"],
        meaning: Meaning::Setting,
        cause: "the receiver could not read the request",
        remedy: "check whether a proxy changes the bodies of requests",
    },
    Row {
        statuses: &[401],
        texts: &["no org id"],
        meaning: Meaning::Credentials,
        cause: "the receiver requires a tenant",
        remedy: "set METRICS_PUSH_HEADERS to X-Scope-OrgID= and the name of the tenant",
    },
    Row {
        statuses: &[401],
        texts: &[],
        meaning: Meaning::Credentials,
        cause: "the receiver requires valid credentials",
        remedy: "check METRICS_PUSH_USERNAME and METRICS_PUSH_PASSWORD, or METRICS_PUSH_TOKEN",
    },
    Row {
        statuses: &[403],
        texts: &["missing authentication token", "missingauthenticationtoken"],
        meaning: Meaning::Credentials,
        cause: "the receiver requires requests that are signed with AWS SigV4",
        remedy: "send to a SigV4 proxy or to the ADOT collector, which sign requests",
    },
    Row {
        statuses: &[403],
        texts: &[],
        meaning: Meaning::Credentials,
        cause: "the credentials do not permit writes",
        remedy: "check the permissions of the user or the token",
    },
    Row {
        statuses: &[400, 409, 500],
        texts: TOO_OLD_TEXTS,
        meaning: Meaning::TooOld,
        cause: "the receiver does not store samples of this time",
        remedy: "check the clocks of this machine and of all that write to the receiver: a sample from the future makes Prometheus 2 reject all others",
    },
    Row {
        statuses: &[400, 409, 422, 500],
        texts: SUPERSEDED_TEXTS,
        meaning: Meaning::Superseded,
        cause: "the receiver has newer samples",
        remedy: "",
    },
    // Thanos responds with this status to samples that it has, or that are older than those that it has.
    Row {
        statuses: &[409],
        texts: &[],
        meaning: Meaning::Superseded,
        cause: "the receiver has newer samples",
        remedy: "",
    },
    Row {
        statuses: &[500],
        texts: &["is not unique", "invalid sample"],
        meaning: Meaning::Invalid,
        cause: "the receiver rejected the labels of a metric",
        remedy: "rename the labels of the metrics",
    },
    Row {
        statuses: &[400, 413, 422],
        texts: &[],
        meaning: Meaning::Invalid,
        cause: "the receiver rejected the samples",
        remedy: "",
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::http::Response;
    use crate::sink::answers::answer;
    use crate::sink::{Accepted, Rejection};

    fn result(status: u16, body: &str) -> Result<Accepted, Rejection> {
        let response = Response { status, body: body.into(), ..Response::default() };
        answer(&response, ANSWERS, "a receiver of remote write")
    }

    fn failure(status: u16, body: &str) -> Error {
        match result(status, body) {
            Err(Rejection::Failed(error)) => error,
            other => panic!("{status} {body}: {other:?}"),
        }
    }

    #[test]
    fn newer_data_is_recognized_in_the_texts_of_all_receivers() {
        for (status, body) in [
            (400, "out of order sample\n"),
            (400, "duplicate sample for timestamp\n"),
            // Prometheus 3.
            (
                400,
                "duplicate sample for timestamp 1700000000123; overrides not allowed: existing 1, new value 2\n",
            ),
            (
                400,
                "failed pushing to ingester: user=1: the sample has been rejected because another sample with a more \
                 recent timestamp has already been ingested and out-of-order samples are not allowed \
                 (err-mimir-sample-out-of-order). The affected sample has timestamp 2023-11-14T22:13:20Z",
            ),
            (
                400,
                "the sample has been rejected because another sample with the same timestamp, but a different value, \
                 has already been ingested (err-mimir-sample-duplicate-timestamp)",
            ),
            (409, "store locally for endpoint 127.0.0.1:10901: conflict"),
            (409, "add 12 samples: out of order sample"),
            (500, "add 12 samples: out of order sample"),
            // VictoriaMetrics.
            (400, "duplicate sample for timestamp 1; overrides not allowed"),
            (422, "out of order sample"),
        ] {
            let result = result(status, body);
            assert!(matches!(result, Err(Rejection::Superseded(_))), "{status} {body}: {result:?}");
        }
    }

    #[test]
    fn old_samples_are_recognized_in_the_texts_of_all_receivers() {
        for (status, body) in [
            (400, "out of bounds\n"),
            (500, "too old sample\n"),
            (400, "too old sample"),
            (
                400,
                "the sample has been rejected because its timestamp is too old (err-mimir-sample-timestamp-too-old)",
            ),
            (
                400,
                "received a sample whose timestamp is too far in the past (err-mimir-too-far-in-past)",
            ),
            (409, "add 3 samples: out of bounds"),
        ] {
            let result = result(status, body);
            assert!(matches!(result, Err(Rejection::TooOld(_))), "{status} {body}: {result:?}");
        }
    }

    #[test]
    fn other_rejections_are_about_single_metrics() {
        for (status, body) in [
            (500, "label name \"job\" is not unique: invalid sample\n"),
            (400, "+/-Inf is an unsupported value for field value\n"),
            (400, "per-user series limit of 150000 exceeded (err-mimir-max-series-per-user)"),
            (413, ""),
            (422, ""),
        ] {
            let result = result(status, body);
            assert!(
                matches!(result, Err(Rejection::InvalidMetrics(_))),
                "{status} {body}: {result:?}"
            );
        }
    }

    #[test]
    fn temporary_failures_are_retried() {
        for (status, body) in [
            (429, "ingestion rate limit exceeded (err-mimir-tenant-max-ingestion-rate)"),
            (500, "ingester max series limit reached (err-mimir-ingester-max-series)"),
            (408, ""),
            (502, ""),
            (503, "out of order"),
            (504, ""),
        ] {
            assert!(failure(status, body).is_retryable(), "{status} {body}");
        }
    }

    #[test]
    fn settings_and_credentials_have_a_remedy() {
        for (status, body, remedy) in [
            (
                404,
                "remote write receiver needs to be enabled with --web.enable-remote-write-receiver\n",
                "--web.enable-remote-write-receiver",
            ),
            (404, "404 page not found\n", "/api/v1/write"),
            (405, "Method Not Allowed", "/api/prom/push"),
            (
                400,
                "remoteAddr: \"127.0.0.1:1\"; unsupported path requested: \"/write\"",
                "/api/v1/push",
            ),
            (400, "{\"error\":\"database is required\"}", "?db="),
            (404, "{\"error\":\"database not found: \\\"batch\\\"\"}", "?db="),
            (400, "snappy: corrupt input\n", "proxy"),
            (400, "cannot decompress request of length 12", "proxy"),
            (415, "Unsupported proto message", "METRICS_PUSH_REMOTE_WRITE"),
        ] {
            let error = failure(status, body);
            assert!(error.is_config() && error.to_string().contains(remedy), "{error}");
            assert!(!error.is_about_credentials(), "{error}");
        }
        for (status, body, remedy) in [
            (401, "no org id", "X-Scope-OrgID"),
            (401, "Unauthorized", "METRICS_PUSH_TOKEN"),
            (403, "Forbidden", "permissions"),
            (403, "{\"message\":\"Missing Authentication Token\"}", "SigV4"),
        ] {
            let error = failure(status, body);
            assert!(error.is_about_credentials() && error.to_string().contains(remedy), "{error}");
        }
    }
}
