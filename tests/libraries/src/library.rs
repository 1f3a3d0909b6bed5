//! `Library`: a copy of a published library, with this project's library as a further dependency.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::workspace::Tests;

/// A published library: `NAME[@VERSION][+FEATURE,..]`.
pub(crate) struct Specification {
    pub(crate) name: String,
    pub(crate) version: String,
    features: Vec<String>,
}

impl Specification {
    pub(crate) fn parse(text: &str) -> Self {
        let (package, features) = text.split_once('+').unwrap_or((text, ""));
        let (name, version) = package.split_once('@').unwrap_or((package, "*"));
        let features = features.split(',').filter(|feature| !feature.is_empty());
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            features: features.map(str::to_owned).collect(),
        }
    }
}

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
    /// Copies the package that cargo has fetched into the workspace.
    pub(crate) fn copy(
        Specification { name, features, .. }: &Specification,
        metadata: &Value,
        workspace: &Path,
    ) -> Result<Self, String> {
        let is_wanted =
            |package: &&Value| package["name"] == **name && is_direct(package, metadata);
        let package = metadata["packages"]
            .as_array()
            .and_then(|packages| packages.iter().find(is_wanted))
            .ok_or_else(|| format!("cargo did not fetch {name}"))?;
        let text = |key: &str| package[key].as_str().unwrap_or_default().to_owned();
        let source = PathBuf::from(text("manifest_path"));
        let source = source.parent().ok_or("the library has no folder")?;
        let root = library_root(package).ok_or_else(|| format!("{name} has no library"))?;
        let folder = workspace.join(name);
        copy(source, &folder)?;
        let root = folder.join(root.strip_prefix(source).map_err(|error| error.to_string())?);
        Ok(Self {
            name: name.clone(),
            version: text("version"),
            edition: text("edition"),
            features: features.clone(),
            folder,
            root,
        })
    }

    pub(crate) fn manifest(&self) -> PathBuf {
        self.folder.join("Cargo.toml")
    }

    pub(crate) fn add_dependencies(
        &self,
        dependencies: &[Specification],
        tests: Tests,
    ) -> Result<(), String> {
        let manifest = self.manifest();
        // The published sources may lack the files of benchmarks, which are the only use of criterion.
        let mut text = without_tables(&read(&manifest)?, &["bench", "criterion"]);
        if tests == Tests::Ignored {
            text = without_tables(&text, &["dev-dependencies"]);
        }
        let runtime = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../metrics-push");
        text += &format!(
            "\n[dependencies.metrics-push]\npath = \"{}\"\ndefault-features = false\n",
            runtime.display()
        );
        for Specification { name, version, features } in dependencies {
            text += &format!(
                "\n[dependencies.{name}]\nversion = \"{version}\"\nfeatures = {features:?}\n"
            );
        }
        write(&manifest, &text)
    }
}

/// Returns whether the fetching package depends on the package: another version may be a dependency of a library.
fn is_direct(package: &Value, metadata: &Value) -> bool {
    let nodes = metadata["resolve"]["nodes"].as_array();
    let root =
        nodes.and_then(|nodes| nodes.iter().find(|node| node["id"] == metadata["resolve"]["root"]));
    let dependencies = root.and_then(|root| root["dependencies"].as_array());
    dependencies.is_some_and(|dependencies| dependencies.contains(&package["id"]))
}

/// Removes the tables whose names contain one of the words, except for the dependencies that a feature names.
fn without_tables(manifest: &str, words: &[&str]) -> String {
    let mut is_removed = false;
    let retained = manifest.lines().filter(|line| {
        if line.starts_with('[') {
            let name = line.trim_end_matches(']').rsplit('.').next().unwrap_or_default();
            is_removed = words.iter().any(|word| line.contains(word))
                && !manifest.contains(&format!("\"{name}/"));
        }
        !is_removed
    });
    retained.collect::<Vec<_>>().join("\n")
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
