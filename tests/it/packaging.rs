//! Packages the published crates and builds the unpacked result, offline.
//!
//! In a package, a file outside its folder is missing, and a path dependency becomes a version.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// A package of the workspace that is published.
struct Package {
    manifest: Value,
    folder: PathBuf,
}

impl Package {
    fn field(&self, name: &str) -> &str {
        self.manifest[name]
            .as_str()
            .unwrap_or_else(|| panic!("{} has no {name}", self.folder.display()))
    }

    fn name_and_version(&self) -> String {
        format!("{}-{}", self.field("name"), self.field("version"))
    }
}

fn cargo(folder: &Path, arguments: &[&str]) -> String {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let mut command = Command::new(cargo);
    // These builds are never debugged: without debug information the target directory stays small.
    command.env("CARGO_PROFILE_DEV_DEBUG", "false").env("CARGO_INCREMENTAL", "0");
    let output = command.current_dir(folder).args(arguments).arg("--offline").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "cargo {arguments:?}: {stderr}{stdout}");
    stdout.into_owned()
}

/// The root of the workspace and the packages that are published.
fn published() -> (PathBuf, Vec<Package>) {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let metadata = cargo(here, &["metadata", "--no-deps", "--format-version", "1"]);
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let root = PathBuf::from(metadata["workspace_root"].as_str().unwrap());
    // `publish = false` is an empty list of registries.
    let members = metadata["packages"].as_array().unwrap().iter();
    let published = members.filter(|package| package["publish"].is_null()).map(|manifest| {
        let path = Path::new(manifest["manifest_path"].as_str().unwrap());
        Package { manifest: manifest.clone(), folder: path.parent().unwrap().to_owned() }
    });
    let published: Vec<_> = published.collect();
    assert!(published.len() >= 2, "the library and its macros must be published");
    (root, published)
}

/// Unpacks the packages into a workspace, in which they depend on each other by path.
fn unpack(packages: &[Package], target: &Path) -> PathBuf {
    let workspace = target.join("unpacked");
    let _ = fs::remove_dir_all(&workspace);
    fs::create_dir_all(&workspace).unwrap();
    let mut members = Vec::new();
    let mut patches = String::new();
    for package in packages {
        let member = package.name_and_version();
        let archive = target.join(format!("package/{member}.crate"));
        // `-m`: archives have a fixed modification time, so cargo would treat changed files as unchanged.
        let mut tar = Command::new("tar");
        tar.arg("-xzmf").arg(archive).arg("-C").arg(&workspace);
        assert!(tar.status().unwrap().success(), "cannot unpack {member}");
        writeln!(patches, "{} = {{ path = {member:?} }}", package.field("name")).unwrap();
        members.push(member);
    }
    let manifest = format!(
        "[workspace]\nmembers = {members:?}\nresolver = \"3\"\n\n[patch.crates-io]\n{patches}"
    );
    fs::write(workspace.join("Cargo.toml"), manifest).unwrap();
    workspace
}

#[test]
fn unpacked_packages_build_and_pass_their_doctests() {
    let (root, packages) = published();
    let target = root.join("target/packaging");
    let target_dir = target.to_str().unwrap();
    let mut arguments = vec!["package", "--no-verify", "--allow-dirty", "--exclude-lockfile"];
    arguments.extend(["--target-dir", target_dir]);
    for package in &packages {
        arguments.extend(["--package", package.field("name")]);
    }
    cargo(&root, &arguments);

    let workspace = unpack(&packages, &target);
    fs::copy(root.join("Cargo.lock"), workspace.join("Cargo.lock")).unwrap();
    cargo(&workspace, &["build", "--workspace", "--target-dir", target_dir]);
    let doctests = ["test", "--doc", "--package", "metrics-push", "--all-features"];
    cargo(&workspace, &[&doctests[..], &["--target-dir", target_dir]].concat());
}

#[test]
fn packages_contain_licences_readme_and_documentation_link() {
    let (root, packages) = published();
    for package in packages {
        for name in ["LICENSE-APACHE", "LICENSE-MIT"] {
            let [original, copy] = [&root, &package.folder].map(|folder| folder.join(name));
            assert!(!copy.is_symlink(), "{} is a link", copy.display());
            assert_eq!(fs::read(&copy).ok(), fs::read(original).ok(), "{}", copy.display());
        }
        assert_eq!(package.field("readme"), "README.md");
        assert!(package.field("documentation").starts_with("https://docs.rs/metrics-push"));
        assert!(package.field("description").ends_with('.'));
    }
}

/// `cargo install metrics-push-cli` installs the command, and users of the library download no program.
#[test]
fn only_the_package_of_the_command_has_a_program() {
    for package in published().1 {
        let targets = package.manifest["targets"].as_array().unwrap().iter();
        let programs = targets.filter(|target| target["kind"][0] == "bin");
        let programs: Vec<_> = programs.map(|target| target["name"].as_str().unwrap()).collect();
        let expected = match package.field("name") {
            "metrics-push-cli" => vec!["metrics-push"],
            _ => vec![],
        };
        assert_eq!(programs, expected, "{}", package.folder.display());
    }
}

#[test]
fn docs_rs_builds_the_library_with_all_features() {
    let packages = published().1;
    let library = packages.iter().find(|package| package.field("name") == "metrics-push").unwrap();
    assert_eq!(library.manifest["metadata"]["docs"]["rs"]["all-features"], true);
}

#[test]
fn package_readmes_link_only_to_websites() {
    for package in published().1 {
        let readme = fs::read_to_string(package.folder.join("README.md")).unwrap();
        let inline = readme.split("](").skip(1);
        let references = readme.lines().filter(|line| line.starts_with('['));
        let references = references.filter_map(|line| line.split_once("]: ").map(|(_, link)| link));
        for link in inline.chain(references) {
            let link = link.split(')').next().unwrap();
            assert!(link.starts_with("https://"), "{}: {link}", package.folder.display());
        }
        assert!(
            !readme.contains("!["),
            "{}: the README must not contain images",
            package.folder.display()
        );
    }
}
