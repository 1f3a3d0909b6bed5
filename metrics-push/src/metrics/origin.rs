//! Where in the source a metric was asked for, so that a clash can name both places.

use std::fmt;
use std::panic::Location;

/// A place in the source, and the function there if it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    function: Option<&'static str>,
    file: &'static str,
    line: u32,
}

impl Origin {
    /// The place that called the function calling this one, if that is marked `#[track_caller]`.
    #[track_caller]
    pub(crate) fn caller() -> Self {
        let location = Location::caller();
        Self { function: None, file: location.file(), line: location.line() }
    }

    pub(crate) const fn of_function(function: &'static str, file: &'static str, line: u32) -> Self {
        Self { function: Some(function), file, line }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(function) = self.function {
            write!(f, "{function} at ")?;
        }
        write!(f, "{}:{}", self.file, self.line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_like_a_compilers() {
        let here = Origin::caller();
        assert_eq!(here.to_string(), format!("{}:{}", file!(), line!() - 1));
        let function = Origin::of_function("load", "src/load.rs", 7);
        assert_eq!(function.to_string(), "load at src/load.rs:7");
    }
}
