//! Every way a process can end, each in a child process: the outcome is reported once, and the exit status and output
//! are the same as without this library.

use std::os::unix::process::ExitStatusExt as _;
use std::time::{Duration, Instant};

use metrics_push::testing::{FakeGateway, Fault, Group};
use metrics_push::{Config, Job, Outcome};

use crate::child::{FinishedJob, PanicStrategy, active_tasks, job, signals_itself};
use crate::flushes::flush;

/// Returns the outcomes whose value in the group is 1: exactly one, or none while the first run is in progress.
#[track_caller]
pub(crate) fn outcomes(group: &Group) -> Vec<&'static str> {
    let value = |outcome: &str| group.value("batch_job_last_run_outcome", &[("outcome", outcome)]);
    Outcome::ALL.into_iter().map(Outcome::as_str).filter(|outcome| value(outcome) > 0.5).collect()
}

/// Returns the number of requests that report the completion of a run.
pub(crate) fn completions(gateway: &FakeGateway, job: &str) -> usize {
    let has_completion =
        |body: &[u8]| String::from_utf8_lossy(body).contains("batch_job_last_completion_");
    let path = format!("/metrics/job/{job}");
    gateway.requests().iter().filter(|sent| sent.path == path && has_completion(&sent.body)).count()
}

/// Runs the job without and with a gateway, and fails if its exit status or output differ.
#[track_caller]
fn assert_same_as_bare(arguments: &[&str]) -> (FakeGateway, FinishedJob) {
    let gateway = FakeGateway::start();
    let bare = job(PanicStrategy::Unwind, arguments).run_to_end();
    let ended = job(PanicStrategy::Unwind, arguments).gateway(&gateway.url()).run_to_end();
    ended.assert_same_as(&bare);
    (gateway, ended)
}

/// Like [`assert_same_as_bare`]. Also asserts that the job reports this outcome once and logs nothing. Returns the group
/// of the job.
#[track_caller]
fn assert_reported_once(ending: &str, outcome: &str) -> Group {
    let (gateway, ended) = assert_same_as_bare(&[ending]);
    assert_eq!(outcomes(&gateway.group("ending", &[])), [outcome], "{ending}: {ended:?}");
    assert_eq!(completions(&gateway, "ending"), 1, "{ending}");
    assert!(ended.log_lines.is_empty(), "{ending}: {:?}", ended.log_lines);
    gateway.group("ending", &[])
}

#[track_caller]
pub(crate) fn assert_value(group: &Group, name: &str, expected: Option<f64>) {
    let name = format!("batch_job_last_run_{name}");
    assert_eq!(group.get(&name, &[]), expected, "{name}");
}

#[test]
fn ok_result_is_reported_as_success() {
    let group = assert_reported_once("ok", "success");
    assert_value(&group, "panics", Some(0.0));
}

#[test]
fn err_result_is_reported_as_error() {
    assert_reported_once("err", "error");
}

#[test]
fn skipped_run_is_reported_as_skipped() {
    assert_reported_once("skip", "skipped");
}

#[test]
fn listed_exit_codes_determine_the_outcome() {
    for supervision in [&[][..], &["supervised"]] {
        for (ending, outcome) in [
            ("exit-0", "success"),
            ("exit-3", "success"),
            ("exit-in-thread", "skipped"),
            ("exit-in-worker", "skipped"),
            ("exit-in-block-on", "exit_code"),
        ] {
            let (gateway, ended) =
                assert_same_as_bare(&[supervision, &["exit-codes", ending]].concat());
            let group = gateway.group("ending", &[]);
            assert_eq!(outcomes(&group), [outcome], "{ending}: {ended:?}");
        }
    }
}

#[test]
fn panic_of_main_is_reported_as_panic() {
    let group = assert_reported_once("panic", "panic");
    assert_value(&group, "panics", Some(1.0));
}

#[test]
fn panic_with_a_custom_hook_is_reported_as_panic() {
    assert_reported_once("panic-with-own-hook", "panic");
}

