//! `Listing`: reads the response to `GET /api/v1/metrics` while it arrives, and splits it into the members of its groups.
//!
//! The response is `{"data":[{"labels":{..},"last_push_successful":true,"NAME":{..},..},..]}`. Each member is passed to a
//! [`Visitor`], which bounds its size, so the whole response is never in memory. Anything but an object in the list ends
//! the reading. Values are not checked here: a visitor skips those that it cannot parse.

use std::ops::ControlFlow;

use super::query_api::{invalid_response, parse_name};
use crate::error::Error;

/// The maximum length of a member's name. A longer member is skipped.
const MAX_NAME_SIZE: usize = 4_096;

/// The maximum number of bytes after the list.
const MAX_TRAILER_SIZE: usize = 4_096;

/// Receives the members of all groups in the order of the response.
pub(super) trait Visitor {
    /// Returns the maximum size of the member's value. The value of a larger one is skipped.
    fn max_size(&self, name: &str) -> usize;

    /// Receives a member of a group. `value` is empty if it was skipped.
    ///
    /// # Errors
    /// If the response exceeds a limit of the visitor.
    fn member(&mut self, name: String, value: &[u8]) -> Result<(), Error>;

    /// Ends a group.
    ///
    /// # Errors
    /// If the response exceeds a limit of the visitor.
    fn end_group(&mut self) -> Result<(), Error>;
}

/// The reader of one response.
#[derive(Debug)]
pub(super) struct Listing<V> {
    visitor: V,
    place: Place,
    is_in_string: bool,
    is_escaped: bool,
    name: Vec<u8>,
    value: Vec<u8>,
    max_size: usize,
    /// The nesting inside the current value.
    depth: usize,
    trailer: usize,
    error: Option<Error>,
}

/// The position of the next byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Start,
    Name(Parent),
    Value(Parent),
    /// Between two groups.
    List,
    End,
}

/// The object that contains a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Parent {
    Response,
    Group,
}

impl<V: Visitor> Listing<V> {
    pub(super) fn new(visitor: V) -> Self {
        Self {
            visitor,
            place: Place::Start,
            is_in_string: false,
            is_escaped: false,
            name: Vec::new(),
            value: Vec::new(),
            max_size: 0,
            depth: 0,
            trailer: 0,
            error: None,
        }
    }

    /// Reads the next part of the response. Returns `Break` if the rest is not needed.
    pub(super) fn read(&mut self, mut part: &[u8]) -> ControlFlow<()> {
        while let Some((&byte, rest)) = part.split_first() {
            // Most of a response is the inside of strings.
            let plain = self.plain_length(part);
            if plain > 0 {
                self.append(&part[..plain]);
                part = &part[plain..];
                continue;
            }
            if let Err(error) = self.read_byte(byte) {
                self.error = Some(error);
                return ControlFlow::Break(());
            }
            part = rest;
        }
        if self.trailer > MAX_TRAILER_SIZE {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    /// Returns the number of bytes that belong to the current string and neither escape a byte nor end the string.
    fn plain_length(&self, part: &[u8]) -> usize {
        if !self.is_in_string || self.is_escaped {
            return 0;
        }
        part.iter().position(|byte| matches!(byte, b'"' | b'\\')).unwrap_or(part.len())
    }

    /// Returns the visitor after the whole list.
    ///
    /// # Errors
    /// If the response is not a list of groups, is incomplete, or exceeds a limit of the visitor.
    pub(super) fn finish(self) -> Result<V, Error> {
        match self.error {
            Some(error) => Err(error),
            None if self.place == Place::End => Ok(self.visitor),
            None => Err(invalid_response()),
        }
    }

    fn read_byte(&mut self, byte: u8) -> Result<(), Error> {
        if self.is_in_string {
            self.append(&[byte]);
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' => self.is_escaped = true,
                b'"' => self.is_in_string = false,
                _ => {}
            }
            return Ok(());
        }
        match (self.place, byte) {
            (Place::End, _) => self.trailer += 1,
            (_, b' ' | b'\t' | b'\r' | b'\n') => {}
            (Place::Start, b'{') => self.place = Place::Name(Parent::Response),
            (Place::Name(_), b'"') => {
                self.name.clear();
                self.append(&[byte]);
                self.is_in_string = true;
            }
            (Place::Name(parent), b':') => self.begin_value(parent),
            (Place::Name(Parent::Group), b'}') => return self.end_group(),
            (Place::Value(Parent::Response), b'[')
                if self.depth == 0 && self.name == b"\"data\"" =>
            {
                self.place = Place::List;
            }
            (Place::Value(parent), _) => return self.read_value(parent, byte),
            (Place::List, b'{') => self.place = Place::Name(Parent::Group),
            (Place::List, b',') => {}
            (Place::List, b']') => self.place = Place::End,
            (Place::Start | Place::Name(_) | Place::List, _) => return Err(invalid_response()),
        }
        Ok(())
    }

    fn begin_value(&mut self, parent: Parent) {
        self.value.clear();
        self.depth = 0;
        self.max_size = match (parent, self.decoded_name()) {
            (Parent::Group, Some(name)) => self.visitor.max_size(&name),
            _ => 0,
        };
        self.place = Place::Value(parent);
    }

    fn read_value(&mut self, parent: Parent, byte: u8) -> Result<(), Error> {
        match byte {
            b',' if self.depth == 0 => {
                self.end_member(parent)?;
                self.place = Place::Name(parent);
                return Ok(());
            }
            b'}' if self.depth == 0 => {
                self.end_member(parent)?;
                return match parent {
                    Parent::Group => self.end_group(),
                    // There is no list.
                    Parent::Response => Err(invalid_response()),
                };
            }
            b']' if self.depth == 0 => return Err(invalid_response()),
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth -= 1,
            b'"' => self.is_in_string = true,
            _ => {}
        }
        self.append(&[byte]);
        Ok(())
    }

    /// Appends bytes to the current name or value, unless that is too large.
    fn append(&mut self, bytes: &[u8]) {
        match self.place {
            Place::Name(_) if self.name.len() + bytes.len() <= MAX_NAME_SIZE => {
                self.name.extend_from_slice(bytes);
            }
            // Without its end, the name is not valid.
            Place::Name(_) => self.name.clear(),
            Place::Value(_) if self.value.len() + bytes.len() <= self.max_size => {
                self.value.extend_from_slice(bytes);
            }
            Place::Value(_) => {
                self.max_size = 0;
                self.value = Vec::new();
            }
            Place::Start | Place::List | Place::End => {}
        }
    }

    fn end_member(&mut self, parent: Parent) -> Result<(), Error> {
        match (parent, self.decoded_name()) {
            (Parent::Group, Some(name)) => self.visitor.member(name, &self.value),
            _ => Ok(()),
        }
    }

    fn end_group(&mut self) -> Result<(), Error> {
        self.place = Place::List;
        self.visitor.end_group()
    }

    fn decoded_name(&self) -> Option<String> {
        parse_name(&self.name)
    }
}
