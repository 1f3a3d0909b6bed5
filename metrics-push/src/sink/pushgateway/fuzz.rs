//! Checks the readers of a gateway's responses with arbitrary bytes.

use super::group_states_reader::GroupStatesReader;
use super::groups_reader::GroupsReader;
use super::listing::{Listing, Visitor};
use super::query_api::parse_start_time;
use super::response::{accepted, is_misread};
use crate::http::Response;
use crate::labels::GroupingKey;

/// Parses the stored groups.
///
/// # Panics
/// If the reader is wrong.
pub fn stored_groups(bytes: &[u8]) {
    let groups = read(Listing::new(GroupsReader::default()), bytes).map(GroupsReader::into_groups);
    for group in groups.into_iter().flatten() {
        let _ = group.pushed_at();
        if let Some(key) = group.grouping_key() {
            let _ = group.has_key(&key);
        }
    }
    if let Some(states) = read(GroupStatesReader::listing([].into()), bytes) {
        let _ = states.into_states();
    }
}

/// Reads a listing in parts of different sizes. Returns `None` if it is invalid.
fn read<V: Visitor>(mut listing: Listing<V>, bytes: &[u8]) -> Option<V> {
    let (first, rest) = bytes.split_at(bytes.len() / 3);
    for part in first.chunks(7).chain(rest.chunks(8_192)) {
        if listing.read(part).is_break() {
            break;
        }
    }
    listing.finish().ok()
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
    let response = Response { status, location, body, ..Response::default() };
    let _ = is_misread(&response);
    if let Ok(key) = GroupingKey::new("job")
        && let Err(error) = accepted(&response, &key)
    {
        assert!(error.to_string().len() < 40_000);
    }
}