#[test]
fn panics_of_threads_and_tasks_are_counted() {
    for ending in ["panic-in-thread", "panic-in-task"] {
        assert_value(&assert_reported_once(ending, "success"), "panics", Some(1.0));
    }
}

#[test]
fn panic_during_unwinding_is_reported_as_panic() {
    assert_reported_once("panic-in-drop", "panic");
}

#[test]
fn exit_in_the_panic_hook_is_reported_as_panic() {
    let group = assert_reported_once("exit-in-hook", "panic");
    assert_value(&group, "exit_code", Some(70.0));
}

#[test]
fn process_exit_reports_its_code() {
    for (ending, code) in [
        ("exit-3", 3.0),
        ("exit-in-thread", 4.0),
        ("exit-in-worker", 5.0),
        ("exit-in-block-on", 6.0),
    ] {
        let group = assert_reported_once(ending, "exit_code");
        assert_value(&group, "exit_code", Some(code));
        assert_eq!(group.get("batch_job_last_run_records", &[("result", "processed")]), Some(7.0));
    }
}

#[test]
fn exit_code_and_signal_are_those_of_the_last_run() {
    let gateway = FakeGateway::start();
    let ending = |ending| job(PanicStrategy::Unwind, &[ending]).gateway(&gateway.url());
    let assert_last_run = |exit_code, signal| {
        let group = gateway.group("ending", &[]);
        assert_value(&group, "exit_code", Some(exit_code));
        assert_value(&group, "signal", Some(signal));
        assert_value(&group, "core_dumped", Some(0.0));
    };
    ending("exit-3").run_to_end();
    assert_last_run(3.0, 0.0);
    let running = ending("wait").start().ready();
    running.signal("TERM");
    running.wait();
    assert_last_run(0.0, 15.0);
    ending("err").run_to_end();
    assert_last_run(0.0, 0.0);
}

#[test]
fn process_exit_after_a_question_for_help_is_skipped() {
    for flag in ["--help", "-h", "--version", "-V"] {
        let (gateway, ended) = assert_same_as_bare(&[flag, "exit-0"]);
        let group = gateway.group("ending", &[]);
        assert_eq!(outcomes(&group), ["skipped"], "{flag}: {ended:?}");
        assert_eq!(group.get("batch_job_last_success_timestamp_seconds", &[]), None);
    }
}

#[test]
fn flag_for_help_changes_no_other_outcome() {
    for (arguments, outcome) in [
        (["--help", "ok"], "success"),
        (["-V", "err"], "error"),
        (["-h", "exit-3"], "exit_code"),
        (["--help", "exit-in-hook"], "panic"),
        (["--helpful", "exit-0"], "success"),
    ] {
        let (gateway, ended) = assert_same_as_bare(&arguments);
        assert_eq!(outcomes(&gateway.group("ending", &[])), [outcome], "{arguments:?}: {ended:?}");
    }
}

#[test]
fn process_exit_with_zero_is_reported_as_success() {
    let group = assert_reported_once("exit-0", "success");
    assert_value(&group, "exit_code", Some(0.0));
}

/// Runs a job that leaves a run of the job `task` unfinished, and returns the outcomes reported for `task`.
#[track_caller]
fn outcomes_of_task(ending: &str) -> Vec<&'static str> {
    let (gateway, _) = assert_same_as_bare(&[ending]);
    assert_eq!(outcomes(&gateway.group("ending", &[])), ["success"]);
    assert_eq!(completions(&gateway, "task"), 1, "{ending}");
    outcomes(&gateway.group("task", &[]))
}

#[test]
fn forgotten_run_is_reported_when_main_returns() {
    assert_eq!(outcomes_of_task("forgotten-task"), ["exit_code"]);
}

#[test]
fn task_of_a_dropped_runtime_is_reported_as_cancelled() {
    assert_eq!(outcomes_of_task("dropped-runtime"), ["cancelled"]);
}

