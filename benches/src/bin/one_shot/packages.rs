//! Builds the programs of `peers/`, measures the builds, and locates the programs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use metrics_push_benches::Table;

/// A package: the name of its target folder, its folder, the program, and the features as arguments of cargo.
struct Package {
    name: &'static str,
    folder: &'static str,
    program: &'static str,
    features: &'static [&'static str],
}

const PACKAGES: [Package; 7] = [
    Package { name: "raw", folder: "peers/raw", program: "raw", features: &[] },
    Package { name: "job", folder: "peers/job", program: "job", features: &[] },
    Package {
        name: "job_without_tls",
        folder: "peers/job",
        program: "job",
        features: &["--no-default-features"],
    },
    Package {
        name: "reqwest_lean",
        folder: "peers/reqwest_lean",
        program: "reqwest_lean",
        features: &[],
    },
    Package {
        name: "reqwest_lean_tls",
        folder: "peers/reqwest_lean",
        program: "reqwest_lean",
        features: &["--features", "tls"],
    },
    Package {
        name: "prometheus_push",
        folder: "peers/prometheus_push",
        program: "prometheus_push",
        features: &[],
    },
    Package {
        name: "command",
        folder: "../metrics-push-cli",
        program: "metrics-push",
        features: &[],
    },
];

/// The maximum number of crates that the job compiles, without its own, with TLS and without.
const MAX_CRATES: [(&str, f64); 2] = [("job", 104.0), ("job_without_tls", 87.0)];

/// The programs with TLS whose build times are compared, and the maximum ratio.
const BUILDS_COMPARED: [&str; 2] = ["job", "reqwest_lean_tls"];
const MAX_BUILD_RATIO: f64 = 1.25;

const GO_CLIENT: &str = "go_client";
pub(crate) const PYTHON_CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/client.py");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the target folder of a package. No other package is built in it.
fn target(name: &str) -> PathBuf {
    root().with_file_name("target").join("peers").join(name)
}

/// Returns the path of a program that has been built.
pub(crate) fn program(name: &str) -> PathBuf {
    let package = PACKAGES.iter().find(|package| package.name == name);
    program_of(name, package.expect("the package is listed").program)
}

/// Returns the path of a program in the target folder of a package.
pub(crate) fn program_of(name: &str, program: &str) -> PathBuf {
    target(name).join("release").join(program)
}

pub(crate) fn is_installed(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Returns the Go program, if it has been built.
pub(crate) fn go_client() -> Option<PathBuf> {
    let path = target(GO_CLIENT).join(GO_CLIENT);
    path.is_file().then_some(path)
}

/// Returns a Python interpreter that has the client, preferably that of the distribution.
pub(crate) fn python() -> Option<&'static str> {
    ["/usr/bin/python3", "python3"].into_iter().find(|python| {
        let mut command = Command::new(python);
        command.args(["-c", "import prometheus_client"]).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    })
}

/// Builds the selected programs from scratch, or all of them, and prints the cost of each build.
pub(crate) fn build(only: &[String]) {
    let mut table = Table::new(&["program", "crates", "cold build, s", "stripped, KiB"]);
    let mut limits = Table::new(&["crates and build", "measured", "at most", ""]);
    let is_wanted = |name: &str| only.is_empty() || only.iter().any(|wanted| wanted == name);
    let mut build_times = BTreeMap::new();
    for package in PACKAGES.iter().filter(|package| is_wanted(package.name)) {
        let name = package.name;
        let seconds = build_with_cargo(package);
        build_times.insert(name, seconds);
        let crates = crates(package);
        let size = stripped_kib(&program(name));
        table.row(&[name, &crates.to_string(), &format!("{seconds:.1}"), &size.to_string()]);
        if let Some((_, max)) = MAX_CRATES.iter().find(|(limited, _)| *limited == name) {
            limits.ratio(&format!("crates of {name}"), crates as f64, *max);
        }
    }
    if let [Some(job), Some(lean)] = BUILDS_COMPARED.map(|name| build_times.get(name)) {
        limits.ratio("cold build: job / reqwest_lean_tls", job / lean, MAX_BUILD_RATIO);
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

/// Returns the build time in seconds.
fn build_with_cargo(package: &Package) -> f64 {
    // The folder does not exist before the first build.
    let _ = fs::remove_dir_all(target(package.name));
    let started = Instant::now();
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--target-dir"])
        .arg(target(package.name))
        .args(package.features)
        .current_dir(root().join(package.folder))
        .status()
        .expect("cargo starts");
    assert!(status.success(), "{} does not build", package.name);
    started.elapsed().as_secs_f64()
}

/// Returns the number of crates that a package compiles, without its own.
fn crates(package: &Package) -> usize {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--edges", "normal,build", "--prefix", "none", "--format", "{p}"])
        .args(package.features)
        .current_dir(root().join(package.folder))
        .output()
        .expect("cargo starts");
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

/// Returns the build time in seconds, or `None` without `go` or without Debian's package of the client.
fn build_with_go() -> Option<f64> {
    let _ = fs::remove_dir_all(target(GO_CLIENT));
    let folder = target(GO_CLIENT);
    fs::create_dir_all(&folder).expect("the target folder is writable");
    let started = Instant::now();
    let status = Command::new("go")
        .args(["build", "-o"])
        .arg(folder.join(GO_CLIENT))
        .arg(root().join("peers/client.go"))
        .envs([("GO111MODULE", "off"), ("GOPATH", "/usr/share/gocode")])
        .env("GOCACHE", folder.join("cache"))
        .status();
    status.is_ok_and(|status| status.success()).then(|| started.elapsed().as_secs_f64())
}

fn stripped_kib(program: &Path) -> u64 {
    let stripped = program.with_extension("stripped");
    let status = Command::new("strip").arg("-o").arg(&stripped).arg(program).status();
    assert!(status.is_ok_and(|status| status.success()), "strip is installed");
    fs::metadata(&stripped).expect("the stripped file exists").len() / 1024
}
