//! Splits the text of a push into words, names and quoted text.
//!
//! If the input ends where it must not, the error is always the same: the last line has no line feed.

use super::go_format::lossy;

/// The message if the input ends inside a line.
pub(super) const END_OF_INPUT: &str = "unexpected end of input stream";

/// A syntax error, with the message of the real gateway.
pub(super) struct SyntaxError(pub(super) String);

impl From<String> for SyntaxError {
    fn from(what: String) -> Self {
        Self(what)
    }
}

/// The input and the position in it.
pub(super) struct Lexer<'a> {
    bytes: &'a [u8],
    position: usize,
}

/// Whether a backslash starts an escape sequence.
#[derive(Clone, Copy)]
pub(super) enum Escapes {
    Decoded,
    Dropped,
}

impl<'a> Lexer<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Skips the byte that [`peek`](Self::peek) returned.
    pub(super) const fn skip(&mut self) {
        self.position += 1;
    }

    pub(super) fn peek(&self) -> Result<u8, SyntaxError> {
        let byte = self.bytes.get(self.position).copied();
        byte.ok_or_else(|| SyntaxError(END_OF_INPUT.into()))
    }

    pub(super) fn next(&mut self) -> Result<u8, SyntaxError> {
        let byte = self.peek()?;
        self.position += 1;
        Ok(byte)
    }

    pub(super) fn skip_blanks(&mut self) {
        while matches!(self.bytes.get(self.position), Some(b' ' | b'\t')) {
            self.position += 1;
        }
    }

    fn read_while(&mut self, condition: impl Fn(u8) -> bool) -> Vec<u8> {
        let rest = &self.bytes[self.position..];
        let length = rest.iter().position(|&byte| !condition(byte)).unwrap_or(rest.len());
        self.position += length;
        rest[..length].to_vec()
    }

    /// Reads up to the next blank or line feed. One of them must follow.
    pub(super) fn read_word(&mut self) -> Result<Vec<u8>, SyntaxError> {
        let word = self.read_while(|byte| !matches!(byte, b' ' | b'\t' | b'\n'));
        self.peek()?;
        Ok(word)
    }

    /// Reads a name. Returns an empty one if the next byte cannot start a name.
    pub(super) fn read_name(
        &mut self,
        is_name_byte: fn(u8) -> bool,
    ) -> Result<String, SyntaxError> {
        if self.peek()?.is_ascii_digit() {
            return Ok(String::new());
        }
        Ok(lossy(&self.read_while(is_name_byte)))
    }

    /// Reads the rest of the line and its line feed, and returns it without the line feed.
    pub(super) fn read_rest(&mut self, escapes: Escapes) -> Result<Vec<u8>, SyntaxError> {
        let mut rest = Vec::new();
        loop {
            match (self.next()?, escapes) {
                (b'\n', _) => return Ok(rest),
                // The real gateway drops the backslash and reads the next byte as it is.
                (b'\\', Escapes::Dropped) => {}
                (b'\\', Escapes::Decoded) => rest.push(match self.next()? {
                    b'n' => b'\n',
                    b'\\' => b'\\',
                    other => return Err(invalid_escape(other)),
                }),
                (byte, _) => rest.push(byte),
            }
        }
    }
}

pub(super) fn invalid_escape(byte: u8) -> SyntaxError {
    SyntaxError(format!("invalid escape sequence '\\{}'", char::from(byte)))
}

pub(super) const fn is_label_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

pub(super) const fn is_metric_name_byte(byte: u8) -> bool {
    is_label_name_byte(byte) || byte == b':'
}