#[test]
fn task_left_by_a_background_shutdown_is_reported_at_exit() {
    assert_eq!(outcomes_of_task("background-shutdown"), ["exit_code"]);
}

#[test]
fn forked_child_reports_nothing() {
    assert_reported_once("fork", "success");
    assert_reported_once("fork-and-term", "success");
}

#[test]
fn run_in_a_forked_child_is_logged_and_not_pushed() {
    let (gateway, ended) = assert_same_as_bare(&["fork-and-run"]);
    assert_eq!(outcomes(&gateway.group("ending", &[])), ["success"]);
    assert!(gateway.find_group("task", &[]).is_none());
    assert_eq!(ended.log_lines.len(), 1, "{:?}", ended.log_lines);
    assert!(ended.log_lines[0].contains("start the first run after the fork"));
}

/// No code of the library runs at these endings: only the start push is sent.
#[test]
fn unobservable_ending_sends_no_completion() {
    for ending in ["exec", "_exit", "abort", "kill", "segv", "overflow"] {
        let gateway = FakeGateway::start();
        let bare = job(PanicStrategy::Unwind, &[ending]).run_to_end();
        let ended = job(PanicStrategy::Unwind, &[ending]).gateway(&gateway.url()).run_to_end();
        ended.assert_same_as(&bare);
        assert_eq!(completions(&gateway, "ending"), 0, "{ending}");
    }
}

/// While a program is executed, the system refuses new threads, such as the one that handles signals.
#[test]
fn exec_while_the_signal_thread_starts_logs_nothing() {
    let gateway = FakeGateway::start();
    for _ in 0..300 {
        let command = job(PanicStrategy::Unwind, &["exec-later"]).gateway(&gateway.url());
        let ended = command.run_to_end();
        assert!(ended.status.success() && ended.log_lines.is_empty(), "{ended:?}");
    }
}

/// Sends a signal to the ready job, without and with a gateway, and fails if its exit status or output differ.
#[track_caller]
fn signal_when_ready(arguments: &[&str], signal: &str) -> FakeGateway {
    let gateway = FakeGateway::start();
    let run = |url: Option<&str>| {
        let command = job(PanicStrategy::Unwind, arguments);
        let command = match url {
            Some(url) => command.gateway(url),
            None => command,
        };
        let running = command.start().ready();
        running.signal(signal);
        running.wait()
    };
    run(Some(&gateway.url())).assert_same_as(&run(None));
    gateway
}

#[test]
fn signal_is_reported_and_still_terminates_the_process() {
    for (signal, number) in [("TERM", 15.0), ("INT", 2.0), ("HUP", 1.0), ("QUIT", 3.0)] {
        let gateway = signal_when_ready(&["wait"], signal);
        let group = gateway.group("ending", &[]);
        assert_eq!(outcomes(&group), ["signal"], "{signal}");
        assert_value(&group, "signal", Some(number));
        assert_eq!(completions(&gateway, "ending"), 1);
    }
}

#[test]
fn signal_is_reported_even_if_main_returns_right_after_it() {
    for _ in 0..20 {
        let gateway = FakeGateway::start();
        let bare = signals_itself().run_to_end();
        signals_itself().gateway(&gateway.url()).run_to_end().assert_same_as(&bare);
        let group = gateway.group("signals_itself", &[]);
        assert_eq!(outcomes(&group), ["signal"]);
        assert_value(&group, "signal", Some(15.0));
        assert_eq!(completions(&gateway, "signals_itself"), 1);
    }
}

#[test]
fn signal_is_not_reported_without_signal_hooks() {
    let gateway = signal_when_ready(&["signals-off", "wait"], "TERM");
    assert_eq!(completions(&gateway, "ending"), 0);
}

