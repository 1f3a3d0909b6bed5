//! The ways a process ends, each as a child: what the gateway is told, once, and the end as without us.

use std::time::{Duration, Instant};

use metrics_push::testing::{FakeGateway, Fault, Group};
use metrics_push::{Config, Job, Outcome, flush};

use crate::child::{Ended, Panics, job, signals_itself};

/// The outcomes that hold in a group: one, unless a run is open.
#[track_caller]
pub(crate) fn outcomes(group: &Group) -> Vec<&'static str> {
    let value = |outcome: &str| group.value("batch_job_last_run_outcome", &[("outcome", outcome)]);
    Outcome::ALL.into_iter().map(Outcome::as_str).filter(|outcome| value(outcome) > 0.5).collect()
}

/// How many requests told of an end.
pub(crate) fn endings(gateway: &FakeGateway, job: &str) -> usize {
    let tells = |body: &[u8]| String::from_utf8_lossy(body).contains("batch_job_last_completion_");
    let path = format!("/metrics/job/{job}");
    gateway.requests().iter().filter(|sent| sent.path == path && tells(&sent.body)).count()
}

/// Runs the job to its end, bare and with a gateway, and compares.
#[track_caller]
fn same_as_bare(arguments: &[&str]) -> (FakeGateway, Ended) {
    let gateway = FakeGateway::start();
    let bare = job(Panics::Unwind, arguments).run_to_end();
    let ended = job(Panics::Unwind, arguments).gateway(&gateway.url()).run_to_end();
    ended.assert_same_as(&bare);
    (gateway, ended)
}

/// The same, for a job that tells of its end once and has nothing to complain of.
#[track_caller]
fn told_once(ending: &str, outcome: &str) -> Group {
    let (gateway, ended) = same_as_bare(&[ending]);
    assert_eq!(outcomes(&gateway.group("ending", &[])), [outcome], "{ending}: {ended:?}");
    assert_eq!(endings(&gateway, "ending"), 1, "{ending}");
    assert!(ended.notices.is_empty(), "{ending}: {:?}", ended.notices);
    gateway.group("ending", &[])
}

#[track_caller]
pub(crate) fn assert_value(group: &Group, name: &str, expected: Option<f64>) {
    let name = format!("batch_job_last_run_{name}");
    assert_eq!(group.get(&name, &[]), expected, "{name}");
}

#[test]
fn ok_is_a_success() {
    let group = told_once("ok", "success");
    assert_value(&group, "panics", Some(0.0));
}

#[test]
fn err_is_an_error() {
    told_once("err", "error");
}

#[test]
fn a_skipped_run_is_skipped() {
    told_once("skip", "skipped");
}

#[test]
fn a_panic_of_main_is_a_panic() {
    let group = told_once("panic", "panic");
    assert_value(&group, "panics", Some(1.0));
}

#[test]
fn a_panic_that_calls_the_programs_own_hook_is_a_panic() {
    told_once("panic-with-own-hook", "panic");
}

#[test]
fn a_panic_whose_metrics_panic_as_well_is_told_without_them() {
    for panics in [Panics::Unwind, Panics::Abort] {
        let gateway = FakeGateway::start();
        let ended = job(panics, &["panic-in-collector"]).gateway(&gateway.url()).run_to_end();
        assert!(!ended.status.success(), "{ended:?}");
        let group = gateway.group("ending", &[]);
        assert_eq!(outcomes(&group), ["panic"], "{panics:?}: {ended:?}");
        assert_eq!(group.get("batch_job_last_run_records", &[("result", "processed")]), Some(7.0));
        assert_eq!(endings(&gateway, "ending"), 1, "{panics:?}");
    }
}

#[test]
fn panics_of_threads_and_tasks_are_counted() {
    for ending in ["panic-in-thread", "panic-in-task"] {
        assert_value(&told_once(ending, "success"), "panics", Some(1.0));
    }
}

#[test]
fn a_panic_during_a_panic_is_a_panic() {
    told_once("panic-in-drop", "panic");
}

#[test]
fn an_exit_because_of_a_panic_is_a_panic() {
    let group = told_once("exit-in-hook", "panic");
    assert_value(&group, "exit_code", Some(70.0));
}

#[test]
fn process_exit_tells_its_code() {
    for (ending, code) in [
        ("exit-3", 3.0),
        ("exit-in-thread", 4.0),
        ("exit-in-worker", 5.0),
        ("exit-in-block-on", 6.0),
    ] {
        let group = told_once(ending, "exit_code");
        assert_value(&group, "exit_code", Some(code));
        assert_eq!(group.get("batch_job_last_run_records", &[("result", "processed")]), Some(7.0));
    }
}

