//! Checks the reader of spooled requests with arbitrary bytes.

use super::record::{decode, encode};

/// Decodes a record. Its request is the same after it is encoded again.
///
/// # Panics
/// If the reader is wrong.
pub fn record(bytes: &[u8]) {
    if let Ok(record) = decode(bytes) {
        let again = decode(&encode(&record.sink, &record.request));
        assert_eq!(
            again.map(|again| (again.sink, again.request)),
            Ok((record.sink, record.request))
        );
    }
}

/// Decodes the fields of a record. Random bytes do not have the right checksum, so it is added.
///
/// # Panics
/// If the reader is wrong.
pub fn record_fields(fields: &[u8]) {
    let checksum = super::record::checksum_of(&[fields]);
    let head = format!("metrics-push request 1 {checksum:032x}\n");
    record(&[head.as_bytes(), fields].concat());
}