#[test]
fn custom_signal_handling_decides_the_outcome() {
    for (ending, outcome) in [
        ("tokio-signal", "success"),
        ("signal-hook", "exit_code"),
        ("own-handler", "error"),
        ("blocked-signal", "success"),
    ] {
        let signal = if ending == "own-handler" { "INT" } else { "TERM" };
        let gateway = signal_when_ready(&[ending], signal);
        assert_eq!(outcomes(&gateway.group("ending", &[])), [outcome], "{ending}");
        assert_eq!(completions(&gateway, "ending"), 1, "{ending}");
    }
}

#[test]
fn signal_inherited_as_ignored_stays_ignored() {
    let gateway = FakeGateway::start();
    let launcher = ["sh", "-c", "trap '' HUP; exec \"$@\"", "sh"];
    let command =
        job(PanicStrategy::Unwind, &["wait-a-little"]).gateway(&gateway.url()).within(&launcher);
    let running = command.start().ready();
    running.signal("HUP");
    let ended = running.wait();
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(outcomes(&gateway.group("ending", &[])), ["success"]);
}

/// Sends a signal to a scheduler with two active tasks. Returns the outcomes of the tasks.
#[track_caller]
fn outcomes_of_tasks(
    arguments: &[&str],
    launcher: Option<&[&str]>,
    signal: &str,
) -> (FinishedJob, [Vec<&'static str>; 2]) {
    let gateway = FakeGateway::start();
    let command = active_tasks(arguments).gateway(&gateway.url());
    let command = match launcher {
        Some(launcher) => command.within(launcher),
        None => command,
    };
    let running = command.start().ready();
    running.signal(signal);
    if launcher.is_some() {
        running.signal("TERM");
    }
    let ended = running.wait();
    assert!(ended.log_lines.is_empty(), "{ended:?}");
    let outcomes_of = |number| match gateway.find_group("task", &[("number", number)]) {
        Some(group) if group.has_family("batch_job_last_run_outcome") => outcomes(&group),
        // The process ended before it pushed the outcome, or even the start.
        _ => Vec::new(),
    };
    (ended, ["1", "2"].map(outcomes_of))
}

#[test]
fn report_signals_reports_active_tasks() {
    for (signal, number) in [("TERM", 15), ("INT", 2), ("HUP", 1), ("QUIT", 3), ("XCPU", 24)] {
        let repeated = ["report-signals", "report-signals"];
        let (ended, outcomes) = outcomes_of_tasks(&repeated, None, signal);
        assert_eq!(ended.status.signal(), Some(number), "{ended:?}");
        assert_eq!(outcomes, [["signal"], ["signal"]], "{signal}");
    }
}

#[test]
fn signal_is_not_reported_by_tasks_alone() {
    let (ended, outcomes) = outcomes_of_tasks(&[], None, "TERM");
    assert_eq!(ended.status.signal(), Some(15));
    assert_eq!(outcomes, [[""; 0], []]);
}

#[test]
fn handler_of_the_program_overrides_report_signals() {
    for arguments in [["own-handler", "report-signals"], ["report-signals", "own-handler"]] {
        let (ended, outcomes) = outcomes_of_tasks(&arguments, None, "INT");
        assert_eq!(ended.status.code(), Some(3), "{ended:?}");
        assert_eq!(outcomes, [["exit_code"], ["exit_code"]], "{arguments:?}");
    }
}

#[test]
fn report_signals_leaves_an_ignored_signal_ignored() {
    let launcher = ["env", "--ignore-signal=HUP"];
    let (ended, outcomes) = outcomes_of_tasks(&["report-signals"], Some(&launcher), "HUP");
    assert_eq!(ended.status.signal(), Some(15), "{ended:?}");
    assert_eq!(outcomes, [["signal"], ["signal"]]);
}

#[test]
fn signal_report_to_a_hanging_gateway_is_bounded() {
    let gateway = FakeGateway::start();
    let command = job(PanicStrategy::Unwind, &["wait"]).gateway(&gateway.url());
    let running = command.variable("METRICS_PUSH_TIMEOUT", "60s").start().ready();
    gateway.fault(Fault::hang());
    let started = Instant::now();
    running.signal("TERM");
    let ended = running.wait();
    assert_eq!(ended.status.signal(), Some(15), "{ended:?}");
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

#[test]
fn second_signal_terminates_the_process_at_once() {
    let gateway = FakeGateway::start();
    let running = job(PanicStrategy::Unwind, &["wait"]).gateway(&gateway.url()).start().ready();
    gateway.wait_for(Duration::from_secs(20), |gateway| !gateway.requests().is_empty());
    gateway.fault(Fault::hang());
    let started = Instant::now();
    running.signal("INT");
    // The report of the first signal is in flight.
    gateway.wait_for(Duration::from_secs(20), |gateway| gateway.requests().len() > 1);
    while started.elapsed() < Duration::from_millis(1_100) {
        std::thread::yield_now();
    }
    running.signal("INT");
    let ended = running.wait();
    assert_eq!(ended.status.signal(), Some(2));
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
}

#[test]
fn exit_with_a_hanging_gateway_takes_one_timeout() {
    let gateway = FakeGateway::start();
    gateway.fault(Fault::hang());
    let endings = ["ok", "exit-3", "panic"].map(|ending| {
        let command = job(PanicStrategy::Unwind, &[ending]).gateway(&gateway.url());
        (ending, Instant::now(), command.variable("METRICS_PUSH_TIMEOUT", "4s").start())
    });
    for (ending, started, running) in endings {
        running.wait();
        assert!(started.elapsed() < Duration::from_secs(8), "{ending}: {:?}", started.elapsed());
    }
}

#[test]
fn slow_start_push_does_not_overtake_the_completion() {
    let gateway = FakeGateway::start();
    gateway.fail_next(1, Fault::stall(Duration::from_millis(400)));
    let command = job(PanicStrategy::Unwind, &["wait-for-input"]).gateway(&gateway.url());
    let mut running = command.with_input().start();
    gateway.wait_for(Duration::from_secs(20), |gateway| !gateway.requests().is_empty());
    running.close_input();
    let ended = running.wait();
    assert!(ended.log_lines.is_empty(), "{ended:?}");
    let methods: Vec<_> = gateway.requests().into_iter().map(|sent| sent.method).collect();
    assert_eq!(methods, ["POST", "PUT"]);
    assert_eq!(outcomes(&gateway.group("ending", &[])), ["success"]);
}

#[test]
fn pending_start_push_is_dropped_at_completion() {
    let gateway = FakeGateway::start();
    // Longer than a busy machine needs for the runs.
    let config = Config::default().url(gateway.url()).unwrap().timeout(Duration::from_secs(60));
    let scope = config.scope().unwrap();
    let job = Job::with_name("quick");
    // Sends no response until the gateway is healed.
    gateway.fail_next(1, Fault::drip(Duration::from_secs(60)));
    let first = job.start();
    gateway.wait_for(Duration::from_secs(20), |gateway| !gateway.requests().is_empty());
    // The first start push is in flight; all requests after it wait and are merged into one.
    first.finish(Outcome::Success);
    for _ in 0..5 {
        job.start().finish(Outcome::Success);
    }
    gateway.heal();
    flush();
    drop(scope);
    assert_eq!(gateway.requests().len(), 2, "{:?}", gateway.requests());
    assert_eq!(outcomes(&gateway.group("quick", &[])), ["success"]);
}

#[test]
fn heartbeats_are_pushed_until_the_run_finishes() {
    let gateway = FakeGateway::start();
    let command = job(PanicStrategy::Unwind, &["heartbeat", "wait-for-input"]).with_input();
    let mut running = command.gateway(&gateway.url()).start().ready();
    // The start and two heartbeats.
    gateway.wait_for(Duration::from_secs(20), |gateway| gateway.requests().len() >= 3);
    running.close_input();
    running.wait();
    assert_eq!(gateway.requests().last().unwrap().method, "PUT");
    assert_eq!(outcomes(&gateway.group("ending", &[])), ["success"]);
}