#[test]
fn process_exit_with_zero_is_what_it_says() {
    let group = told_once("exit-0", "success");
    assert_value(&group, "exit_code", Some(0.0));
}

/// Ends with an open run of another job, whose outcome this gives.
#[track_caller]
fn task_left_by(ending: &str) -> Vec<&'static str> {
    let (gateway, _) = same_as_bare(&[ending]);
    assert_eq!(outcomes(&gateway.group("ending", &[])), ["success"]);
    assert_eq!(endings(&gateway, "task"), 1, "{ending}");
    outcomes(&gateway.group("task", &[]))
}

#[test]
fn a_run_that_was_forgotten_is_swept_when_main_ends() {
    assert_eq!(task_left_by("forgotten-task"), ["exit_code"]);
}

#[test]
fn a_task_of_a_dropped_runtime_was_cancelled() {
    assert_eq!(task_left_by("dropped-runtime"), ["cancelled"]);
}

#[test]
fn a_task_that_a_shutdown_left_behind_is_swept_when_main_ends() {
    assert_eq!(task_left_by("background-shutdown"), ["exit_code"]);
}

#[test]
fn a_fork_reports_nothing() {
    told_once("fork", "success");
    told_once("fork-and-term", "success");
}

#[test]
fn a_run_of_a_fork_is_not_pushed_and_says_so() {
    let (gateway, ended) = same_as_bare(&["fork-and-run"]);
    assert_eq!(outcomes(&gateway.group("ending", &[])), ["success"]);
    assert!(gateway.find_group("task", &[]).is_none());
    assert_eq!(ended.notices.len(), 1, "{:?}", ended.notices);
    assert!(ended.notices[0].contains("start the first run after the fork"));
}

/// Ends without any of our code; only the start push tells that there was a run.
#[test]
fn what_nothing_in_the_process_can_see_stays_open() {
    for ending in ["exec", "_exit", "abort", "kill", "segv", "overflow"] {
        let gateway = FakeGateway::start();
        let bare = job(Panics::Unwind, &[ending]).run_to_end();
        let ended = job(Panics::Unwind, &[ending]).gateway(&gateway.url()).run_to_end();
        ended.assert_same_as(&bare);
        assert_eq!(endings(&gateway, "ending"), 0, "{ending}");
    }
}

/// Signals the job when it is ready, bare and with a gateway, and compares.
#[track_caller]
fn signalled(arguments: &[&str], signal: &str) -> FakeGateway {
    let gateway = FakeGateway::start();
    let end = |url: Option<&str>| {
        let start = job(Panics::Unwind, arguments);
        let start = match url {
            Some(url) => start.gateway(url),
            None => start,
        };
        let running = start.start().ready();
        running.signal(signal);
        running.wait()
    };
    end(Some(&gateway.url())).assert_same_as(&end(None));
    gateway
}

#[test]
fn a_signal_is_told_and_still_ends_the_process() {
    for (signal, number) in [("TERM", 15.0), ("INT", 2.0), ("HUP", 1.0), ("QUIT", 3.0)] {
        let gateway = signalled(&["wait"], signal);
        let group = gateway.group("ending", &[]);
        assert_eq!(outcomes(&group), ["signal"], "{signal}");
        assert_value(&group, "signal", Some(number));
        assert_eq!(endings(&gateway, "ending"), 1);
    }
}

#[test]
fn a_signal_in_the_first_moment_is_told_even_if_main_returns_in_the_next() {
    for _ in 0..20 {
        let gateway = FakeGateway::start();
        let bare = signals_itself().run_to_end();
        signals_itself().gateway(&gateway.url()).run_to_end().assert_same_as(&bare);
        let group = gateway.group("signals_itself", &[]);
        assert_eq!(outcomes(&group), ["signal"]);
        assert_value(&group, "signal", Some(15.0));
        assert_eq!(endings(&gateway, "signals_itself"), 1);
    }
}

#[test]
fn with_signals_off_they_are_left_alone() {
    let gateway = signalled(&["signals-off", "wait"], "TERM");
    assert_eq!(endings(&gateway, "ending"), 0);
}

