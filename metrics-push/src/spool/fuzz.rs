//! Checks the readers of spooled requests and of recorded outages with arbitrary bytes.

use super::outage;
use super::record::{VERSION, decode, encode};

/// Decodes a record. Its request is the same after it is encoded again.
///
/// # Panics
/// If the reader is wrong.
pub fn record(bytes: &[u8]) {
    if let Ok(record) = decode(bytes) {
        let again = decode(&encode(&record.sink, record.reason, &record.request));
        assert_eq!(
            again.map(|again| (again.sink, again.reason, again.request)),
            Ok((record.sink, record.reason, record.request))
        );
    }
}

/// Decodes the record of an outage of the sink `a`. Its time is the same after it is encoded again.
///
/// # Panics
/// If the reader is wrong.
pub fn outage_record(bytes: &[u8]) {
    if let Some(at) = outage::decode(bytes, "a") {
        assert_eq!(outage::decode(outage::encode("a", at).as_bytes(), "a"), Some(at));
    }
}

/// Decodes the fields of a record. Random bytes do not have the right checksum, so it is added.
///
/// # Panics
/// If the reader is wrong.
pub fn record_fields(fields: &[u8]) {
    let checksum = crate::checksum::checksum_of(&[fields]);
    for version in 1..=VERSION {
        let head = format!("metrics-push request {version} {checksum:032x}\n");
        record(&[head.as_bytes(), fields].concat());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::labels::GroupingKey;
    use crate::push_request::{PushRequest, Verb};
    use crate::spool::SpoolReason;

    proptest! {
        #[test]
        fn decoded_record_equals_any_encoded_request(
            sink in ".*",
            verb in prop_oneof![Just(Verb::Push), Just(Verb::Add), Just(Verb::Delete)],
            created_at: u64,
            job in ".+",
            labels in proptest::collection::btree_map("[a-z]{1,3}x", ".+", 0..4),
            families in proptest::collection::btree_map(".*", ".*", 0..4),
        ) {
            let mut key = GroupingKey::new(job).unwrap();
            for (name, value) in labels {
                key = key.label(name, value).unwrap();
            }
            let request = PushRequest::with_created_at(created_at, verb, key, families);
            let record = decode(&encode(&sink, SpoolReason::Undelivered, &request)).unwrap();
            prop_assert_eq!((record.sink, record.request), (sink, request));
        }
    }
}
