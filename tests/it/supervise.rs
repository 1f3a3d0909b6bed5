//! Supervised jobs: the supervisor reports every ending of the job at once and exits in the same way.

use std::io::{Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use metrics_push::testing::{FakeGateway, Fault};
use metrics_push::{Config, Outcome};

use crate::child::{JobCommand, PanicStrategy, RunningJob, child_of, job, send_signal};
use crate::full_pipe::full_pipe;
use crate::lifecycle::{assert_value, completions, outcomes};
use crate::state_dir::StateDir;

fn supervised(gateway: &FakeGateway, state: &StateDir, ending: &str) -> JobCommand {
    let command = job(PanicStrategy::Unwind, &["supervised", ending]).gateway(&gateway.url());
    command.variable("METRICS_PUSH_STATE_DIR", state.path())
}

#[track_caller]
fn assert_journal_is_empty(state: &StateDir) {
    let left: Vec<PathBuf> = std::fs::read_dir(state.path().join("journal"))
        .unwrap()
        .map(|it| it.unwrap().path())
        .collect();
    assert!(left.iter().all(|path| path.ends_with("recovery.lock")), "{left:?}");
}

/// Runs the job without and with a supervisor, and fails if its exit status or output differ, or if it is not reported
/// once. Returns the outcome and the group.
#[track_caller]
fn assert_reported_once(ending: &str) -> (&'static str, metrics_push::testing::Group) {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let bare = job(PanicStrategy::Unwind, &[ending]).run_to_end();
    let ended = supervised(&gateway, &state, ending).run_to_end();
    ended.assert_same_as(&bare);
    assert!(ended.log_lines.is_empty(), "{ending}: {ended:?}");
    assert_eq!(completions(&gateway, "ending"), 1, "{ending}");
    assert_journal_is_empty(&state);
    let group = gateway.group("ending", &[]);
    let outcomes = outcomes(&group);
    assert_eq!(outcomes.len(), 1, "{ending}: {outcomes:?}");
    (outcomes[0], group)
}

#[test]
fn supervisor_does_not_repeat_the_report_of_the_job() {
    for (ending, outcome) in [
        ("ok", "success"),
        ("err", "error"),
        ("panic", "panic"),
        ("exit-3", "exit_code"),
        ("exit-in-worker", "exit_code"),
    ] {
        assert_eq!(assert_reported_once(ending).0, outcome, "{ending}");
    }
}

#[test]
fn supervisor_reports_endings_that_the_job_cannot_report() {
    for (ending, outcome, code, signal) in [
        ("_exit", "exit_code", 9.0, 0.0),
        ("kill", "signal", 0.0, 9.0),
        ("abort", "signal", 0.0, 6.0),
        ("segv", "signal", 0.0, 11.0),
        ("overflow", "signal", 0.0, 6.0),
        ("exec", "success", 0.0, 0.0),
    ] {
        let (reported, group) = assert_reported_once(ending);
        assert_eq!(reported, outcome, "{ending}");
        assert_value(&group, "exit_code", Some(code));
        assert_value(&group, "signal", Some(signal));
        assert!(group.value("batch_job_last_run_max_resident_memory_bytes", &[]) > 1e5);
    }
}

#[test]
fn supervisor_reports_without_a_state_directory() {
    let gateway = FakeGateway::start();
    let command = job(PanicStrategy::Unwind, &["supervised", "kill"]).gateway(&gateway.url());
    let temporary = StateDir::new();
    let ended = command.variable("TMPDIR", temporary.path()).run_to_end();
    assert_eq!(ended.status.signal(), Some(9));
    assert_eq!(outcomes(&gateway.group("ending", &[])), ["signal"]);
    let left = std::fs::read_dir(temporary.path()).unwrap().count();
    assert_eq!(left, 1, "only the journal folder that the test created");
}

#[test]
fn supervisor_reports_sigabrt_of_a_failed_allocation() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let launcher = ["sh", "-c", "ulimit -v 2000000; exec \"$@\"", "sh"];
    let ended = supervised(&gateway, &state, "out-of-memory").within(&launcher).run_to_end();
    assert_eq!(ended.status.signal(), Some(6), "{ended:?}");
    assert_value(&gateway.group("ending", &[]), "signal", Some(6.0));
}

