//! `CallSite`: the location in the source code that requests a metric. Errors about conflicts contain both call sites.

use std::fmt;
use std::panic::Location;

/// A location in the source code that requests a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CallSite {
    /// The annotated function, which is the value of the `function` label. Empty if the metric belongs to no function.
    pub(crate) function: &'static str,
    /// The module of the function, which is the value of the `module` label. Empty if the metric belongs to no function.
    pub(crate) module: &'static str,
    /// The source file and the line.
    location: &'static Location<'static>,
}

impl CallSite {
    /// Returns the call site of the current function, which must be marked `#[track_caller]`.
    #[track_caller]
    pub(super) const fn caller() -> Self {
        Self::function("", "")
    }

    /// Returns the call site of a function. The caller must be marked `#[track_caller]`.
    #[track_caller]
    pub(crate) const fn function(function: &'static str, module: &'static str) -> Self {
        Self { function, module, location: Location::caller() }
    }
}

impl fmt::Display for CallSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.function.is_empty() {
            write!(f, "{} at ", self.function)?;
        }
        write!(f, "{}:{}", self.location.file(), self.location.line())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_site_displays_function_file_and_line() {
        let here = CallSite::caller();
        assert_eq!(here.to_string(), format!("{}:{}", file!(), line!() - 1));
        let function = CallSite::function("load", "m");
        assert_eq!(function.to_string(), format!("load at {}:{}", file!(), line!() - 1));
    }
}
