//! Checks the reader of history files with arbitrary bytes.

use super::history_file::{HistoryFile, with_version};

/// Decodes a file. The history is the same after it is encoded again.
///
/// # Panics
/// If the reader is wrong.
pub fn history(bytes: &[u8]) {
    if let Ok(HistoryFile { record, .. }) = HistoryFile::decode(bytes) {
        let encoded = HistoryFile::encode(&record);
        let again = HistoryFile::decode(&encoded).map(|file| HistoryFile::encode(&file.record));
        assert_eq!(again, Ok(encoded));
        record.runs().for_each(drop);
    }
}

/// Decodes the lines of a file. Random bytes do not have the right checksum, so the header is added.
///
/// # Panics
/// If the reader is wrong.
pub fn history_lines(bytes: &[u8]) {
    history(with_version(1, &String::from_utf8_lossy(bytes)).as_bytes());
}