#[test]
fn supervisor_forwards_signals_and_exits_like_the_job() {
    for (signal, number) in [("TERM", 15), ("INT", 2), ("HUP", 1), ("QUIT", 3), ("USR1", 10)] {
        let (gateway, state) = (FakeGateway::start(), StateDir::new());
        let running = supervised(&gateway, &state, "wait").start().ready();
        running.signal(signal);
        let ended = running.wait();
        assert_eq!(ended.status.signal(), Some(number), "{ended:?}");
        let group = gateway.group("ending", &[]);
        assert_eq!(outcomes(&group), ["signal"]);
        assert_value(&group, "signal", Some(f64::from(number)));
        assert_eq!(completions(&gateway, "ending"), 1, "{signal}");
    }
}

#[test]
fn signal_handled_by_the_job_is_not_its_outcome() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let running = supervised(&gateway, &state, "tokio-signal").start().ready();
    running.signal("TERM");
    assert!(running.wait().status.success());
    assert_eq!(outcomes(&gateway.group("ending", &[])), ["success"]);
}

#[test]
fn sigkill_of_the_supervisor_kills_the_job() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let running = supervised(&gateway, &state, "wait").start().ready();
    running.kill();
    // Returns when the job has exited as well: it shares the pipes of the supervisor.
    running.wait();
    let other = job(PanicStrategy::Unwind, &["ok"])
        .gateway(&gateway.url())
        .variable("METRICS_PUSH_JOB", "other");
    let ended = other.variable("METRICS_PUSH_STATE_DIR", state.path()).run_to_end();
    assert_eq!(outcomes(&gateway.group("ending", &[])), ["abandoned"], "{ended:?}");
    assert_journal_is_empty(&state);
}

#[test]
fn supervised_job_reads_the_stdin_of_its_supervisor() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let mut command = supervised(&gateway, &state, "wait-for-input");
    let mut child = command.std_command().stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"some input\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "before\nready\nsome input\nafter\n");
}

#[test]
fn supervisor_does_not_keep_streams_of_the_job_open() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let mut command = supervised(&gateway, &state, "close-output-and-wait-for-input");
    let mut child = command.std_command().stdin(Stdio::piped()).spawn().unwrap();
    let mut output = String::new();
    child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
    assert_eq!(output, "before\nready\n");
    assert_eq!(child.try_wait().unwrap(), None, "the job exited after it closed stdout");
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());

    let running = supervised(&gateway, &state, "close-input-and-wait").with_input();
    let mut running = running.start().ready();
    // The supervisor closes its copy shortly after the job starts.
    let deadline = Instant::now() + Duration::from_secs(20);
    let error = loop {
        match running.input().write_all(b"no reader") {
            Ok(()) => assert!(Instant::now() < deadline, "stdin stays open"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    running.signal("TERM");
    running.wait();
}

#[test]
fn children_of_the_job_inherit_the_same_process_state() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let bare = job(PanicStrategy::Unwind, &["print-inherited-state"])
        .variable("PATH", "/usr/bin:/bin")
        .run_to_end();
    assert!(bare.stdout.contains("SigBlk"), "{bare:?}");
    let unsupervised =
        job(PanicStrategy::Unwind, &["print-inherited-state"]).gateway(&gateway.url());
    unsupervised.variable("PATH", "/usr/bin:/bin").run_to_end().assert_same_as(&bare);
    let command = supervised(&gateway, &state, "print-inherited-state");
    command.variable("PATH", "/usr/bin:/bin").run_to_end().assert_same_as(&bare);
}

/// Ignored and blocked signals that a process may inherit. A job that hangs is killed.
const INHERITED: [&str; 3] =
    ["--ignore-signal=CHLD", "--block-signal=CHLD", "--block-signal=CHLD,TERM,USR1"];

fn launcher(inherited: &'static str) -> [&'static str; 6] {
    ["timeout", "--signal=KILL", "--foreground", "60", "env", inherited]
}

#[test]
fn supervisor_reports_with_inherited_ignored_or_blocked_sigchld() {
    for inherited in INHERITED {
        let (gateway, state) = (FakeGateway::start(), StateDir::new());
        let ended = supervised(&gateway, &state, "_exit").within(&launcher(inherited)).run_to_end();
        assert_eq!(ended.status.code(), Some(9), "{inherited}: {ended:?}");
        let group = gateway.group("ending", &[]);
        assert_eq!(outcomes(&group), ["exit_code"], "{inherited}");
        assert_value(&group, "exit_code", Some(9.0));
    }
}

#[test]
fn supervisor_forwards_a_signal_that_it_inherited_as_blocked() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let launcher = ["env", "--block-signal=USR1,CHLD"];
    let running = supervised(&gateway, &state, "wait").within(&launcher).start().ready();
    running.signal("USR1");
    let pending = || {
        let status = format!("/proc/{}/status", child_of(running.id()));
        std::fs::read_to_string(status).unwrap().contains("ShdPnd:\t0000000000000200\n")
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    while !pending() {
        assert!(Instant::now() < deadline, "the job has not received the signal");
        std::thread::yield_now();
    }
    running.signal("TERM");
    assert_eq!(running.wait().status.signal(), Some(15));
}

#[test]
fn supervised_job_inherits_the_signal_state_of_its_supervisor() {
    for inherited in INHERITED {
        let bare = job(PanicStrategy::Unwind, &["print-inherited-state"]);
        let bare = bare.within(&launcher(inherited)).run_to_end();
        let (gateway, state) = (FakeGateway::start(), StateDir::new());
        let command = supervised(&gateway, &state, "print-inherited-state");
        command.within(&launcher(inherited)).run_to_end().assert_same_as(&bare);
    }
}

#[test]
fn job_past_max_runtime_is_killed_and_reported_as_timeout() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    for options in [&["max-runtime", "wait"][..], &["signals-off", "max-runtime", "wait"]] {
        let command = job(PanicStrategy::Unwind, options).gateway(&gateway.url());
        let started = Instant::now();
        let ended = command.variable("METRICS_PUSH_STATE_DIR", state.path()).run_to_end();
        assert_eq!(ended.status.signal(), Some(15), "{ended:?}");
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
        let group = gateway.group("ending", &[]);
        assert_eq!(outcomes(&group), ["timeout"], "{options:?}");
        assert_value(&group, "signal", Some(15.0));
        assert_eq!(completions(&gateway, "ending"), 1);
        gateway.clear();
    }
}

