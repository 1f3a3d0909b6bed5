//! Supervised jobs on a terminal: job control, hangups and input behave as without a supervisor.

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

use crate::child::{JobCommand, PanicStrategy, child_of, ending, job, send_signal};
use crate::lifecycle::{assert_value, completions, outcomes};
use crate::state_dir::StateDir;

/// How long a test waits for an event before it fails.
const TIMEOUT: Duration = Duration::from_secs(20);

const INTERRUPT: &str = "\x03";
const QUIT: &str = "\x1c";
const SUSPEND: &str = "\x1a";
const END_OF_INPUT: &str = "\x04";

/// A shell with job control. It prints the status of its job when the job ends or stops.
const SHELL: &str = r#"set -m; "$@"; echo "status $?""#;
const SHELL_THAT_CONTINUES: &str =
    r#"set -m; "$@"; echo "status $?"; fg >/dev/null; echo "status $?""#;
const SHELL_WITH_BACKGROUND: &str =
    r#"set -m; "$@" & wait %1; echo "status $?"; fg %1 >/dev/null; echo "status $?""#;

/// A pseudoterminal and the leader of its session.
struct Session {
    /// The controlling side of the pseudoterminal. `None` after a hangup.
    controller: Option<File>,
    /// The output that no [`Session::expect`] has matched yet.
    screen: String,
    leader: Child,
}

impl Session {
    /// Starts a session whose leader is the job, or a shell that runs this script with the job as its argument.
    fn start(job: JobCommand, script: Option<&str>) -> Self {
        let controller =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        let name = ptsname(&controller, Vec::new()).unwrap().into_string().unwrap();
        let terminal = open_terminal(Path::new(&name));
        let size = Winsize { ws_row: 33, ws_col: 77, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&terminal, size).unwrap();

        let leader = ["setsid", "--ctty"];
        let shell = script.map(|script| ["bash", "--norc", "-c", script, "bash"]);
        let launcher: Vec<_> = leader.into_iter().chain(shell.into_iter().flatten()).collect();
        let mut job = job.within(&launcher);
        let streams = [terminal.try_clone().unwrap(), terminal.try_clone().unwrap(), terminal];
        let [input, output, errors] = streams.map(Stdio::from);
        let leader = job.std_command().stdin(input).stdout(output).stderr(errors).spawn().unwrap();
        // Closes the command's copies of the terminal.
        drop(job);

        fcntl_setfl(&controller, OFlags::RDWR | OFlags::NONBLOCK).unwrap();
        Self { controller: Some(File::from(controller)), screen: String::new(), leader }
    }

    /// Waits until this text follows the output that was matched before.
    #[track_caller]
    fn expect(&mut self, text: &str) -> &mut Self {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            if let Some(at) = self.screen.find(text) {
                self.screen.drain(..at + text.len());
                return self;
            }
            assert!(self.read() && Instant::now() < deadline, "no {text:?} in {:?}", self.screen);
        }
    }

    /// Reads available output. Returns false if no process has the terminal open.
    fn read(&mut self) -> bool {
        let mut buffer = [0; 4_096];
        match self.controller.as_mut().unwrap().read(&mut buffer) {
            Ok(count) => {
                self.screen += &String::from_utf8_lossy(&buffer[..count]).replace("\r\n", "\n");
                true
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                thread::sleep(Duration::from_millis(2));
                true
            }
            Err(_) => false,
        }
    }

    fn press(&mut self, keys: &str) -> &mut Self {
        self.controller.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
        self
    }

    /// Closes the controlling side, which hangs up the terminal.
    fn hang_up(&mut self) {
        self.controller = None;
    }

    /// Waits for the exit of the leader.
    fn wait(&mut self) -> ExitStatus {
        self.leader.wait().unwrap()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // The process may have exited already.
        let _ = self.leader.kill();
        let _ = self.leader.wait();
    }
}

/// Opens a terminal without making it the controlling terminal of the test.
fn open_terminal(path: &Path) -> File {
    let flags = i32::try_from(OFlags::NOCTTY.bits()).unwrap();
    File::options().read(true).write(true).custom_flags(flags).open(path).unwrap()
}

/// Runs the session with the bare job, then with the supervised job. Returns the gateway of the supervised job.
fn run_sessions(ending: &str, script: Option<&str>, act: impl Fn(Session)) -> FakeGateway {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    act(Session::start(job(PanicStrategy::Unwind, &[ending]), script));
    let supervised = job(PanicStrategy::Unwind, &["supervised", ending]).gateway(&gateway.url());
    act(Session::start(supervised.variable("METRICS_PUSH_STATE_DIR", state.path()), script));
    gateway
}

#[track_caller]
fn assert_reported_once(gateway: &FakeGateway, outcome: &str, signal: f64) {
    gateway.wait_for(TIMEOUT, |gateway| completions(gateway, "ending") > 0);
    let group = gateway.group("ending", &[]);
    assert_eq!(outcomes(&group), [outcome]);
    assert_value(&group, "signal", Some(signal));
    assert_eq!(completions(gateway, "ending"), 1);
}

