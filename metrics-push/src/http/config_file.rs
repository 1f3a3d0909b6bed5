//! `ConfigFile`: the path of a file that the configuration names, and the variable that contains the path.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::state_dir::read_within;

/// The maximum size of a file. The certificates of all public authorities take a tenth of it.
const MAX_FILE_SIZE: u64 = 4 * 1024 * 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConfigFile {
    path: PathBuf,
    variable: Option<String>,
}

impl ConfigFile {
    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), variable: None }
    }

    /// Returns the file at the path that an environment variable contains.
    pub(crate) fn from_variable(variable: &str, path: &str) -> Self {
        Self { path: path.into(), variable: Some(variable.to_owned()) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file.
    ///
    /// # Errors
    /// Those of the file system; if the file is too large or not regular. Opening a FIFO blocks, and a device has no end.
    pub(super) fn read(&self) -> io::Result<Vec<u8>> {
        if !std::fs::metadata(&self.path)?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
        }
        read_within(&mut File::open(&self.path)?, MAX_FILE_SIZE)
    }

    /// Adds the path, and the variable if there is one, to the context of an error.
    pub(super) fn locate(&self, error: Error) -> Error {
        let error = error.at("file", self.path().display());
        match &self.variable {
            Some(variable) => error.at("variable", variable),
            None => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bounded_regular_files_are_read() {
        let path = std::env::temp_dir().join(format!("metrics-push-file-{}", std::process::id()));
        std::fs::write(&path, "token\n").unwrap();
        assert_eq!(ConfigFile::new(&path).read().unwrap(), b"token\n");
        File::options().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
        assert!(ConfigFile::new(&path).read().unwrap_err().to_string().contains("larger than"));
        std::fs::remove_file(&path).unwrap();
        for device in ["/dev/zero", "/dev/null", "/"] {
            let error = ConfigFile::new(device).read().unwrap_err();
            assert!(error.to_string().contains("not a regular file"), "{device}: {error}");
        }
    }
}
