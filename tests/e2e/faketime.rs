//! Starts programs with a wrong clock.
//!
//! The command `faketime` is not used: it can leave a semaphore that is named by its process id, and a later process with the
//! same id then fails.

use crate::child::JobCommand;

/// Returns the command of a job whose clock is wrong by an offset, such as `+2h`.
pub(crate) fn with_clock(command: JobCommand, offset: &str) -> JobCommand {
    let variables = variables(offset).into_iter();
    variables.fold(command, |command, (name, value)| command.variable(name, value))
}

/// Returns the variables of a program whose clock is wrong.
pub(crate) fn variables(offset: &str) -> [(&'static str, String); 2] {
    [("LD_PRELOAD", library()), ("FAKETIME", offset.to_owned())]
}

/// Returns the path of the library.
pub(crate) fn library() -> String {
    let folders = std::fs::read_dir("/usr/lib").unwrap().filter_map(Result::ok);
    let mut libraries = folders.map(|it| it.path().join("faketime/libfaketimeMT.so.1"));
    let library = libraries.find(|path| path.exists());
    let library = library.expect("install the Debian package faketime (apt-get install faketime)");
    library.to_str().unwrap().to_owned()
}
