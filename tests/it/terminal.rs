//! Supervised jobs on a terminal of their own: job control, hangups and input are as without a parent of ours.

use std::cell::RefCell;
use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use metrics_push::testing::FakeGateway;
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::child::{Panics, Start, child_of, job, send_signal};
use crate::lifecycle::{assert_value, completions, outcomes};
use crate::state::StateDir;

/// How long anything on a terminal may take.
const PATIENCE: Duration = Duration::from_secs(20);

const INTERRUPT: &str = "\x03";
const QUIT: &str = "\x1c";
const SUSPEND: &str = "\x1a";
const END_OF_INPUT: &str = "\x04";

/// A shell with job control, as people have it; it says how its job ended, or that it has stopped.
const SHELL: &str = r#"set -m; "$@"; echo "status $?""#;
const SHELL_THAT_CONTINUES: &str =
    r#"set -m; "$@"; echo "status $?"; fg >/dev/null; echo "status $?""#;
const SHELL_WITH_BACKGROUND: &str =
    r#"set -m; "$@" & wait %1; echo "status $?"; fg %1 >/dev/null; echo "status $?""#;

/// A terminal, and what leads its session.
struct Session {
    /// The terminal's other side, until it is gone.
    display: Option<File>,
    screen: String,
    leader: Child,
}

impl Session {
    /// Starts the job as the leader of the terminal's session, or below a shell that runs this script.
    fn start(job: Start, script: Option<&str>) -> Self {
        let display =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&display).unwrap();
        unlockpt(&display).unwrap();
        let name = ptsname(&display, Vec::new()).unwrap().into_string().unwrap();
        let terminal = open_terminal(Path::new(&name));
        let size = Winsize { ws_row: 33, ws_col: 77, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&terminal, size).unwrap();

        let leader = ["setsid", "--ctty"];
        let shell = script.map(|script| ["bash", "--norc", "-c", script, "bash"]);
        let launcher: Vec<_> = leader.into_iter().chain(shell.into_iter().flatten()).collect();
        let mut job = job.within(&launcher);
        let streams = [terminal.try_clone().unwrap(), terminal.try_clone().unwrap(), terminal];
        let [input, output, errors] = streams.map(Stdio::from);
        let leader = job.command().stdin(input).stdout(output).stderr(errors).spawn().unwrap();
        // What this process holds of the terminal goes with it.
        drop(job);

        fcntl_setfl(&display, OFlags::RDWR | OFlags::NONBLOCK).unwrap();
        Self { display: Some(File::from(display)), screen: String::new(), leader }
    }

    /// Waits until the terminal shows this, after all that was waited for before.
    #[track_caller]
    fn expect(&mut self, text: &str) -> &mut Self {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.screen.find(text) {
                self.screen.drain(..at + text.len());
                return self;
            }
            assert!(self.read() && Instant::now() < deadline, "no {text:?} in {:?}", self.screen);
        }
    }

    /// Reads what is shown by now. `false` if nobody has the terminal any more.
    fn read(&mut self) -> bool {
        let mut buffer = [0; 4_096];
        match self.display.as_mut().unwrap().read(&mut buffer) {
            Ok(count) => {
                self.screen += &String::from_utf8_lossy(&buffer[..count]).replace("\r\n", "\n");
                true
            }
            Err(why) if why.kind() == ErrorKind::WouldBlock => {
                thread::sleep(Duration::from_millis(2));
                true
            }
            Err(_) => false,
        }
    }

    fn press(&mut self, keys: &str) -> &mut Self {
        self.display.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
        self
    }

    /// Takes the terminal away.
    fn hang_up(&mut self) {
        self.display = None;
    }

    /// The end of the leader.
    fn end(&mut self) -> ExitStatus {
        self.leader.wait().unwrap()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.leader.kill();
        let _ = self.leader.wait();
    }
}

/// Without making it the one that controls the test.
fn open_terminal(path: &Path) -> File {
    let flags = i32::try_from(OFlags::NOCTTY.bits()).unwrap();
    File::options().read(true).write(true).custom_flags(flags).open(path).unwrap()
}

