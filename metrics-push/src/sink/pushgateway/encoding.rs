//! The encodings of a request's body: text or protobuf, with or without gzip.
//!
//! A `PushRequest` contains text, so that it can be merged and written to disk. The text is encoded right before it is
//! sent.

use super::protobuf;
use crate::error::Error;
use crate::http::RequestBody;
use crate::push_request::Payload;
use crate::sink::compression::{CompressedBody, Compression};

/// The media type of the text format, which every compatible server supports.
const TEXT_MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The media type of delimited protobuf. The gateway requires both parameters, and parses other media types as text.
const PROTOBUF_MEDIA_TYPE: &str =
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

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

/// The body of one request, and the headers that describe it.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) content_type: &'static str,
    pub(super) content_encoding: Option<&'static str>,
    pub(super) bytes: RequestBody,
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
        Ok(Self { compression: Compression::gzip()?, ..self })
    }

    /// Returns the compression, which does not depend on the format.
    pub(crate) fn compression(self) -> Compression {
        self.compression
    }

    /// Encodes the body of a request. Falls back to text if the families cannot be encoded as protobuf.
    pub(super) fn encode(self, payload: &Payload<'_>) -> Body {
        if self == Self::default() {
            let bytes = payload.body_parts().into_iter().collect();
            return Body { content_type: TEXT_MEDIA_TYPE, content_encoding: None, bytes };
        }
        let text = || (TEXT_MEDIA_TYPE, payload.body().into_bytes());
        let (content_type, bytes) = match self.format {
            Format::Text => text(),
            Format::Protobuf => match protobuf::encode(payload.families()) {
                Some(messages) => (PROTOBUF_MEDIA_TYPE, messages),
                None => text(),
            },
        };
        let CompressedBody { content_encoding, bytes } = self.compression.apply(bytes);
        Body { content_type, content_encoding, bytes: bytes.into() }
    }
}

impl Body {
    /// Returns true if the body has the default encoding.
    pub(super) fn is_plain_text(&self) -> bool {
        self.content_type == TEXT_MEDIA_TYPE && self.content_encoding.is_none()
    }
}
