//! A position in a body, and the ways to move it on.
//!
//! Wherever the input may not end, its end is the same problem: a last line without its line feed.

use super::go_format::lossy;

/// What can't be read, in the words of the real gateway.
pub(super) struct Problem(pub(super) String);

impl From<String> for Problem {
    fn from(what: String) -> Self {
        Self(what)
    }
}

/// Bytes and how far they are read.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
}

/// Whether a backslash means anything.
#[derive(Clone, Copy)]
pub(super) enum Escapes {
    Known,
    Ignored,
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Moves over the byte that was peeked at.
    pub(super) const fn skip(&mut self) {
        self.position += 1;
    }

    pub(super) fn peek(&self) -> Result<u8, Problem> {
        let byte = self.bytes.get(self.position).copied();
        byte.ok_or_else(|| Problem("unexpected end of input stream".into()))
    }

    pub(super) fn next(&mut self) -> Result<u8, Problem> {
        let byte = self.peek()?;
        self.position += 1;
        Ok(byte)
    }

    pub(super) fn skip_blanks(&mut self) {
        while matches!(self.bytes.get(self.position), Some(b' ' | b'\t')) {
            self.position += 1;
        }
    }

    fn read_while(&mut self, fits: impl Fn(u8) -> bool) -> Vec<u8> {
        let rest = &self.bytes[self.position..];
        let length = rest.iter().position(|&byte| !fits(byte)).unwrap_or(rest.len());
        self.position += length;
        rest[..length].to_vec()
    }

    /// Everything up to a blank or the end of the line, which has to be there.
    pub(super) fn read_word(&mut self) -> Result<Vec<u8>, Problem> {
        let word = self.read_while(|byte| !matches!(byte, b' ' | b'\t' | b'\n'));
        self.peek()?;
        Ok(word)
    }

    pub(super) fn read_name(&mut self, fits: fn(u8) -> bool) -> Result<String, Problem> {
        if self.peek()?.is_ascii_digit() {
            return Ok(String::new());
        }
        Ok(lossy(&self.read_while(fits)))
    }

    /// The rest of the line, with its end.
    pub(super) fn read_rest(&mut self, escapes: Escapes) -> Result<Vec<u8>, Problem> {
        let mut rest = Vec::new();
        loop {
            match (self.next()?, escapes) {
                (b'\n', _) => return Ok(rest),
                // Odd, but so it is: here, a backslash is just left out.
                (b'\\', Escapes::Ignored) => {}
                (b'\\', Escapes::Known) => rest.push(match self.next()? {
                    b'n' => b'\n',
                    b'\\' => b'\\',
                    other => return Err(invalid_escape(other)),
                }),
                (byte, _) => rest.push(byte),
            }
        }
    }
}

pub(super) fn invalid_escape(byte: u8) -> Problem {
    Problem(format!("invalid escape sequence '\\{}'", char::from(byte)))
}

pub(super) const fn is_label_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

pub(super) const fn is_metric_name_byte(byte: u8) -> bool {
    is_label_name_byte(byte) || byte == b':'
}
