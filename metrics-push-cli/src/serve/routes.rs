//! The responses: which document a request receives, and the headers of every response.

use std::net::IpAddr;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderName, HeaderValue,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use percent_encoding::percent_decode_str;

use super::hosts::AllowedHosts;
use super::snapshot::Snapshot;
use crate::page::{Filter, content_security_policy};

const HTML: &str = "text/html; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

pub(super) type PageResponse = Response<Full<Bytes>>;

/// Returns the response to a request that is refused, whatever it asks for.
pub(super) fn refuse(request: &Parts, hosts: &AllowedHosts, local: IpAddr) -> Option<PageResponse> {
    if !is_host_allowed(request, hosts, local) {
        let message = "The host of this URL is unknown; add it with --host NAME.\n";
        return Some(response(StatusCode::MISDIRECTED_REQUEST, TEXT, message));
    }
    if !matches!(request.method, Method::GET | Method::HEAD) {
        let mut refused = response(StatusCode::METHOD_NOT_ALLOWED, TEXT, "Use GET or HEAD.\n");
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Some(refused);
    }
    None
}

fn is_host_allowed(request: &Parts, hosts: &AllowedHosts, local: IpAddr) -> bool {
    let mut headers = request.headers.get_all(HOST).iter();
    match (headers.next().map(HeaderValue::to_str), headers.next()) {
        (Some(Ok(host)), None) => {
            let target = request.uri.host().unwrap_or(host);
            hosts.is_allowed(host, local) && hosts.is_allowed(target, local)
        }
        _ => false,
    }
}

/// Returns the document at the path.
pub(super) fn route(request: &Parts, snapshot: &Snapshot) -> PageResponse {
    let found = match (request.uri.path(), request.uri.query()) {
        ("/", None) => Some(Ok(snapshot.html.clone())),
        ("/", Some(query)) => Some(snapshot.filtered(&filter(query))),
        (path, _) => path.strip_prefix("/job/").and_then(|id| snapshot.job(id)),
    };
    match found {
        Some(Ok(html)) => response(StatusCode::OK, HTML, html),
        Some(Err(_)) => {
            response(StatusCode::INTERNAL_SERVER_ERROR, TEXT, "The page cannot be rendered.\n")
        }
        None => {
            response(StatusCode::NOT_FOUND, TEXT, "The page does not exist, or its job is gone.\n")
        }
    }
}

/// Returns the response while the first data is missing.
pub(super) fn not_ready() -> PageResponse {
    response(
        StatusCode::SERVICE_UNAVAILABLE,
        TEXT,
        "The gateways have not responded yet; reload this page.\n",
    )
}

fn response(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> PageResponse {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let policy = format!("{}; frame-ancestors 'none'", content_security_policy());
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// Reads the fields of the filter form.
fn filter(query: &str) -> Filter {
    let mut filter = Filter::default();
    for field in query.split('&') {
        let (name, value) = field.split_once('=').unwrap_or((field, ""));
        let value = value.replace('+', " ");
        let value = percent_decode_str(&value).decode_utf8_lossy().into_owned();
        match name {
            "q" => filter.query = value,
            "state" => filter.state = value,
            _ => {}
        }
    }
    filter
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filter_is_read_from_the_query() {
        let read = |query: &str| {
            let Filter { query, state } = filter(query);
            (query, state)
        };
        assert_eq!(read("q=a+b%3D%22&state=fine"), ("a b=\"".to_owned(), "fine".to_owned()));
        assert_eq!(read("theme=dark&q"), (String::new(), String::new()));
        assert_eq!(read("q=%ff%"), ("\u{fffd}%".to_owned(), String::new()));
    }
}
