//! `ConfigFile`: the path of a file that the configuration names, and the variable that contains the path.

use std::path::{Path, PathBuf};

use crate::error::Error;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConfigFile {
    path: PathBuf,
    variable: Option<&'static str>,
}

impl ConfigFile {
    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), variable: None }
    }

    /// Returns the file at the path that an environment variable contains.
    pub(crate) fn from_variable(variable: &'static str, path: &str) -> Self {
        Self { path: path.into(), variable: Some(variable) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds the path, and the variable if there is one, to the context of an error.
    pub(super) fn locate(&self, error: Error) -> Error {
        let error = error.at("file", self.path.display());
        match self.variable {
            Some(variable) => error.at("variable", variable),
            None => error,
        }
    }
}
