//! Writes and reads the fields of protobuf messages, in the wire format of the
//! [encoding guide](https://protobuf.dev/programming-guides/encoding/).
//!
//! The messages that the sinks send are few, small and stable, so they are written by hand. Field numbers are below 16:
//! each tag is one byte.

// Wire types.
const VARINT: u8 = 0;
const I64: u8 = 1;
const LEN: u8 = 2;
const I32: u8 = 5;

/// Writes a field of an integer or enum type.
pub(super) fn number(message: &mut Vec<u8>, field: u8, value: u64) {
    message.push(field << 3 | VARINT);
    varint(message, value);
}

/// Writes a field of type `double`.
pub(super) fn double(message: &mut Vec<u8>, field: u8, value: f64) {
    fixed64(message, field, value.to_bits());
}

/// Writes a field of type `fixed64`.
pub(super) fn fixed64(message: &mut Vec<u8>, field: u8, value: u64) {
    message.push(field << 3 | I64);
    message.extend(value.to_le_bytes());
}

/// Writes a repeated field of type `double` or `fixed64`.
pub(super) fn packed(outer: &mut Vec<u8>, field: u8, values: impl Iterator<Item = [u8; 8]>) {
    message(outer, field, |packed| values.for_each(|value| packed.extend(value)));
}

/// Writes a field of type `string`.
pub(super) fn string(message: &mut Vec<u8>, field: u8, value: &str) {
    message.push(field << 3 | LEN);
    varint(message, value.len() as u64);
    message.extend_from_slice(value.as_bytes());
}

/// Writes a field that contains a label: a message of two strings.
pub(super) fn label(outer: &mut Vec<u8>, field: u8, name: &str, value: &str) {
    // Most labels are short: each of their lengths fits in one byte and is written before the content.
    let lengths = [name.len() + value.len() + 4, name.len(), value.len()].map(u8::try_from);
    if let [Ok(length @ ..CONTINUATION_BIT), Ok(name_length), Ok(value_length)] = lengths {
        outer.extend_from_slice(&[field << 3 | LEN, length, 1 << 3 | LEN, name_length]);
        outer.extend_from_slice(name.as_bytes());
        outer.extend_from_slice(&[2 << 3 | LEN, value_length]);
        outer.extend_from_slice(value.as_bytes());
        return;
    }
    message(outer, field, |label| {
        string(label, 1, name);
        string(label, 2, value);
    });
}

/// Writes a field that contains several integers.
#[cfg_attr(
    not(feature = "remote-write"),
    expect(dead_code, reason = "only remote write packs numbers")
)]
pub(super) fn packed_numbers(outer: &mut Vec<u8>, field: u8, values: &[u64]) {
    message(outer, field, |packed| values.iter().for_each(|value| varint(packed, *value)));
}

/// Writes a field that contains a message.
pub(super) fn message(outer: &mut Vec<u8>, field: u8, write: impl FnOnce(&mut Vec<u8>)) {
    outer.push(field << 3 | LEN);
    delimited(outer, write);
}

/// Writes a message, prefixed with its length.
pub(super) fn delimited<T>(outer: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    // Reserves one byte for the length. If the length needs more bytes, the message is moved to make room for them.
    outer.push(0);
    let start = outer.len();
    let written = write(outer);
    let length = outer.len() - start;
    match u8::try_from(length) {
        Ok(short) if short < CONTINUATION_BIT => outer[start - 1] = short,
        _ => {
            outer[start - 1] = length as u8 | CONTINUATION_BIT;
            let end = outer.len();
            varint(outer, length as u64 >> 7);
            let added = outer.len() - end;
            outer[start..].rotate_right(added);
        }
    }
    written
}

/// The bit that is set in every byte of a varint except the last.
const CONTINUATION_BIT: u8 = 0x80;

/// Writes seven bits per byte, lowest bits first.
fn varint(message: &mut Vec<u8>, value: u64) {
    let mut rest = value;
    while rest >= u64::from(CONTINUATION_BIT) {
        message.push(rest as u8 | CONTINUATION_BIT);
        rest >>= 7;
    }
    message.push(rest as u8);
}

/// The value of a field that [`read_fields`] has read.
#[derive(Debug, PartialEq)]
pub(super) enum FieldValue<'a> {
    Number(u64),
    /// A string, a message or a packed repeated field.
    Bytes(&'a [u8]),
    /// A value of a fixed size.
    Fixed(&'a [u8]),
}

/// Passes the number and the value of each field to `read`. Returns `None` if the bytes are not a message.
pub(super) fn read_fields<'a>(
    mut message: &'a [u8],
    mut read: impl FnMut(u64, FieldValue<'a>),
) -> Option<()> {
    while !message.is_empty() {
        let tag = read_varint(&mut message)?;
        let value = match (tag & 0b111) as u8 {
            VARINT => FieldValue::Number(read_varint(&mut message)?),
            I64 => FieldValue::Fixed(message.split_off(..8)?),
            I32 => FieldValue::Fixed(message.split_off(..4)?),
            LEN => {
                let length = read_varint(&mut message)?.try_into().ok()?;
                FieldValue::Bytes(message.split_off(..length)?)
            }
            _ => return None,
        };
        read(tag >> 3, value);
    }
    Some(())
}

/// Reads a repeated field of an integer type. Returns `None` if the bytes are not such a field.
#[cfg_attr(
    not(feature = "remote-write"),
    expect(dead_code, reason = "only remote write packs numbers")
)]
pub(super) fn read_packed_numbers(mut packed: &[u8]) -> Option<Vec<u64>> {
    let mut numbers = Vec::new();
    while !packed.is_empty() {
        numbers.push(read_varint(&mut packed)?);
    }
    Some(numbers)
}

fn read_varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let byte = *message.split_off_first()?;
        value |= u64::from(byte & !CONTINUATION_BIT) << shift;
        if byte < CONTINUATION_BIT {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_fields_are_read() {
        let long = "x".repeat(300);
        let mut bytes = Vec::new();
        number(&mut bytes, 1, u64::MAX);
        string(&mut bytes, 2, &long);
        double(&mut bytes, 3, 1.5);
        message(&mut bytes, 4, |inner| number(inner, 1, 300));
        let mut fields = Vec::new();
        assert_eq!(read_fields(&bytes, |field, value| fields.push((field, value))), Some(()));
        let double = 1.5_f64.to_le_bytes();
        let expected = [
            (1, FieldValue::Number(u64::MAX)),
            (2, FieldValue::Bytes(long.as_bytes())),
            (3, FieldValue::Fixed(&double)),
            (4, FieldValue::Bytes(&[8, 0xac, 2])),
        ];
        assert_eq!(fields, expected);
    }

    #[test]
    fn label_is_a_message_of_two_strings() {
        for length in [0, 1, 60, 61, 62, 63, 64, 123, 124, 127, 128, 300] {
            let (name, value) = ("n".repeat(length / 2), "v".repeat(length - length / 2));
            let (mut bytes, mut expected) = (vec![1], vec![1]);
            label(&mut bytes, 3, &name, &value);
            message(&mut expected, 3, |label| {
                string(label, 1, &name);
                string(label, 2, &value);
            });
            assert_eq!(bytes, expected, "{length}");
        }
    }

    #[test]
    fn truncated_message_is_not_read() {
        for bytes in [&[8][..], &[10, 2, 1], &[9, 0, 0], &[13, 0], &[8, 0x80], &[11], &[8; 3]] {
            assert_eq!(read_fields(bytes, |_, _| {}), None, "{bytes:?}");
        }
        assert_eq!(
            read_fields(&[8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1], |_, _| {}),
            None
        );
    }
}
