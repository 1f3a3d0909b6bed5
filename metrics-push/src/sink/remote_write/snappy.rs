//! Compresses messages as snappy blocks, the only compression that remote write has.

use crate::error::{Error, Kind};

/// # Errors
/// `is_metric` if the message is larger than 4 GiB, which the format does not allow.
pub(super) fn compress(message: &[u8]) -> Result<Vec<u8>, Error> {
    let compressed = snap::raw::Encoder::new().compress_vec(message);
    compressed.map_err(|error| {
        Error::new(Kind::Metric, "the metrics could not be compressed").caused_by(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_message_is_one_byte() {
        assert_eq!(compress(&[]).unwrap(), [0]);
    }

    #[test]
    fn short_message_is_one_literal() {
        let message = *b"0123456789";
        assert_eq!(compress(&message).unwrap(), [&[10, 9 << 2][..], &message].concat());
    }
}
