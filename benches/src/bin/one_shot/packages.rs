//! The programs of `peers/`: what it costs to build them, and where they are then.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use metrics_push_benches::Table;

/// Packages and how they are built: the program's name, its folder, and cargo's arguments for it.
const PACKAGES: [(&str, &str, &[&str]); 5] = [
    ("raw", "raw", &[]),
    ("job", "job", &[]),
    ("job_without_tls", "job", &["--no-default-features"]),
    ("reqwest_lean", "reqwest_lean", &[]),
    ("prometheus_push", "prometheus_push", &[]),
];

/// What the job may have: crates with TLS and without, its own not counted.
const MOST_CRATES: [(&str, f64); 2] = [("job", 100.0), ("job_without_tls", 86.0)];

const GO_CLIENT: &str = "go_client";
pub(crate) const PYTHON_CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/client.py");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where all of a package is built, and nothing else.
fn target(name: &str) -> PathBuf {
    root().with_file_name("target").join("peers").join(name)
}

/// The program of a package that has been built.
pub(crate) fn program(name: &str) -> PathBuf {
    let (_, folder, _) = PACKAGES.iter().find(|(known, ..)| *known == name).expect("a package");
    target(name).join("release").join(folder)
}

pub(crate) fn is_installed(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// The Go client's program, if it could be built.
pub(crate) fn go_client() -> Option<PathBuf> {
    let path = target(GO_CLIENT).join(GO_CLIENT);
    path.is_file().then_some(path)
}

/// A Python that has the client. The distribution's comes first.
pub(crate) fn python() -> Option<&'static str> {
    ["/usr/bin/python3", "python3"].into_iter().find(|python| {
        let mut command = Command::new(python);
        command.args(["-c", "import prometheus_client"]).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    })
}

/// Builds all of them from nothing, or those that are named, and tells what that took.
pub(crate) fn build(only: &[String]) {
    let mut table = Table::new(&["program", "crates", "cold build, s", "stripped, KiB"]);
    let mut limits = Table::new(&["crates", "measured", "at most", ""]);
    let is_wanted = |name: &str| only.is_empty() || only.iter().any(|wanted| wanted == name);
    for (name, folder, features) in PACKAGES.into_iter().filter(|(name, ..)| is_wanted(name)) {
        let folder = root().join("peers").join(folder);
        let seconds = build_with_cargo(&folder, name, features);
        let crates = crates(&folder, features);
        let size = stripped_kib(&program(name));
        table.row(&[name, &crates.to_string(), &format!("{seconds:.1}"), &size.to_string()]);
        if let Some((_, most)) = MOST_CRATES.iter().find(|(limited, _)| *limited == name) {
            limits.ratio(name, crates as f64, *most);
        }
    }
    if is_wanted(GO_CLIENT) {
        match build_with_go() {
            Some(seconds) => {
                let size = stripped_kib(&target(GO_CLIENT).join(GO_CLIENT));
                table.row(&[GO_CLIENT, "", &format!("{seconds:.1}"), &size.to_string()]);
            }
            None => table.row(&[GO_CLIENT, "", "not installed", ""]),
        }
    }
    println!("{table}\n{limits}");
}

/// The seconds it took.
fn build_with_cargo(folder: &Path, name: &str, features: &[&str]) -> f64 {
    // It may not have been built before.
    let _ = fs::remove_dir_all(target(name));
    let begin = Instant::now();
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--target-dir"])
        .arg(target(name))
        .args(features)
        .current_dir(folder)
        .status()
        .expect("cargo");
    assert!(status.success(), "{name} doesn't build");
    begin.elapsed().as_secs_f64()
}

/// How many crates a package has compiled, its own not counted.
fn crates(folder: &Path, features: &[&str]) -> usize {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--edges", "normal,build", "--prefix", "none", "--format", "{p}"])
        .args(features)
        .current_dir(folder)
        .output()
        .expect("cargo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let mut names: Vec<_> = text
        .lines()
        .map(|line| line.trim_end_matches(" (*)"))
        .filter(|line| !line.is_empty())
        .collect();
    names.sort_unstable();
    names.dedup();
    names.len() - 1
}

/// The seconds it took; `None`, if there is no `go`, or no client for it where Debian puts it.
fn build_with_go() -> Option<f64> {
    let _ = fs::remove_dir_all(target(GO_CLIENT));
    let folder = target(GO_CLIENT);
    fs::create_dir_all(&folder).expect("a target folder");
    let begin = Instant::now();
    let status = Command::new("go")
        .args(["build", "-o"])
        .arg(folder.join(GO_CLIENT))
        .arg(root().join("peers/client.go"))
        .envs([("GO111MODULE", "off"), ("GOPATH", "/usr/share/gocode")])
        .env("GOCACHE", folder.join("cache"))
        .status();
    status.is_ok_and(|status| status.success()).then(|| begin.elapsed().as_secs_f64())
}

fn stripped_kib(program: &Path) -> u64 {
    let stripped = program.with_extension("stripped");
    let status = Command::new("strip").arg("-o").arg(&stripped).arg(program).status();
    assert!(status.is_ok_and(|status| status.success()), "strip is installed");
    fs::metadata(&stripped).expect("what was stripped").len() / 1024
}
