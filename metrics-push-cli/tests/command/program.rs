//! Starts the command in a pipe or on a pseudo-terminal.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::fs::OFlags;
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::signal_defaults::reset_signals;

/// The exit status and the output of the command.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The command with this gateway, no other variables and no state directory.
pub(crate) fn metrics_push(url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_metrics-push"));
    command.args(arguments).env_clear().env("METRICS_PUSH_URL", url);
    command.env("METRICS_PUSH_STATE_DIR", "off");
    reset_signals(&mut command);
    command
}

/// Runs the command in pipes.
pub(crate) fn piped(mut command: Command, input: &str) -> Ended {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Fails if the command exits without reading.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    Ended {
        status: shell_status(output.status),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: without_wait_notices(&String::from_utf8(output.stderr).unwrap()),
    }
}

/// Removes the log lines about a long wait at the end. A command on a slow machine may write one in any test.
fn without_wait_notices(stderr: &str) -> String {
    let is_notice = |line: &&str| line.contains("; the process waits for at most ");
    stderr.split_inclusive('\n').filter(|line| !is_notice(line)).collect()
}

/// Runs the command on a terminal of this width, which receives both output streams.
pub(crate) fn on_terminal(columns: u16, mut command: Command) -> Ended {
    let (screen, device) = open_pair(columns);
    command.env("TERM", "xterm").stdin(Stdio::null());
    command.stdout(device.try_clone().unwrap()).stderr(device);
    let mut child = command.spawn().unwrap();
    // Closes this process' copies of the terminal, so that reading ends when the child exits.
    drop(command);
    let shown = read_to_end(screen);
    let status = shell_status(child.wait().unwrap());
    Ended { status, stdout: shown.replace("\r\n", "\n"), stderr: String::new() }
}

/// A command whose standard streams are a terminal.
pub(crate) struct Session {
    child: Child,
    screen: File,
    shown: String,
}

impl Session {
    pub(crate) fn start(mut command: Command) -> Self {
        let (screen, device) = open_pair(80);
        let stream = || device.try_clone().unwrap();
        let child = command.stdin(stream()).stdout(stream()).stderr(stream()).spawn().unwrap();
        Self { child, screen, shown: String::new() }
    }

    /// Waits until the terminal shows a text. Panics if the command exits before that.
    pub(crate) fn expect(&mut self, text: &str) -> &mut Self {
        let mut buffer = [0; 4_096];
        while !self.shown.contains(text) {
            let count = self.screen.read(&mut buffer).unwrap_or(0);
            assert_ne!(count, 0, "the command exited without {text:?}: {}", self.shown);
            self.shown.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
        self
    }

    pub(crate) fn press(&mut self, keys: &str) -> &mut Self {
        self.screen.write_all(keys.as_bytes()).unwrap();
        self
    }

    pub(crate) fn signal(&mut self, signal: Signal) -> &mut Self {
        let process = Pid::from_raw(self.child.id().cast_signed()).unwrap();
        kill_process(process, signal).unwrap();
        self
    }

    pub(crate) fn wait(mut self) -> i32 {
        shell_status(self.child.wait().unwrap())
    }
}

/// Opens a pseudo-terminal of this width: the screen for the test, and the device for the command.
fn open_pair(columns: u16) -> (File, File) {
    let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&screen).unwrap();
    unlockpt(&screen).unwrap();
    let name = ptsname(&screen, Vec::new()).unwrap().into_string().unwrap();
    let device = open_terminal(Path::new(&name));
    let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&device, size).unwrap();
    (File::from(screen), device)
}

/// The exit status as a shell reports it.
pub(crate) fn shell_status(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap()
}

/// Opens a terminal without making it the controlling terminal of this process.
fn open_terminal(path: &Path) -> File {
    let flags = i32::try_from(OFlags::NOCTTY.bits()).unwrap();
    File::options().read(true).write(true).custom_flags(flags).open(path).unwrap()
}

fn read_to_end(mut screen: File) -> String {
    let mut shown = Vec::new();
    let mut buffer = [0; 4_096];
    // After the last writer has closed the terminal, reading returns an error, not the end of the file.
    while let Ok(count @ 1..) = screen.read(&mut buffer) {
        shown.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8(shown).unwrap()
}
