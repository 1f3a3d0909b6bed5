//! Answer: what a gateway's status and text mean, the likely cause, and what to do about it.

use std::borrow::Cow;

use super::Acceptance;
use crate::error::{Error, Kind};
use crate::http::{MAX_RESPONSE_SIZE, Response, retry_policy};
use crate::labels::GroupingKey;
use crate::log::excerpt;

/// Whether a gateway may have taken a body for something that it is not. What it could read, and refuses, it calls
/// pushed metrics.
pub(super) fn is_misread(reply: &Response) -> bool {
    reply.status == 415 || (reply.status == 400 && !reply.body.contains("pushed metrics"))
}

/// What the gateway's answer to a request means.
pub(super) fn accepted(reply: &Response, key: &GroupingKey) -> Result<Acceptance, Error> {
    match reply.status {
        // A gateway has nothing to say to a push; a login page has.
        200..=299 if reply.body.trim_start().starts_with('<') => {
            Err(Error::config("a web page answered, not a gateway")
                .remedy("check the URL: a proxy or a login page may stand in front of the gateway"))
        }
        200..=299 if reply.body.len() >= MAX_RESPONSE_SIZE => {
            Err(Error::config("something answered at length, as no gateway does")
                .remedy("check the URL: another server may listen there"))
        }
        200 => Ok(Acceptance::Applied),
        // Not checked, as the server was told to, or queued; aggregating and compatible servers answer 204.
        202 | 204 => Ok(Acceptance::Queued),
        _ => Err(refusal(reply, Some(key))),
    }
}

pub(super) fn refusal(reply: &Response, key: Option<&GroupingKey>) -> Error {
    let status = reply.status;
    let (what, remedy) = cause(reply, key);
    let kind = match status {
        401 | 403 | 407 => Kind::Credentials { status: Some(status) },
        300..=399 | 404 | 405 => Kind::Config,
        400 if wants_tls(&reply.body) => Kind::Config,
        _ => Kind::Refused { status, retry: retry_policy(status) },
    };
    let mut error = Error::new(kind, what).at("status", status).after(reply.retry_after);
    if let Some(location) = &reply.location {
        error = error.at("location", location);
    }
    let said = said(&reply.body);
    if !said.is_empty() {
        error = error.at("the gateway said", said);
    }
    match remedy {
        Some(remedy) => error.remedy(remedy),
        None => error,
    }
}

/// The likely cause of a refusal, and what to do about it.
fn cause(reply: &Response, key: Option<&GroupingKey>) -> (&'static str, Option<String>) {
    let body = &reply.body;
    let owned = |text: &str| Some(text.to_owned());
    match reply.status {
        300..=399 => (
            "the gateway's address redirects",
            owned("a redirected push would arrive empty: use the target's address as the URL"),
        ),
        400 if wants_tls(body) => {
            ("the gateway speaks TLS on this port", owned("use https:// in its URL"))
        }
        400 if body.contains("must not have timestamps") => {
            ("the gateway takes no timestamps", owned("export samples without them"))
        }
        400 if body.contains("inconsistent with existing metrics") => {
            ("the metrics clash with what the gateway holds", Some(clash_remedy(body, key)))
        }
        400 if body.contains("parsing error") => (
            "the gateway could not read the metrics",
            owned("an ingress or the server may be no Pushgateway"),
        ),
        400 => ("the gateway refused the push", None),
        401 => {
            ("the gateway wants credentials", owned("check the user and password, or the token"))
        }
        403 => ("the credentials do not allow this", owned("check what the user or token may do")),
        404 => (
            "there is no Pushgateway at this URL",
            owned(
                "check the port, 9091 unless told otherwise, and the gateway's path prefix; 9090 is Prometheus' own",
            ),
        ),
        405 => (
            "the server does not take pushes here",
            owned("check that the URL is a Pushgateway's, not Prometheus' own"),
        ),
        407 => (
            "the proxy wants credentials",
            owned("put them into the proxy's variable, as in http://user:password@proxy:3128"),
        ),
        413 => (
            "the push is larger than the server allows",
            owned("export fewer series, or raise the limit of the ingress in front of the gateway"),
        ),
        429 => ("the server limits the rate of pushes", owned("push less often")),
        408 | 425 | 500..=599 => ("the gateway can't take pushes at the moment", None),
        _ => ("the server's answer is not a Pushgateway's", owned("check the URL")),
    }
}

