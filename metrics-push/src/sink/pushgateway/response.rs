//! Maps a gateway's response to an [`Accepted`] or to an error with the likely cause and the remedy.

use crate::error::Error;
use crate::http::{MAX_RESPONSE_SIZE, Response};
use crate::labels::GroupingKey;
use crate::sink::interface::Accepted;
use crate::sink::post::{self, expects_tls, is_web_page};

/// Returns true if the gateway may have failed to parse the body. If it rejects metrics that it could parse, its message
/// contains "pushed metrics".
pub(super) fn is_misread(response: &Response) -> bool {
    response.status == 415 || (response.status == 400 && !response.body.contains("pushed metrics"))
}

/// Returns how far the gateway has processed a request that it accepted.
///
/// # Errors
/// If the gateway rejected the request, or another server responded.
pub(super) fn accepted(response: &Response, key: &GroupingKey) -> Result<Accepted, Error> {
    check_success(response, Some(key))?;
    if response.body.len() >= MAX_RESPONSE_SIZE {
        return Err(Error::config("the response is too large for a Pushgateway")
            .remedy("check the URL: another server may listen there"));
    }
    // A gateway that does not check pushes, or queues them, responds with 202. Compatible servers and proxies respond
    // with other success statuses.
    Ok(if response.status == 200 { Accepted::Applied } else { Accepted::Queued })
}

/// Returns `Ok` for a success status without a web page: a login page or a proxy may respond in place of the gateway.
///
/// # Errors
/// If the gateway rejected the request, or another server responded.
pub(super) fn check_success(response: &Response, key: Option<&GroupingKey>) -> Result<(), Error> {
    match response.status {
        200..=299 if is_web_page(response) => {
            Err(Error::config("the response is a web page and not from a Pushgateway")
                .remedy("check the URL: a proxy or a login page may be in front of the gateway"))
        }
        200..=299 => Ok(()),
        _ => Err(refusal(response, key)),
    }
}

/// Returns the error for a response that is not a success.
fn refusal(response: &Response, key: Option<&GroupingKey>) -> Error {
    let (what, remedy) = cause(response, key);
    let error = post::refusal(response, what);
    match remedy {
        Some(remedy) => error.remedy(remedy),
        None => error,
    }
}

/// Returns the likely cause of a rejection, and the remedy.
fn cause(response: &Response, key: Option<&GroupingKey>) -> (&'static str, Option<String>) {
    let body = &response.body;
    let owned = |text: &str| Some(text.to_owned());
    match response.status {
        300..=399 => (
            "the URL redirects to another one",
            owned("set the target as the URL: a redirected push would arrive without its body"),
        ),
        400 if expects_tls(body) => {
            ("the gateway uses TLS on this port", owned("write https:// in the URL"))
        }
        400 if body.contains("must not have timestamps") => {
            ("the gateway rejects timestamps", owned("export samples without timestamps"))
        }
        400 if body.contains("inconsistent with existing metrics") => {
            ("the metrics clash with metrics in the gateway", Some(clash_remedy(body, key)))
        }
        400 if body.contains("parsing error") => (
            "the gateway could not parse the metrics",
            owned(
                "correct the line that the response names, or check whether a proxy changes bodies",
            ),
        ),
        400 => ("the gateway rejected the push", None),
        401 => (
            "the gateway requires valid credentials",
            owned("check METRICS_PUSH_USERNAME and METRICS_PUSH_PASSWORD, or METRICS_PUSH_TOKEN"),
        ),
        403 => (
            "the credentials do not permit this request",
            owned("check the permissions of the user or the token"),
        ),
        404 => (
            "no Pushgateway responds at this URL",
            owned(
                "check the port (9091 by default; 9090 is Prometheus) and the gateway's path prefix",
            ),
        ),
        405 => (
            "the server does not support pushes",
            owned("check that the URL points to a Pushgateway and not to Prometheus"),
        ),
        407 => (
            "the proxy requires credentials",
            owned(
                "add them to HTTP_PROXY, HTTPS_PROXY or ALL_PROXY, for example http://user:password@proxy:3128",
            ),
        ),
        413 => (
            "the push is too large for the server",
            owned("export fewer series, or raise the limit of the ingress in front of the gateway"),
        ),
        429 => ("the server limits the rate of pushes", owned("push less often")),
        408 | 425 | 500..=599 => ("the gateway cannot accept pushes at the moment", None),
        _ => ("a Pushgateway does not respond with this status", owned("check the URL")),
    }
}

