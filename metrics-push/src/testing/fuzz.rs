//! Checks the readers of the fake gateway with arbitrary bytes.

use std::io::{self, Read, Write};

use super::go_base64::{Alphabet, decode_base64};
use super::http::{HttpStream, ReadError};
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

/// Reads the requests of a connection.
///
/// # Panics
/// If the reader is wrong.
pub fn fake_connection(bytes: &[u8]) {
    let mut stream = HttpStream::new(Received(bytes), 0);
    let mut length = 0;
    let error = loop {
        match stream.read() {
            Ok((request, _)) => {
                length += request.method.len() + request.path.len() + request.body.len();
            }
            Err(error) => break error,
        }
    };
    assert!(length <= bytes.len());
    if let ReadError::Rejected(response) = error {
        assert!((400..=599).contains(&response.status));
    }
}

/// The received bytes of a connection. The sent bytes are dropped.
struct Received<'a>(&'a [u8]);

impl Read for Received<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Received<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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