/// What Go's servers and nginx say to plain text on a port that has TLS.
fn wants_tls(body: &str) -> bool {
    ["HTTP request to an HTTPS server", "HTTP request was sent to HTTPS port"]
        .iter()
        .any(|said| body.contains(said))
}

fn clash_remedy(body: &str, key: Option<&GroupingKey>) -> String {
    let own = key.map_or_else(String::new, |key| format!(" (this push was for {key})"));
    match quoted_metric(body) {
        Some(name) => format!(
            "another group holds {name:?} with another type, or the push has it twice{own}: \
             rename one of them, or delete the other group"
        ),
        None => format!("rename the metric the text names, or delete the group that holds it{own}"),
    }
}

/// The metric that the consistency check names: `collected metric "x" {…} is not a GAUGE`.
fn quoted_metric(body: &str) -> Option<&str> {
    let after = body.split_once("collected metric ")?.1.trim_start_matches(['"', '\'']);
    after.split(['"', '\'', ' ']).next().filter(|name| !name.is_empty())
}

/// The first line of a reply, shortened: enough to recognize it, too little to flood a log.
fn said(body: &str) -> Cow<'_, str> {
    const LONGEST: usize = 400;
    excerpt(body.trim().lines().next().unwrap_or_default(), LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Result<Acceptance, Error> {
        let location = (300..400).contains(&status).then(|| "https://elsewhere/metrics".to_owned());
        let reply = Response { status, location, retry_after: None, body: body.into() };
        accepted(&reply, &GroupingKey::new("import").unwrap())
    }

    fn refused(status: u16, body: &str) -> Error {
        answer(status, body).unwrap_err()
    }

    #[test]
    fn three_statuses_are_success() {
        assert_eq!(answer(200, "").unwrap(), Acceptance::Applied);
        assert_eq!(answer(202, "").unwrap(), Acceptance::Queued);
        assert_eq!(answer(204, "").unwrap(), Acceptance::Queued);
    }

    #[test]
    fn each_kind_of_refusal_is_told_apart() {
        for status in [301, 302, 303, 307, 308, 401, 403, 404, 405, 407] {
            assert!(refused(status, "").is_config(), "{status}");
        }
        for status in [400, 402, 409, 413, 422] {
            let error = refused(status, "");
            assert!(error.is_rejected() && error.status() == Some(status), "{status}");
        }
        for status in [408, 425, 429, 500, 502, 503, 504] {
            assert!(refused(status, "").is_retryable(), "{status}");
        }
    }

    #[test]
    fn a_redirect_names_its_target() {
        assert_eq!(
            refused(301, "<a href=..>Moved</a>").to_string(),
            "the gateway's address redirects (status: 301, location: https://elsewhere/metrics, \
             the gateway said: <a href=..>Moved</a>); a redirected push would arrive empty: use the target's \
             address as the URL"
        );
    }

    #[test]
    fn a_page_is_no_success() {
        let error = refused(200, "\n<html>Please log in</html>");
        assert!(error.is_config() && error.to_string().contains("login page"), "{error}");
    }

    #[test]
    fn a_clash_names_the_metric_and_the_group() {
        let error = refused(
            400,
            "pushed metrics are invalid or inconsistent with existing metrics: collected metric \"orders\" \
             { label:<name:\"job\" value:\"y\" > counter:<value:1 > } is not a GAUGE\n",
        );
        let text = error.to_string();
        assert!(text.contains(r#"another group holds "orders""#), "{text}");
        assert!(text.contains(r#"this push was for {job="import"}"#), "{text}");
    }

    #[test]
    fn plain_http_to_a_tls_port_is_recognized() {
        let error = refused(400, "Client sent an HTTP request to an HTTPS server.\n");
        assert!(error.to_string().contains("use https://"), "{error}");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let long = "é".repeat(1_000);
        let said = said(&long);
        assert_eq!(said.chars().count(), 401);
    }
}