/// The same session twice, bare and supervised; what the gateway then knows of the latter.
fn twice(ending: &str, script: Option<&str>, act: impl Fn(Session)) -> FakeGateway {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    act(Session::start(job(Panics::Unwind, &[ending]), script));
    let supervised = job(Panics::Unwind, &["supervised", ending]).gateway(&gateway.url());
    act(Session::start(supervised.variable("METRICS_PUSH_STATE_DIR", state.path()), script));
    gateway
}

#[track_caller]
fn assert_told_once(gateway: &FakeGateway, outcome: &str, signal: Option<f64>) {
    gateway.wait_for(PATIENCE, |gateway| completions(gateway, "ending") > 0);
    let group = gateway.group("ending", &[]);
    assert_eq!(outcomes(&group), [outcome]);
    assert_value(&group, "signal", signal);
    assert_eq!(completions(gateway, "ending"), 1);
}

#[test]
fn a_key_that_interrupts_reaches_the_job_once() {
    // The shell gives up its script if INT ended its job, and goes on after any other signal.
    for (key, signal, said) in [(INTERRUPT, 2, "^C"), (QUIT, 3, "status 131")] {
        let shell_statuses = RefCell::new(Vec::new());
        let gateway = twice("wait", Some(SHELL), |mut session| {
            session.expect("ready").press(key).expect(said);
            shell_statuses.borrow_mut().push(session.end());
        });
        let shell_statuses = shell_statuses.into_inner();
        assert_eq!(shell_statuses[0], shell_statuses[1]);
        assert_told_once(&gateway, "signal", Some(f64::from(signal)));
    }
}

#[test]
fn a_job_is_suspended_and_goes_on_in_the_foreground() {
    let gateway = twice("wait-for-input", Some(SHELL_THAT_CONTINUES), |mut session| {
        session.expect("ready").press(SUSPEND).expect("status 148");
        // It has the terminal again.
        session.press("some input\n").expect("some input").press(END_OF_INPUT);
        session.expect("some input").expect("after").expect("status 0");
    });
    assert_told_once(&gateway, "success", None);
}

#[test]
fn a_job_that_reads_in_the_background_stops_until_it_has_the_foreground() {
    let gateway = twice("wait-for-input", Some(SHELL_WITH_BACKGROUND), |mut session| {
        session.expect("ready").expect("status 149");
        session.press("some input\n").press(END_OF_INPUT);
        session.expect("some input").expect("after").expect("status 0");
    });
    assert_told_once(&gateway, "success", None);
}

#[test]
fn a_job_that_stops_itself_is_stopped_for_its_shell() {
    let gateway = twice("stop-itself", Some(SHELL_THAT_CONTINUES), |mut session| {
        session.expect("before").expect("status 148").expect("ready").expect("status 0");
    });
    assert_told_once(&gateway, "success", None);
}

#[test]
fn a_parent_that_is_asked_to_stop_stops_the_job_and_then_itself() {
    let gateway = twice("wait-for-input", Some(SHELL_THAT_CONTINUES), |mut session| {
        session.expect("ready");
        send_signal(child_of(session.leader.id()), "TSTP");
        session.expect("status 148").press(END_OF_INPUT).expect("after").expect("status 0");
    });
    assert_told_once(&gateway, "success", None);
}

#[test]
fn where_no_shell_looks_after_it_a_job_is_not_suspended() {
    let gateway = twice("wait-for-input", None, |mut session| {
        session.expect("ready").press(SUSPEND).press(END_OF_INPUT).expect("after");
        assert!(session.end().success());
    });
    assert_told_once(&gateway, "success", None);
}

#[test]
fn a_hangup_of_the_jobs_own_terminal_ends_it() {
    let gateway = twice("wait", None, |mut session| {
        session.expect("ready").hang_up();
        assert_eq!(session.end().signal(), Some(1));
    });
    assert_told_once(&gateway, "signal", Some(1.0));
}

#[test]
fn a_hangup_of_its_shells_terminal_ends_the_job() {
    let gateway = twice("wait", Some(SHELL), |mut session| {
        session.expect("ready").hang_up();
        assert_eq!(session.end().signal(), Some(1));
    });
    assert_told_once(&gateway, "signal", Some(1.0));
}

#[test]
fn the_terminal_is_the_jobs_own() {
    twice("look-at-the-terminal", None, |mut session| {
        session.expect("[true, true, true]").expect("33 77").expect("after");
    });
}
