//! `Library`: a copy of a published library, with this project's library as a further dependency.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// Whether the unit tests of the libraries run, which need further dependencies.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tests {
    Run,
    Ignored,
}

/// A library whose sources are copied into the work folder.
pub(crate) struct Library {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) edition: String,
    pub(crate) features: Vec<String>,
    pub(crate) folder: PathBuf,
    /// The file with the root module.
    pub(crate) root: PathBuf,
}

impl Library {
    /// Fetches `NAME[@VERSION][+FEATURE,..]` with cargo and copies it into the work folder.
    pub(crate) fn fetch(
        specification: &str,
        work: &Path,
        dependencies: &[(String, String)],
        tests: Tests,
    ) -> Result<Self, String> {
        let (package, features) = specification.split_once('+').unwrap_or((specification, ""));
        let (name, version) = package.split_once('@').unwrap_or((package, "*"));
        let metadata = metadata(name, version, work)?;
        let package = metadata["packages"]
            .as_array()
            .and_then(|packages| {
                packages
                    .iter()
                    .find(|package| package["name"] == name && package["source"].is_string())
            })
            .ok_or("cargo did not fetch the library")?;
        let text = |key: &str| package[key].as_str().unwrap_or_default().to_owned();
        let source = PathBuf::from(text("manifest_path"));
        let source = source.parent().ok_or("the library has no folder")?;
        let root = library_root(package).ok_or("the package has no library")?;
        let folder = work.join(name);
        copy(source, &folder)?;
        let root = folder.join(root.strip_prefix(source).map_err(|error| error.to_string())?);
        let features = features.split(',').filter(|feature| !feature.is_empty());
        let library = Self {
            name: name.to_owned(),
            version: text("version"),
            edition: text("edition"),
            features: features.map(str::to_owned).collect(),
            folder,
            root,
        };
        library.add_dependencies(dependencies, tests)?;
        Ok(library)
    }

    /// Runs cargo in the folder of the library.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Result<Output, String> {
        Command::new("cargo")
            .args(arguments)
            .args(["--features", &self.features.join(",")])
            .current_dir(&self.folder)
            .env("CARGO_TARGET_DIR", self.folder.with_file_name("target"))
            .env("RUSTFLAGS", "--cap-lints warn")
            .output()
            .map_err(|error| error.to_string())
    }

    fn add_dependencies(
        &self,
        dependencies: &[(String, String)],
        tests: Tests,
    ) -> Result<(), String> {
        let manifest = self.folder.join("Cargo.toml");
        // The published sources may lack the files of benchmarks.
        let mut text = without_tables(&read(&manifest)?, "bench");
        text = without_tables(&text, "criterion");
        if tests == Tests::Ignored {
            text = without_tables(&text, "dev-dependencies");
        }
        let runtime = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../metrics-push");
        text += &format!(
            "\n[workspace]\n\n[dependencies.metrics-push]\npath = \"{}\"\ndefault-features = false\n",
            runtime.display()
        );
        for (name, version) in dependencies {
            text += &format!("\n[dependencies.{name}]\nversion = \"{version}\"\n");
        }
        write(&manifest, &text)
    }
}

/// Removes the tables whose names contain `word`.
fn without_tables(manifest: &str, word: &str) -> String {
    let mut is_removed = false;
    let retained = manifest.lines().filter(|line| {
        if line.starts_with('[') {
            is_removed = line.contains(word);
        }
        !is_removed
    });
    retained.collect::<Vec<_>>().join("\n")
}

/// Returns the metadata of a package that depends on the library.
fn metadata(name: &str, version: &str, work: &Path) -> Result<Value, String> {
    let folder = work.join("fetch").join(name);
    // A `Cargo.lock` of an earlier run could contain another version.
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|error| error.to_string())?;
    }
    fs::create_dir_all(folder.join("src")).map_err(|error| error.to_string())?;
    write(&folder.join("src/lib.rs"), "")?;
    let manifest = format!(
        "[package]\nname = \"fetch\"\nedition = \"2024\"\n[dependencies]\n{name} = \"{version}\"\n[workspace]\n"
    );
    write(&folder.join("Cargo.toml"), &manifest)?;
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1"])
        .current_dir(&folder)
        .output()
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).replace('\n', " "));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}

fn library_root(package: &Value) -> Option<PathBuf> {
    let is_library = |target: &&Value| {
        target["kind"]
            .as_array()
            .is_some_and(|kinds| kinds.iter().any(|kind| kind == "lib" || kind == "rlib"))
    };
    let target = package["targets"].as_array()?.iter().find(is_library)?;
    target["src_path"].as_str().map(PathBuf::from)
}

fn copy(source: &Path, target: &Path) -> Result<(), String> {
    if target.exists() {
        fs::remove_dir_all(target).map_err(|error| error.to_string())?;
    }
    copy_folder(source, target).map_err(|error| format!("copy of {}: {error}", source.display()))
}

fn copy_folder(source: &Path, target: &Path) -> std::io::Result<()> {
    fs::create_dir_all(target)?;
    for entry in fs::read_dir(source)? {
        let entry = entry?;
        let target = target.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy_folder(&entry.path(), &target)?,
            false => drop(fs::copy(entry.path(), target)?),
        }
    }
    Ok(())
}

pub(crate) fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

pub(crate) fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
