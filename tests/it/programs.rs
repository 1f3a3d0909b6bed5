//! Finds and starts the programs that tests run as children.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::signal_defaults::reset_signals;

/// Returns a command with default signals, in the locale C and without a state directory. Tests start their child
/// processes with it.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env("LC_ALL", "C").env("METRICS_PUSH_STATE_DIR", "off");
    reset_signals(&mut command);
    command
}

/// Returns the path of a program of this package, such as `ending`. Cargo builds all of them before the tests.
pub(crate) fn program(name: &str) -> PathBuf {
    let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    let program = Path::new(env!("CARGO_BIN_EXE_ending")).with_file_name(file);
    assert!(program.exists(), "{name} is not a [[bin]] of the package of the tests");
    program
}

/// Returns the program `ending`, built so that panics abort. Cargo builds the programs of a test only in the profile of
/// the test, so this function builds it.
pub(crate) fn aborting_ending() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let target = target_directory();
        let status = command(cargo)
            .args(["build", "--quiet", "--profile", "abort"])
            // Without TLS, which no gateway of these tests uses.
            .args(["--package", "metrics-push-tests", "--no-default-features"])
            .args(["--bin", "ending", "--target-dir"])
            .arg(&target)
            .current_dir(crate::ROOT)
            .status()
            .unwrap();
        assert!(status.success(), "cargo failed to build the program `ending`");
        target.join("abort").join(format!("ending{}", std::env::consts::EXE_SUFFIX))
    })
}

/// Returns the target directory, two levels above the programs: `<target>/<profile>/<program>`.
pub(crate) fn target_directory() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_ending")).ancestors().nth(2).unwrap().to_owned()
}
