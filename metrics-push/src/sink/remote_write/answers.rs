//! What the answers of receivers mean.
//!
//! Receivers report permanent and temporary failures with the same statuses, so that the text decides. The texts are those
//! of Prometheus 2 and 3, Mimir, Thanos, VictoriaMetrics and InfluxDB 1.

use super::encoding::Version;

/// The meaning of an answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The receiver has stored the samples, or will do so.
    Accepted,
    /// The receiver has newer samples of at least one series, or another value for the same time.
    Superseded,
    /// At least one sample is too old to be stored with its time.
    TooOld,
    /// The receiver does not accept at least one sample. It may accept the others.
    Invalid,
    /// The receiver does not support the version of the protocol.
    OtherVersion,
    /// Nothing is stored because of this problem.
    Problem(Problem),
    /// The status alone decides.
    Other,
}

/// Why a receiver accepts no request, and the remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) cause: &'static str,
    pub(super) remedy: &'static str,
    pub(super) is_about_credentials: bool,
}

const fn setting(cause: &'static str, remedy: &'static str) -> Answer {
    Answer::Problem(Problem { cause, remedy, is_about_credentials: false })
}

const fn credentials(cause: &'static str, remedy: &'static str) -> Answer {
    Answer::Problem(Problem { cause, remedy, is_about_credentials: true })
}

/// A row of the table: statuses, and texts of which the response has one.
struct Row {
    statuses: &'static [u16],
    /// In lower case; none if the text does not matter.
    texts: &'static [&'static str],
    answer: Answer,
}

/// The first row that matches decides.
const TABLE: &[Row] = &[
    Row {
        statuses: &[404],
        texts: &["needs to be enabled"],
        answer: setting(
            "this Prometheus does not accept remote write",
            "start Prometheus with --web.enable-remote-write-receiver",
        ),
    },
    Row {
        statuses: &[400, 404],
        texts: &["database is required", "database not found"],
        answer: setting(
            "the database does not exist in InfluxDB",
            "create the database, and add ?db= and its name to the URL",
        ),
    },
    Row {
        statuses: &[400],
        texts: &["unsupported path"],
        answer: setting("no receiver of remote write responds at this URL", PATH_REMEDY),
    },
    Row {
        statuses: &[404, 405],
        texts: &[],
        answer: setting("no receiver of remote write responds at this URL", PATH_REMEDY),
    },
    Row {
        statuses: &[400],
        texts: &["snappy", "cannot decompress", "decode"],
        answer: setting(
            "the receiver could not read the request",
            "check whether a proxy changes the bodies of requests",
        ),
    },
    Row {
        statuses: &[401],
        texts: &["no org id"],
        answer: credentials(
            "the receiver requires a tenant",
            "set METRICS_PUSH_HEADERS to X-Scope-OrgID= and the name of the tenant",
        ),
    },
    Row {
        statuses: &[403],
        texts: &["missing authentication token", "sigv4", "aws"],
        answer: credentials(
            "the receiver requires requests that are signed with AWS SigV4",
            "send to a SigV4 proxy or to the ADOT collector, which sign requests",
        ),
    },
    Row {
        statuses: &[400, 409, 500],
        texts: &["out of bounds", "too old", "too-old", "too-far-in-past"],
        answer: Answer::TooOld,
    },
    Row {
        statuses: &[400, 409, 422, 500],
        texts: &[
            "out of order",
            "out-of-order",
            "duplicate sample",
            "duplicate-timestamp",
            "duplicate-sample",
        ],
        answer: Answer::Superseded,
    },
    // Thanos responds with this status to samples that it has or that are older than what it has.
    Row { statuses: &[409], texts: &[], answer: Answer::Superseded },
    Row { statuses: &[500], texts: &["is not unique", "invalid sample"], answer: Answer::Invalid },
    Row { statuses: &[400, 413, 422], texts: &[], answer: Answer::Invalid },
];

const PATH_REMEDY: &str = "check the path of the URL: Prometheus has /api/v1/write, Mimir /api/v1/push, Grafana Cloud \
                           /api/prom/push and Thanos /api/v1/receive";

/// Returns the meaning of an answer. `is_confirmed`: the response has the headers of version 2.0, in which the receiver
/// counts what it has stored.
pub(super) fn answer(status: u16, body: &str, version: Version, is_confirmed: bool) -> Answer {
    match (status, version) {
        // A receiver of version 1.0 reads a message of version 2.0 as an empty one.
        (200..=299, Version::V2) if !is_confirmed => return Answer::OtherVersion,
        (200..=299, _) => return Answer::Accepted,
        (415, Version::V2) => return Answer::OtherVersion,
        (415, Version::V1) => {
            return setting(
                "the receiver does not support remote write 1.0",
                "set METRICS_PUSH_REMOTE_WRITE to 2",
            );
        }
        _ => {}
    }
    let body = body.to_ascii_lowercase();
    let matches = |row: &&Row| {
        row.statuses.contains(&status)
            && (row.texts.is_empty() || row.texts.iter().any(|text| body.contains(text)))
    };
    TABLE.iter().find(matches).map_or(Answer::Other, |row| row.answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer_to_1(status: u16, body: &str) -> Answer {
        answer(status, body, Version::V1, false)
    }

    fn problem(status: u16, body: &str) -> Problem {
        match answer_to_1(status, body) {
            Answer::Problem(problem) => problem,
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
            assert_eq!(answer_to_1(status, body), Answer::Superseded, "{status} {body}");
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
            assert_eq!(answer_to_1(status, body), Answer::TooOld, "{status} {body}");
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
            assert_eq!(answer_to_1(status, body), Answer::Invalid, "{status} {body}");
        }
    }

    #[test]
    fn temporary_failures_are_decided_by_the_status() {
        for (status, body) in [
            (429, "ingestion rate limit exceeded (err-mimir-tenant-max-ingestion-rate)"),
            (500, "ingester max series limit reached (err-mimir-ingester-max-series)"),
            (502, ""),
            (503, "out of order"),
            (504, ""),
            (401, "Unauthorized"),
            (403, "Forbidden"),
            (301, ""),
        ] {
            assert_eq!(answer_to_1(status, body), Answer::Other, "{status} {body}");
        }
    }

    #[test]
    fn problem_of_a_setting_names_the_remedy() {
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
            let problem = problem(status, body);
            assert!(problem.remedy.contains(remedy), "{problem:?}");
            assert!(!problem.is_about_credentials, "{problem:?}");
        }
        for (status, body, remedy) in [
            (401, "no org id", "X-Scope-OrgID"),
            (403, "{\"message\":\"Missing Authentication Token\"}", "SigV4"),
        ] {
            let problem = problem(status, body);
            assert!(problem.remedy.contains(remedy) && problem.is_about_credentials, "{problem:?}");
        }
    }

    #[test]
    fn success_of_version_2_must_be_confirmed() {
        assert_eq!(answer(204, "", Version::V2, true), Answer::Accepted);
        assert_eq!(answer(204, "", Version::V2, false), Answer::OtherVersion);
        assert_eq!(answer(415, "", Version::V2, false), Answer::OtherVersion);
        assert_eq!(answer(204, "", Version::V1, false), Answer::Accepted);
    }
}