#[test]
fn the_programs_own_handling_decides_and_its_end_is_told() {
    for (ending, outcome) in [
        ("tokio-signal", "success"),
        ("signal-hook", "exit_code"),
        ("own-handler", "error"),
        ("blocked-signal", "success"),
    ] {
        let signal = if ending == "own-handler" { "INT" } else { "TERM" };
        let gateway = signalled(&[ending], signal);
        assert_eq!(outcomes(&gateway.group("ending", &[])), [outcome], "{ending}");
        assert_eq!(endings(&gateway, "ending"), 1, "{ending}");
    }
}

#[test]
fn what_was_inherited_as_ignored_stays_ignored() {
    let gateway = FakeGateway::start();
    let launcher = ["sh", "-c", "trap '' HUP; exec \"$@\"", "sh"];
    let start = job(Panics::Unwind, &["wait-a-little"]).gateway(&gateway.url()).within(&launcher);
    let running = start.start().ready();
    running.signal("HUP");
    let ended = running.wait();
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(outcomes(&gateway.group("ending", &[])), ["success"]);
}

#[test]
fn a_signal_waits_for_a_dead_gateway_no_longer_than_its_budget() {
    let gateway = FakeGateway::start();
    let running = job(Panics::Unwind, &["wait"]).gateway(&gateway.url()).start().ready();
    gateway.fault(Fault::hang());
    let begun = Instant::now();
    running.signal("TERM");
    let ended = running.wait();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended.status), Some(15), "{ended:?}");
    assert!(begun.elapsed() < Duration::from_secs(7), "{:?}", begun.elapsed());
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    let gateway = FakeGateway::start();
    let running = job(Panics::Unwind, &["wait"]).gateway(&gateway.url()).start().ready();
    gateway.wait_for(Duration::from_secs(20), |gateway| !gateway.requests().is_empty());
    gateway.fault(Fault::hang());
    let begun = Instant::now();
    running.signal("INT");
    // The first one's report is under way.
    gateway.wait_for(Duration::from_secs(20), |gateway| gateway.requests().len() > 1);
    while begun.elapsed() < Duration::from_millis(1_100) {
        std::thread::yield_now();
    }
    running.signal("INT");
    let ended = running.wait();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&ended.status), Some(2));
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[test]
fn the_exit_of_a_dead_gateways_job_takes_one_budget() {
    let gateway = FakeGateway::start();
    gateway.fault(Fault::hang());
    for ending in ["ok", "exit-3", "panic"] {
        let begun = Instant::now();
        let start = job(Panics::Unwind, &[ending]).gateway(&gateway.url());
        start.variable("METRICS_PUSH_TIMEOUT", "1s").run_to_end();
        assert!(begun.elapsed() < Duration::from_secs(2), "{ending}: {:?}", begun.elapsed());
    }
}

#[test]
fn a_slow_start_push_does_not_overtake_the_end() {
    let gateway = FakeGateway::start();
    gateway.fail_next(1, Fault::stall(Duration::from_millis(400)));
    let ended = job(Panics::Unwind, &["wait-a-little"]).gateway(&gateway.url()).run_to_end();
    assert!(ended.notices.is_empty(), "{ended:?}");
    let methods: Vec<_> = gateway.requests().into_iter().map(|sent| sent.method).collect();
    assert_eq!(methods, ["POST", "PUT"]);
    assert_eq!(outcomes(&gateway.group("ending", &[])), ["success"]);
}

#[test]
fn a_start_that_has_not_left_when_the_run_ends_is_not_sent() {
    let gateway = FakeGateway::start();
    let scope = Config::default().url(gateway.url()).unwrap().scope().unwrap();
    let job = Job::with_name("quick");
    gateway.fail_next(1, Fault::stall(Duration::from_millis(300)));
    let first = job.start();
    gateway.wait_for(Duration::from_secs(20), |gateway| !gateway.requests().is_empty());
    // The first start is on its way; all that follows waits for it, and becomes one.
    first.finish(Outcome::Success);
    for _ in 0..5 {
        job.start().finish(Outcome::Success);
    }
    assert_eq!(flush(Duration::from_secs(20)), 0);
    drop(scope);
    assert_eq!(gateway.requests().len(), 2, "{:?}", gateway.requests());
    assert_eq!(outcomes(&gateway.group("quick", &[])), ["success"]);
}

#[test]
fn a_heart_beats_until_the_run_ends() {
    let gateway = FakeGateway::start();
    let start = job(Panics::Unwind, &["beating", "wait-a-little"]).gateway(&gateway.url());
    start.run_to_end();
    let requests = gateway.requests();
    assert!(requests.len() > 4, "{}", requests.len());
    assert_eq!(requests.last().unwrap().method, "PUT");
    assert_eq!(outcomes(&gateway.group("ending", &[])), ["success"]);
}
