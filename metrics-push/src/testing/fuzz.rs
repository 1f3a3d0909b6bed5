//! Checks the readers of the fake gateway with arbitrary bytes.

use super::go_base64::{Alphabet, decode_base64};
use super::path::{JobEncoding, clean, grouping_key, percent_decode, percent_encode};
use super::{parse, protobuf};

/// Parses the body of a push in the text format.
///
/// # Panics
/// If the reader is wrong.
pub fn fake_text(bytes: &[u8]) {
    let _ = parse::parse(bytes);
}

/// Parses the body of a push in the protobuf format.
///
/// # Panics
/// If the reader is wrong.
pub fn fake_protobuf(bytes: &[u8]) {
    let _ = protobuf::read(bytes);
}

/// Parses the path of a push.
///
/// # Panics
/// If the reader is wrong.
pub fn fake_path(bytes: &[u8]) {
    let cleaned = clean(bytes);
    assert_eq!(clean(&cleaned), cleaned);
    if let Some(decoded) = percent_decode(bytes) {
        let encoded = percent_encode(&decoded);
        assert_eq!(percent_decode(encoded.as_bytes()), Some(decoded));
    }
    let (job, labels) = bytes.split_at(bytes.iter().position(|byte| *byte == b'/').unwrap_or(0));
    for encoding in [JobEncoding::Plain, JobEncoding::Base64] {
        let _ = grouping_key(job, encoding, labels);
    }
    let _ = decode_base64(bytes, Alphabet::Url);
}
