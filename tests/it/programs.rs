//! Finds and starts the programs that tests run as children.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::signal_defaults::reset_signals;

/// Every child process of a test starts here: with default signals, in the locale C, and without a state directory.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env("LC_ALL", "C").env("METRICS_PUSH_STATE_DIR", "off");
    reset_signals(&mut command);
    command
}

/// A program of this package, such as `ending`: Cargo builds all of them before the tests, into one folder.
pub(crate) fn program(name: &str) -> PathBuf {
    let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    let program = Path::new(env!("CARGO_BIN_EXE_ending")).with_file_name(file);
    assert!(program.exists(), "{name} is not a [[bin]] of the tests' package");
    program
}

/// The program `ending`, built so that panics abort. Cargo builds a test's programs in the test's own profile only.
pub(crate) fn aborting_ending() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| build("metrics-push-tests", "ending", "abort"))
}

/// Builds a program in this profile. The result is in the folder of that name beside the folder of this profile.
pub(crate) fn build(package: &str, name: &str, profile: &str) -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let target = target_directory();
    let status = command(cargo)
        .args(["build", "--quiet", "--profile", profile, "--package", package, "--bin", name])
        .arg("--target-dir")
        .arg(&target)
        .current_dir(crate::ROOT)
        .status()
        .unwrap();
    assert!(status.success(), "cargo failed to build {name} of {package}");
    // Cargo's name for the folder of the profile `dev`.
    let folder = if profile == "dev" { "debug" } else { profile };
    target.join(folder).join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

/// Cargo writes programs to `<target>/<profile>/`.
fn target_directory() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_ending")).ancestors().nth(2).unwrap().to_owned()
}
