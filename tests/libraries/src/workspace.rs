//! `Workspace`: the copies of the libraries, which cargo compiles together.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::compilation::Compilation;
use crate::library::{Library, Specification, write};

/// Whether the tests of the libraries run, which need further dependencies.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tests {
    Run,
    Ignored,
}

pub(crate) struct Workspace {
    folder: PathBuf,
    pub(crate) libraries: Vec<Library>,
    pub(crate) tests: Tests,
}

impl Workspace {
    /// Fetches the libraries with cargo and copies them into the folder.
    pub(crate) fn create(
        folder: &Path,
        specifications: &[Specification],
        dependencies: &[Specification],
        tests: Tests,
    ) -> Result<Self, String> {
        fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        // Cargo reports paths without symbolic links.
        let folder = folder.canonicalize().map_err(|error| error.to_string())?;
        let metadata = metadata(specifications, &folder.join("fetch"))?;
        let copy = |specification: &Specification| {
            let library = Library::copy(specification, &metadata, &folder)?;
            library.add_dependencies(dependencies, tests)?;
            Ok(library)
        };
        let libraries = specifications.iter().map(copy).collect::<Result<_, String>>()?;
        // The versions of an earlier run could differ.
        let _ = fs::remove_file(folder.join("Cargo.lock"));
        Ok(Self { folder, libraries, tests })
    }

    /// Compiles the libraries, and their tests if they run.
    pub(crate) fn compile(&self) -> Result<Compilation, String> {
        self.write_manifest()?;
        let command: &[&str] = match self.tests {
            Tests::Run => &["build", "--tests"],
            Tests::Ignored => &["check", "--lib"],
        };
        let output = Command::new("cargo")
            .args(command)
            .args(["--workspace", "--keep-going", "--message-format", "json"])
            .args(["--features", &self.features().join(",")])
            .current_dir(&self.folder)
            .env("CARGO_TARGET_DIR", self.folder.join("target"))
            .env("RUSTFLAGS", "--cap-lints warn")
            .output()
            .map_err(|error| error.to_string())?;
        Compilation::parse(&output, &self.folder)
    }

    fn features(&self) -> Vec<String> {
        let features = |library: &Library| {
            let Library { name, features, .. } = library;
            features.iter().map(|feature| format!("{name}/{feature}")).collect::<Vec<_>>()
        };
        self.libraries.iter().flat_map(features).collect()
    }

    fn write_manifest(&self) -> Result<(), String> {
        let members: Vec<&str> = self.libraries.iter().map(|library| &*library.name).collect();
        let manifest = format!("[workspace]\nresolver = \"2\"\nmembers = {members:?}\n");
        write(&self.folder.join("Cargo.toml"), &manifest)
    }
}

/// Returns the metadata of a package that depends on the libraries.
fn metadata(specifications: &[Specification], folder: &Path) -> Result<Value, String> {
    // A `Cargo.lock` of an earlier run could contain another version.
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(|error| error.to_string())?;
    }
    fs::create_dir_all(folder.join("src")).map_err(|error| error.to_string())?;
    write(&folder.join("src/lib.rs"), "")?;
    let mut manifest =
        "[package]\nname = \"fetch\"\nedition = \"2024\"\n[workspace]\n[dependencies]\n".to_owned();
    for Specification { name, version, .. } in specifications {
        manifest += &format!("{name} = \"{version}\"\n");
    }
    write(&folder.join("Cargo.toml"), &manifest)?;
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1"])
        .current_dir(folder)
        .output()
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).replace('\n', " "));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}
