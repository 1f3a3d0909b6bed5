//! Reads the messages in responses: `ExportMetricsServiceResponse` of an accepted request, `Status` of a rejected one.

use crate::sink::proto::{FieldValue, read_fields};

/// What the receiver reports about a request that it accepted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PartialSuccess {
    pub(super) rejected_data_points: u64,
    pub(super) message: String,
}

impl PartialSuccess {
    /// Reads a response. Its body is empty if the receiver has nothing to report. Returns `None` for another body.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let mut partial_success = Some(Self::default());
        read_fields(body, |field, value| {
            if let (1, FieldValue::Bytes(message)) = (field, value) {
                partial_success = Self::parse_message(message);
            }
        })?;
        partial_success
    }

    fn parse_message(message: &[u8]) -> Option<Self> {
        let mut parsed = Self::default();
        read_fields(message, |field, value| match (field, value) {
            (1, FieldValue::Number(count)) => parsed.rejected_data_points = count,
            (2, FieldValue::Bytes(text)) => parsed.message = String::from_utf8_lossy(text).into(),
            _ => {}
        })?;
        Some(parsed)
    }
}

/// Returns the message of a `Status`; `None` for another body.
pub(super) fn status_message(body: &[u8]) -> Option<String> {
    let mut message = None;
    read_fields(body, |field, value| {
        if let (2, FieldValue::Bytes(text)) = (field, value) {
            message = std::str::from_utf8(text).ok().map(str::to_owned);
        }
    })?;
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_response_rejects_nothing() {
        for body in [&[][..], &[10, 0]] {
            assert_eq!(PartialSuccess::parse(body), Some(PartialSuccess::default()), "{body:?}");
        }
    }

    #[test]
    fn rejected_points_and_the_message_are_read() {
        let body = b"\x0a\x0b\x08\xac\x02\x12\x06denied";
        let expected = PartialSuccess { rejected_data_points: 300, message: "denied".into() };
        assert_eq!(PartialSuccess::parse(body), Some(expected));
    }

    #[test]
    fn other_response_is_not_a_message() {
        for body in ["<html>Please log in</html>", "ok", "{}"] {
            assert_eq!(PartialSuccess::parse(body.as_bytes()), None, "{body}");
            assert_eq!(status_message(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn message_of_a_status_is_read() {
        let body = b"\x08\x03\x12\x09malformed";
        assert_eq!(status_message(body).as_deref(), Some("malformed"));
    }
}