#[test]
fn job_that_handles_sigterm_of_max_runtime_ends_as_timeout() {
    let running = [("tokio-signal", 0), ("signal-hook", 12)].map(|(ending, code)| {
        let gateway = FakeGateway::start();
        let command = job(PanicStrategy::Unwind, &["max-runtime-4s", ending]);
        let running = command.gateway(&gateway.url()).start();
        (gateway, running, code)
    });
    for (gateway, running, code) in running {
        let ended = running.wait();
        assert_eq!(ended.status.code(), Some(code), "{ended:?}");
        let group = gateway.group("ending", &[]);
        assert_eq!(outcomes(&group), ["timeout"], "{code}");
        assert!(!group.has_family("batch_job_last_success_timestamp_seconds"), "{code}");
        assert_eq!(completions(&gateway, "ending"), 1, "{code}");
    }
}

/// The gateway is down, so the process waits for it longer than a run may take.
#[test]
fn wait_for_the_gateway_does_not_count_as_runtime() {
    let bare = job(PanicStrategy::Unwind, &["ok"]).run_to_end();
    let command = job(PanicStrategy::Unwind, &["max-runtime-4s", "ok"]);
    let command = command.gateway("http://127.0.0.1:9").variable("METRICS_PUSH_TIMEOUT", "6s");
    let ended = command.run_to_end();
    ended.assert_same_as(&bare);
    assert!(ended.log_lines.iter().all(|line| !line.contains("maximum runtime")), "{ended:?}");
}

/// The end of the run waits for a collector, longer than a run may take.
#[test]
fn wait_for_a_collector_does_not_count_as_runtime() {
    let gateway = FakeGateway::start();
    let command = job(PanicStrategy::Unwind, &["max-runtime-4s", "blocking-collector", "panic"]);
    let command = command.gateway(&gateway.url()).variable("METRICS_PUSH_TIMEOUT", "30s");
    let ended = command.run_to_end();
    assert_eq!(ended.status.code(), Some(101), "{ended:?}");
    assert_eq!(outcomes(&gateway.group("ending", &[])), ["panic"]);
}

#[test]
fn end_by_max_runtime_is_logged_once() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    for options in [&["max-runtime", "wait"][..], &["signals-off", "max-runtime", "wait"]] {
        let command = job(PanicStrategy::Unwind, options).gateway(&gateway.url());
        let ended = command.variable("METRICS_PUSH_STATE_DIR", state.path()).run_to_end();
        let [line] = &ended.log_lines[..] else { panic!("{options:?}: {:?}", ended.log_lines) };
        let (text, id) = line.split_once("; run ").unwrap();
        let expected =
            "metrics-push: the run of ending exceeded its maximum runtime of 300ms and was ended";
        assert_eq!(text, expected, "{options:?}");
        let _scope = Config::default().state_dir(state.path()).scope().unwrap();
        let histories = metrics_push::histories();
        let run = histories[0].runs().last().unwrap();
        assert_eq!((run.id(), run.outcome()), (id, Outcome::Timeout), "{options:?}");
    }
}