fn clash_remedy(body: &str, key: Option<&GroupingKey>) -> String {
    let own = key.map_or_else(String::new, |key| format!(" (this push was for {key})"));
    match quoted_metric(body) {
        Some(name) => format!(
            "another group contains {name:?} with another type, or the push contains it twice{own}: \
             rename one of them, or delete the other group"
        ),
        None => format!(
            "rename the metric named in the response, or delete the group that contains it{own}"
        ),
    }
}

/// Returns the name of the metric in a message of the gateway such as `collected metric "x" {…} is not a GAUGE`.
fn quoted_metric(body: &str) -> Option<&str> {
    let after = body.split_once("collected metric ")?.1.trim_start_matches(['"', '\'']);
    after.split(['"', '\'', ' ']).next().filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(status: u16, body: &str) -> Result<Accepted, Error> {
        let location = (300..400).contains(&status).then(|| "https://elsewhere/metrics".to_owned());
        let response = Response { status, location, body: body.into(), ..Response::default() };
        accepted(&response, &GroupingKey::new("import").unwrap())
    }

    fn error(status: u16, body: &str) -> Error {
        result(status, body).unwrap_err()
    }

    #[test]
    fn any_success_status_is_accepted() {
        assert!(matches!(result(200, ""), Ok(Accepted::Applied)));
        for status in [201, 202, 203, 204, 205, 206, 207, 226, 299] {
            for body in ["", "accepted"] {
                assert!(matches!(result(status, body), Ok(Accepted::Queued)), "{status}");
            }
            assert!(result(status, "<html>Please log in</html>").is_err(), "{status}");
        }
    }

    #[test]
    fn error_kind_follows_the_status() {
        for status in [301, 302, 303, 307, 308, 401, 403, 404, 405, 407] {
            assert!(error(status, "").is_config(), "{status}");
        }
        for status in [400, 402, 409, 413, 422] {
            let error = error(status, "");
            assert!(error.is_rejected() && error.status() == Some(status), "{status}");
        }
        for status in [408, 425, 429, 500, 502, 503, 504] {
            assert!(error(status, "").is_retryable(), "{status}");
        }
    }

    #[test]
    fn redirect_error_names_the_target() {
        assert_eq!(
            error(301, "<a href=..>Moved</a>").to_string(),
            "the URL redirects to another one (status: 301, location: https://elsewhere/metrics, \
             response: <a href=..>Moved</a>); set the target as the URL: a redirected push would arrive \
             without its body"
        );
    }

    #[test]
    fn web_page_is_an_error() {
        let error = error(200, "\n<html>Please log in</html>");
        assert!(error.is_config() && error.to_string().contains("login page"), "{error}");
    }

    #[test]
    fn clash_error_names_the_metric_and_the_group() {
        let error = error(
            400,
            "pushed metrics are invalid or inconsistent with existing metrics: collected metric \"orders\" \
             { label:<name:\"job\" value:\"y\" > counter:<value:1 > } is not a GAUGE\n",
        );
        let text = error.to_string();
        assert!(text.contains(r#"another group contains "orders""#), "{text}");
        assert!(text.contains(r#"this push was for {job="import"}"#), "{text}");
    }

    #[test]
    fn parsing_error_of_the_gateway_is_the_cause() {
        let error =
            error(400, "text format parsing error in line 3: expected float as value, got \"x\"\n");
        let text = error.to_string();
        assert!(text.contains("response: text format parsing error in line 3"), "{text}");
        assert!(text.ends_with(
            "; correct the line that the response names, or check whether a proxy changes bodies"
        ));
    }

    #[test]
    fn unauthorized_error_names_the_variables() {
        let text = error(401, "").to_string();
        assert!(text.contains("METRICS_PUSH_PASSWORD, or METRICS_PUSH_TOKEN"), "{text}");
    }

    #[test]
    fn error_for_plain_http_on_a_tls_port_suggests_https() {
        let error = error(400, "Client sent an HTTP request to an HTTPS server.\n");
        assert!(error.to_string().contains("write https://"), "{error}");
    }
}
