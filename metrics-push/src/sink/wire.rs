//! Wire: what of a request goes over the wire: its text or the same as protobuf, as it is or compressed.
//!
//! Parcels hold text and nothing else, which is what waits, is merged and lies on disk. Any other form is made of it
//! for one request, at the last moment, and a gateway that doesn't read it gets the text.

use super::gzip;
use super::protobuf;
use crate::error::Error;
use crate::push_request::Payload;

/// The text format's media type. It is the one that every compatible server understands.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A gateway compares these three parts, and takes everything else for text.
const PROTOBUF_FORMAT: &str =
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

/// What is smaller goes as it is: it leaves in the first packets of a connection, so compressing it saves no time.
pub(crate) const COMPRESSED_FROM: usize = 16 * 1024;

/// How metrics are written for a gateway. The default is what every compatible server reads: plain text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wire {
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

/// The body of one request, and the headers that say what it is.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) content_type: &'static str,
    pub(super) content_encoding: Option<&'static str>,
    pub(super) bytes: Vec<u8>,
}

impl Wire {
    pub(crate) fn protobuf(self) -> Self {
        Self { format: Format::Protobuf, ..self }
    }

    /// # Errors
    /// `is_config`, if this build can't compress.
    pub(crate) fn gzip(self) -> Result<Self, Error> {
        gzip::check()?;
        Ok(Self { compression: Compression::Gzip, ..self })
    }

    pub(super) fn encode(self, payload: &Payload<'_>) -> Body {
        let text = || (TEXT_FORMAT, payload.body().into_bytes());
        let (content_type, bytes) = match self.format {
            Format::Text => text(),
            Format::Protobuf => match protobuf::encode(payload.families()) {
                Some(messages) => (PROTOBUF_FORMAT, messages),
                None => text(),
            },
        };
        match self.compression {
            Compression::None => Body { content_type, content_encoding: None, bytes },
            Compression::Gzip => compressed(content_type, bytes, gzip::compress),
        }
    }
}

/// A large body made smaller, if that can be done.
fn compressed(
    content_type: &'static str,
    bytes: Vec<u8>,
    compress: fn(&[u8]) -> Option<Vec<u8>>,
) -> Body {
    let is_large = bytes.len() >= COMPRESSED_FROM;
    match is_large.then(|| compress(&bytes)).flatten() {
        Some(smaller) => Body { content_type, content_encoding: Some("gzip"), bytes: smaller },
        None => Body { content_type, content_encoding: None, bytes },
    }
}

impl Body {
    /// Whether there is a simpler form, in which a gateway that didn't understand may do so.
    pub(super) fn is_plain(&self) -> bool {
        self.content_type == TEXT_FORMAT && self.content_encoding.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_can_not_be_compressed_goes_as_it_is() {
        let bytes = vec![b'#'; COMPRESSED_FROM];
        let body = compressed(TEXT_FORMAT, bytes.clone(), |_| None);
        assert!(body.is_plain() && body.bytes == bytes);
        let body = compressed(TEXT_FORMAT, bytes, |_| Some(vec![1]));
        assert_eq!((body.content_encoding, &body.bytes[..]), (Some("gzip"), &[1][..]));
    }

    #[test]
    fn a_small_body_is_not_compressed() {
        let body = compressed(TEXT_FORMAT, vec![b'#'; COMPRESSED_FROM - 1], |_| Some(vec![1]));
        assert!(body.is_plain());
    }
}
