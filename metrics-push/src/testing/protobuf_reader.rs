//! [`MessageReader`]: reads the fields of protobuf messages.

use super::go_format::lossy;

/// The value of a field, by wire type.
pub(super) enum Field<'a> {
    Number(u64),
    Real(f64),
    Bytes(&'a [u8]),
}

impl<'a> Field<'a> {
    pub(super) fn number(&self) -> u64 {
        match self {
            Self::Number(number) => *number,
            _ => 0,
        }
    }

    pub(super) fn real(&self) -> f64 {
        match self {
            Self::Real(real) => *real,
            _ => 0.0,
        }
    }

    pub(super) fn bytes(&self) -> &'a [u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            _ => &[],
        }
    }
}

/// The rest of a message.
pub(super) struct MessageReader<'a>(&'a [u8]);

impl<'a> MessageReader<'a> {
    pub(super) const fn new(message: &'a [u8]) -> Self {
        Self(message)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn varint(&mut self) -> Result<u64, String> {
        let mut value = 0;
        for position in 0..10 {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << (7 * position);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err("proto: integer overflow".into())
    }

    pub(super) fn take(&mut self, length: u64) -> Result<&'a [u8], String> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let (taken, rest) = self.0.split_at_checked(length).ok_or("unexpected EOF")?;
        self.0 = rest;
        Ok(taken)
    }

    /// Reads the number and the value of the next field.
    fn next(&mut self) -> Result<Option<(u64, Field<'a>)>, String> {
        if self.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Field::Number(self.varint()?),
            1 => Field::Real(f64::from_le_bytes(self.take(8)?.try_into().unwrap_or_default())),
            2 => {
                let length = self.varint()?;
                Field::Bytes(self.take(length)?)
            }
            5 => {
                self.take(4)?;
                Field::Number(0)
            }
            other => return Err(format!("proto: can't skip unknown wire type {other}")),
        };
        Ok(Some((tag >> 3, value)))
    }

    pub(super) fn for_each(
        mut self,
        mut read: impl FnMut(u64, Field<'a>) -> Result<(), String>,
    ) -> Result<(), String> {
        while let Some((number, value)) = self.next()? {
            read(number, value)?;
        }
        Ok(())
    }
}

/// Reads a message with the name and the value of a label.
pub(super) fn read_label(message: &[u8]) -> Result<(String, String), String> {
    let (mut name, mut text) = (String::new(), String::new());
    MessageReader::new(message).for_each(|number, value| {
        match number {
            1 => name = lossy(value.bytes()),
            2 => text = lossy(value.bytes()),
            _ => {}
        }
        Ok(())
    })?;
    Ok((name, text))
}