#[test]
fn interrupt_key_reaches_the_job_once() {
    // The shell aborts its script if SIGINT killed its job, and continues after any other signal.
    for (key, signal, output) in [(INTERRUPT, 2, "^C"), (QUIT, 3, "status 131")] {
        let shell_statuses = RefCell::new(Vec::new());
        let gateway = run_sessions("wait", Some(SHELL), |mut session| {
            session.expect("ready").press(key).expect(output);
            shell_statuses.borrow_mut().push(session.wait());
        });
        let shell_statuses = shell_statuses.into_inner();
        assert_eq!(shell_statuses[0], shell_statuses[1]);
        assert_reported_once(&gateway, "signal", f64::from(signal));
    }
}

#[test]
fn interrupt_key_ends_a_job_that_is_starting() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let jobs = [["supervised", "wait"], ["copied", "run-exec-wait"]];
    let steps = (0..40).flat_map(|step| jobs.map(|arguments| (step, arguments)));
    for (step, arguments) in steps {
        let delay = Duration::from_micros(step * 400);
        let job = job(PanicStrategy::Unwind, &arguments).gateway(&gateway.url());
        let job = job.variable("METRICS_PUSH_STATE_DIR", state.path());
        let mut session = Session::start(job, Some(r#"echo starts; exec "$@""#));
        session.expect("starts");
        thread::sleep(delay);
        session.press(INTERRUPT);
        let deadline = Instant::now() + TIMEOUT;
        let status = loop {
            if let Some(status) = session.leader.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "the job continues after {delay:?}");
            session.read();
        };
        assert_eq!(status.signal(), Some(2), "after {delay:?}: {status}");
    }
}

#[test]
fn suspended_job_continues_in_the_foreground() {
    let gateway = run_sessions("wait-for-input", Some(SHELL_THAT_CONTINUES), |mut session| {
        session.expect("ready").press(SUSPEND).expect("status 148");
        // The job is in the foreground and receives input.
        session.press("some input\n").expect("some input").press(END_OF_INPUT);
        session.expect("some input").expect("after").expect("status 0");
    });
    assert_reported_once(&gateway, "success", 0.0);
}

#[test]
fn background_job_that_reads_stops_until_it_is_foreground() {
    let gateway = run_sessions("wait-for-input", Some(SHELL_WITH_BACKGROUND), |mut session| {
        session.expect("ready").expect("status 149");
        session.press("some input\n").press(END_OF_INPUT);
        session.expect("some input").expect("after").expect("status 0");
    });
    assert_reported_once(&gateway, "success", 0.0);
}

#[test]
fn job_that_stops_itself_is_stopped_for_its_shell() {
    let gateway = run_sessions("stop-itself", Some(SHELL_THAT_CONTINUES), |mut session| {
        session.expect("before").expect("status 148").expect("ready").expect("status 0");
    });
    assert_reported_once(&gateway, "success", 0.0);
}

#[test]
fn supervisor_that_receives_sigtstp_stops_with_its_job() {
    let gateway = run_sessions("wait-for-input", Some(SHELL_THAT_CONTINUES), |mut session| {
        session.expect("ready");
        send_signal(child_of(session.leader.id()), "TSTP");
        session.expect("status 148").press(END_OF_INPUT).expect("after").expect("status 0");
    });
    assert_reported_once(&gateway, "success", 0.0);
}

#[test]
fn job_without_a_shell_is_not_suspended() {
    let gateway = run_sessions("wait-for-input", None, |mut session| {
        session.expect("ready").press(SUSPEND).press(END_OF_INPUT).expect("after");
        assert!(session.wait().success());
    });
    assert_reported_once(&gateway, "success", 0.0);
}

#[test]
fn hangup_kills_a_job_that_leads_its_session() {
    let gateway = run_sessions("wait", None, |mut session| {
        session.expect("ready").hang_up();
        assert_eq!(session.wait().signal(), Some(1));
    });
    assert_reported_once(&gateway, "signal", 1.0);
}

#[test]
fn hangup_kills_a_job_below_a_shell() {
    let gateway = run_sessions("wait", Some(SHELL), |mut session| {
        session.expect("ready").hang_up();
        assert_eq!(session.wait().signal(), Some(1));
    });
    assert_reported_once(&gateway, "signal", 1.0);
}

#[test]
fn supervised_job_has_the_terminal_as_stdio() {
    run_sessions("print-terminal", None, |mut session| {
        session.expect("[true, true, true]").expect("33 77").expect("after");
    });
}

#[test]
fn terminal_that_is_not_read_does_not_block_a_job() {
    let gateway = FakeGateway::start();
    let mut job = ending("ending", &gateway.url(), &["ok"]);
    // Each of them causes one line, and the terminal has room for some of the lines.
    for number in 0..300 {
        job.std_command().env(format!("METRICS_PUSH_UNKNOWN_{number}"), "x");
    }
    let mut session = Session::start(job, Some(r#"exec "$@" >/dev/null"#));
    let deadline = Instant::now() + TIMEOUT;
    let status = loop {
        if let Some(status) = session.leader.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < deadline, "the job is blocked");
        thread::sleep(Duration::from_millis(2));
    };
    assert!(status.success(), "{status}");
    session.expect("METRICS_PUSH_UNKNOWN_0");
}
