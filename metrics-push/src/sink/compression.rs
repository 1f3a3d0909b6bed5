//! `Compression`: whether the bodies of requests are compressed.

use super::gzip;
use crate::error::Error;

/// Smaller bodies are not compressed: they fit in the first packets of a connection, so compression saves no time.
const MIN_COMPRESSED_SIZE: usize = 16 * 1024;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Compression {
    #[default]
    None,
    Gzip,
}

/// The bytes of a body, and the value of the header `Content-Encoding`. Empty by default.
#[derive(Debug, Default)]
pub(super) struct CompressedBody {
    pub(super) content_encoding: Option<&'static str>,
    pub(super) bytes: Vec<u8>,
}

impl Compression {
    /// Selects gzip.
    ///
    /// # Errors
    /// `is_config` if the feature `gzip` is off.
    pub(super) fn gzip() -> Result<Self, Error> {
        gzip::check()?;
        Ok(Self::Gzip)
    }

    /// Compresses a body if it is large. If the compression fails, the body remains uncompressed.
    pub(super) fn apply(self, bytes: Vec<u8>) -> CompressedBody {
        match self {
            Self::None => CompressedBody { content_encoding: None, bytes },
            Self::Gzip => compress(bytes, gzip::compress),
        }
    }
}

fn compress(bytes: Vec<u8>, compress: fn(&[u8]) -> Option<Vec<u8>>) -> CompressedBody {
    let is_large = bytes.len() >= MIN_COMPRESSED_SIZE;
    match is_large.then(|| compress(&bytes)).flatten() {
        Some(bytes) => CompressedBody { content_encoding: Some("gzip"), bytes },
        None => CompressedBody { content_encoding: None, bytes },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_remains_uncompressed_if_compression_fails() {
        let bytes = vec![b'#'; MIN_COMPRESSED_SIZE];
        let body = compress(bytes.clone(), |_| None);
        assert!(body.content_encoding.is_none() && body.bytes == bytes);
        let body = compress(bytes, |_| Some(vec![1]));
        assert_eq!((body.content_encoding, &body.bytes[..]), (Some("gzip"), &[1][..]));
    }

    #[test]
    fn body_below_the_minimum_size_is_not_compressed() {
        let body = compress(vec![b'#'; MIN_COMPRESSED_SIZE - 1], |_| Some(vec![1]));
        assert!(body.content_encoding.is_none());
    }
}