#[test]
fn job_past_max_runtime_is_reported_if_stderr_is_not_read() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let (_reader, stderr) = full_pipe();
    let command = job(PanicStrategy::Unwind, &["signals-off", "max-runtime", "wait"]);
    let command = command.gateway(&gateway.url());
    let mut command = command.variable("METRICS_PUSH_STATE_DIR", state.path());
    command.std_command().stderr(stderr);
    let running = command.start();
    let is_completed = |gateway: &FakeGateway| completions(gateway, "ending") == 1;
    gateway.wait_for(Duration::from_secs(30), is_completed);
    assert_eq!(running.wait().status.signal(), Some(15));
    assert_eq!(outcomes(&gateway.group("ending", &[])), ["timeout"]);
}

/// Starts a job whose supervisor reports its end to a gateway that does not respond, with a long timeout. Returns the
/// running supervisor while it waits for the gateway.
fn waiting_supervisor(gateway: &FakeGateway, state: &StateDir, fault: Fault) -> RunningJob {
    let command = supervised(gateway, state, "wait");
    let running = command.variable("METRICS_PUSH_TIMEOUT", "1h").with_input().start().ready();
    gateway.wait_for(Duration::from_secs(20), |gateway| !gateway.requests().is_empty());
    gateway.clear();
    gateway.fail_next(1, fault);
    send_signal(child_of(running.id()), "KILL");
    gateway.wait_for(Duration::from_secs(20), |gateway| !gateway.requests().is_empty());
    running
}

#[test]
fn signal_ends_the_wait_of_the_supervisor_for_a_dead_gateway() {
    for signal in ["TERM", "INT", "HUP", "QUIT"] {
        let (gateway, state) = (FakeGateway::start(), StateDir::new());
        let running = waiting_supervisor(&gateway, &state, Fault::hang());
        let started = Instant::now();
        running.signal(signal);
        let ended = running.wait();
        assert!(started.elapsed() < Duration::from_secs(10), "{signal}: {:?}", started.elapsed());
        // The job has ended already: its status is that of the supervisor.
        assert_eq!(ended.status.signal(), Some(9), "{signal}: {ended:?}");
        let [line] = &ended.log_lines[..] else { panic!("{signal}: {ended:?}") };
        assert!(line.contains(&gateway.url()) && line.contains("stored in"), "{line}");
        let records = std::fs::read_dir(state.path().join("spool")).unwrap();
        assert!(
            records
                .filter_map(Result::ok)
                .any(|it| it.path().extension().is_some_and(|it| it == "request"))
        );
        assert_journal_is_empty(&state);
    }
}

#[test]
fn signal_ignored_by_the_supervisor_does_not_end_its_wait() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let slow = Fault::stall(Duration::from_millis(500));
    let running = waiting_supervisor(&gateway, &state, slow);
    for signal in ["USR1", "WINCH", "CONT"] {
        running.signal(signal);
    }
    let ended = running.wait();
    assert_eq!(ended.status.signal(), Some(9), "{ended:?}");
    gateway.after_run("ending", &[]).assert_outcome("signal");
}

#[test]
fn signals_that_arrive_together_do_not_end_the_supervisor() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let running = waiting_supervisor(&gateway, &state, Fault::stall(Duration::from_millis(500)));
    for signal in ["STOP", "USR1", "USR2", "ALRM", "WINCH", "CONT"] {
        running.signal(signal);
    }
    let ended = running.wait();
    assert_eq!(ended.status.signal(), Some(9), "{ended:?}");
    gateway.after_run("ending", &[]).assert_outcome("signal");
}

#[test]
fn supervisor_has_one_thread_and_little_memory() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let running = supervised(&gateway, &state, "wait").start().ready();
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.id())).unwrap();
    let number = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    };
    println!("{} kB resident, {} anonymous", number("VmRSS:"), number("RssAnon:"));
    assert_eq!(number("Threads:"), 1);
    // Only anonymous memory counts: file-backed pages are shared with the job.
    assert!(number("RssAnon:") < 1_024, "{status}");
    running.signal("TERM");
    running.wait();
}
