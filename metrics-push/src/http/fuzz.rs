//! Checks the readers of response headers and of URLs with arbitrary bytes.

use reqwest::header::{DATE, HeaderMap, HeaderValue, RETRY_AFTER};

use super::retry_after::{MAX_RETRY_AFTER, retry_after};
use super::url::{parse_base, parse_endpoint, redacted, redacted_target};
use crate::clock::Moment;

/// Reads `Retry-After` and `Date`, one per line.
///
/// # Panics
/// If the reader is wrong.
pub fn retry_after_header(bytes: &[u8]) {
    let mut headers = HeaderMap::new();
    for (name, value) in [RETRY_AFTER, DATE].into_iter().zip(bytes.split(|byte| *byte == b'\n')) {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.insert(name, value);
        }
    }
    assert!(retry_after(&headers, Moment::now().wall()) <= Some(MAX_RETRY_AFTER));
}

/// Reads the URL of a gateway, of an endpoint or of a redirect.
///
/// # Panics
/// If the reader is wrong.
pub fn url(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = parse_base(&text);
    let _ = parse_endpoint(&text, "influx+", |_| "/write");
    let _ = redacted_target(&text);
    // A message quotes the URL without its credentials.
    for separator in ["@", ""] {
        let shown = redacted(&format!("http://user:hunter2{separator}{text}"));
        assert!(!shown.contains("hunter2") || text.contains("hunter2"), "{shown}");
    }
}
