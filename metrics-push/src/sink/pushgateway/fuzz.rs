//! Checks the readers of a gateway's responses with arbitrary bytes.

use super::query_api::{parse_groups, parse_start_time};
use super::response::{accepted, is_misread};
use crate::http::Response;
use crate::labels::GroupingKey;

/// Parses the stored groups.
///
/// # Panics
/// If the reader is wrong.
pub fn stored_groups(bytes: &[u8]) {
    for group in parse_groups(&String::from_utf8_lossy(bytes)).into_iter().flatten() {
        let _ = group.pushed_at();
        if let Some(key) = group.grouping_key() {
            let _ = group.has_key(&key);
        }
    }
}

/// Parses the start time of a gateway.
///
/// # Panics
/// If the reader is wrong.
pub fn start_time(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = parse_start_time(&text);
    let _ = parse_start_time(&format!(r#"{{"data":{{"start_time":"{text}"}}}}"#));
}

/// Reads the response to a push. The first two bytes are the status.
///
/// # Panics
/// If the reader is wrong, or returns a message of unlimited length.
pub fn response(bytes: &[u8]) {
    let Some((status, rest)) = bytes.split_first_chunk() else { return };
    let body = String::from_utf8_lossy(rest).into_owned();
    let status = u16::from_be_bytes(*status) % 1_000;
    let location = body.lines().next().map(str::to_owned);
    let response = Response { status, location, retry_after: None, body };
    let _ = is_misread(&response);
    if let Ok(key) = GroupingKey::new("job")
        && let Err(error) = accepted(&response, &key)
    {
        assert!(error.to_string().len() < 40_000);
    }
}
