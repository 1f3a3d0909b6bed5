//! The encodings of a request's body: text or protobuf, with or without gzip.
//!
//! A `PushRequest` contains text, so that it can be merged and written to disk. The text is encoded right before it is
//! sent.

use super::gzip;
use super::protobuf;
use crate::error::Error;
use crate::push_request::Payload;

/// The media type of the text format, which every compatible server supports.
const TEXT_MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The media type of delimited protobuf. The gateway requires both parameters, and parses other media types as text.
const PROTOBUF_MEDIA_TYPE: &str =
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

/// Smaller bodies are not compressed: they fit in the first packets of a connection, so compression saves no time.
const MIN_COMPRESSED_SIZE: usize = 16 * 1024;

/// The encoding of bodies. The default is plain text, which every compatible server supports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Encoding {
    format: Format,
    compression: Compression,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Format {
    #[default]
    Text,
    Protobuf,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Compression {
    #[default]
    None,
    Gzip,
}

/// The body of one request, and the headers that describe it.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) content_type: &'static str,
    pub(super) content_encoding: Option<&'static str>,
    pub(super) bytes: Vec<u8>,
}

impl Encoding {
    /// Selects delimited protobuf.
    pub(crate) fn protobuf(self) -> Self {
        Self { format: Format::Protobuf, ..self }
    }

    /// Selects gzip.
    ///
    /// # Errors
    /// `is_config` if the feature `gzip` is off.
    pub(crate) fn gzip(self) -> Result<Self, Error> {
        gzip::check()?;
        Ok(Self { compression: Compression::Gzip, ..self })
    }

    /// Encodes the body of a request. Falls back to text if the families cannot be encoded as protobuf.
    pub(super) fn encode(self, payload: &Payload<'_>) -> Body {
        let text = || (TEXT_MEDIA_TYPE, payload.body().into_bytes());
        let (content_type, bytes) = match self.format {
            Format::Text => text(),
            Format::Protobuf => match protobuf::encode(payload.families()) {
                Some(messages) => (PROTOBUF_MEDIA_TYPE, messages),
                None => text(),
            },
        };
        match self.compression {
            Compression::None => Body { content_type, content_encoding: None, bytes },
            Compression::Gzip => compressed(content_type, bytes, gzip::compress),
        }
    }
}

/// Compresses a body if it is large. If the compression fails, the body remains uncompressed.
fn compressed(
    content_type: &'static str,
    bytes: Vec<u8>,
    compress: fn(&[u8]) -> Option<Vec<u8>>,
) -> Body {
    let is_large = bytes.len() >= MIN_COMPRESSED_SIZE;
    match is_large.then(|| compress(&bytes)).flatten() {
        Some(bytes) => Body { content_type, content_encoding: Some("gzip"), bytes },
        None => Body { content_type, content_encoding: None, bytes },
    }
}

impl Body {
    /// Returns true if the body has the default encoding.
    pub(super) fn is_plain_text(&self) -> bool {
        self.content_type == TEXT_MEDIA_TYPE && self.content_encoding.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_remains_uncompressed_if_compression_fails() {
        let bytes = vec![b'#'; MIN_COMPRESSED_SIZE];
        let body = compressed(TEXT_MEDIA_TYPE, bytes.clone(), |_| None);
        assert!(body.is_plain_text() && body.bytes == bytes);
        let body = compressed(TEXT_MEDIA_TYPE, bytes, |_| Some(vec![1]));
        assert_eq!((body.content_encoding, &body.bytes[..]), (Some("gzip"), &[1][..]));
    }

    #[test]
    fn body_below_the_minimum_size_is_not_compressed() {
        let body =
            compressed(TEXT_MEDIA_TYPE, vec![b'#'; MIN_COMPRESSED_SIZE - 1], |_| Some(vec![1]));
        assert!(body.is_plain_text());
    }
}
