//! Writes the fields of protobuf messages, in the wire format of the
//! [encoding guide](https://protobuf.dev/programming-guides/encoding/).
//!
//! The messages that the sinks send are few, small and stable, so they are written by hand. Field numbers are below 16:
//! each tag is one byte.

// Wire types.
const VARINT: u8 = 0;
const I64: u8 = 1;
const LEN: u8 = 2;

/// Writes a field of an integer or enum type.
pub(super) fn number(message: &mut Vec<u8>, field: u8, value: u64) {
    message.push(field << 3 | VARINT);
    varint(message, value);
}

/// Writes a field of type `double`.
pub(super) fn double(message: &mut Vec<u8>, field: u8, value: f64) {
    message.push(field << 3 | I64);
    message.extend(value.to_le_bytes());
}

/// Writes a field of type `string`.
pub(super) fn string(message: &mut Vec<u8>, field: u8, value: &str) {
    message.push(field << 3 | LEN);
    varint(message, value.len() as u64);
    message.extend_from_slice(value.as_bytes());
}

/// Writes a field that contains a message.
pub(super) fn message(outer: &mut Vec<u8>, field: u8, write: impl FnOnce(&mut Vec<u8>)) {
    outer.push(field << 3 | LEN);
    delimited(outer, write);
}

/// Writes a message, prefixed with its length.
pub(super) fn delimited<T>(outer: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    // Reserves one byte for the length. If the message is longer, the byte is replaced by a longer prefix.
    outer.push(0);
    let start = outer.len();
    let written = write(outer);
    let length = outer.len() - start;
    match u8::try_from(length) {
        Ok(short) if short < CONTINUATION_BIT => outer[start - 1] = short,
        _ => {
            let mut prefix = Vec::new();
            varint(&mut prefix, length as u64);
            outer.splice(start - 1..start, prefix);
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
