//! Decompresses request bodies.

use std::io::{self, Read as _};

use flate2::read::MultiGzDecoder;

use super::http::{HttpResponse, MAX_BODY};

/// The first bytes of every gzip stream, and the length of its shortest header.
const MAGIC: [u8; 3] = [0x1f, 0x8b, 0x08];
const MIN_HEADER_LEN: usize = 10;

/// Decompresses a body. If it is corrupt, returns the part before the error, which the parser reads, and the error.
pub(super) fn decompress(bytes: &[u8]) -> Result<(Vec<u8>, Option<&'static str>), HttpResponse> {
    let mut decompressed = Vec::new();
    let read = MultiGzDecoder::new(bytes).take(MAX_BODY as u64 + 1).read_to_end(&mut decompressed);
    match read {
        Ok(length) if length <= MAX_BODY => Ok((decompressed, None)),
        Ok(_) => Err(HttpResponse::error(413, "Request Entity Too Large")),
        Err(_) if bytes.is_empty() => Err(HttpResponse::error(400, "EOF")),
        // The real gateway reads the header before it starts to parse.
        Err(_) if bytes.len() < MIN_HEADER_LEN => Err(HttpResponse::error(400, "unexpected EOF")),
        Err(_) if !bytes.starts_with(&MAGIC) => {
            Err(HttpResponse::error(400, "gzip: invalid header"))
        }
        Err(error) => Ok((decompressed, Some(message(&error)))),
    }
}

fn message(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "unexpected EOF",
        _ if error.to_string().contains("header") => "gzip: invalid header",
        _ => "gzip: invalid checksum",
    }
}
