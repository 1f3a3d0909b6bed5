//! Why runs failed: the history has the text, and no request has it.

use metrics_push::testing::FakeGateway;
use metrics_push::{Config, GroupingKey, Outcome, RunHistory};

use crate::child::{FinishedJob, PanicStrategy, job, job_command};
use crate::programs::program;
use crate::state_dir::StateDir;

/// Runs functions of the program `failures`.
fn fail(gateway: &FakeGateway, state: &StateDir, failures: &[&str]) -> FinishedJob {
    let command = job_command(program("failures"), failures).gateway(&gateway.url());
    command.variable("METRICS_PUSH_STATE_DIR", state.path()).run_to_end()
}

/// Returns the outcome and the reason of the only run of each group of a job.
fn reasons(state: &StateDir, job: &str) -> Vec<(Outcome, Option<String>)> {
    let _scope = Config::default().state_dir(state.path()).scope().unwrap();
    let histories = metrics_push::histories().into_iter();
    let runs = histories.filter(|history| history.key().job() == job).map(|history: RunHistory| {
        let [run] = history.runs() else { panic!("{history:?}") };
        (run.outcome(), run.reason().map(str::to_owned))
    });
    runs.collect()
}

/// Returns the reason of the only run of a job.
fn reason(state: &StateDir, job: &str, outcome: Outcome) -> Option<String> {
    let mut reasons = reasons(state, job);
    assert_eq!((reasons.len(), reasons[0].0), (1, outcome), "{job}: {reasons:?}");
    reasons.remove(0).1
}

#[test]
fn error_of_a_function_is_stored_if_its_type_has_a_text() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let expected = [
        ("io", Some(r#"Custom { kind: Other, error: "no space\nleft" }"#)),
        ("async-error", Some("Error")),
        ("future", Some("Error")),
        ("boxed", Some(r#""GET http://…@host/a: 403""#)),
        ("no-text", None),
        ("no-text-and-value", None),
        // A generic function is judged by its bounds.
        ("generic", None),
        ("generic-with-bound", Some("Error")),
        ("panicking-debug", None),
        ("by-hand", Some(r#""no space""#)),
        ("closure", Some("Error")),
        ("caught-panic", Some("Error")),
        ("main", Some(r#""the end of main""#)),
    ];
    let ended = fail(&gateway, &state, &expected.map(|(job, _)| job));
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    for (job, expected) in expected {
        assert_eq!(reason(&state, job, Outcome::Error).as_deref(), expected, "{job}");
    }
    for request in gateway.requests() {
        let text = String::from_utf8_lossy(&request.body).into_owned();
        for secret in ["no space", "hunter2", "host/a", "the end of main"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[test]
fn panic_is_stored_with_its_message_and_place() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let failures = ["panic", "panic-in-task", "panic-after-a-caught-one"];
    assert!(fail(&gateway, &state, &failures).status.success());
    for (job, message) in
        failures.into_iter().zip(["boom", "a panic without a message", "the last one"])
    {
        let reason = reason(&state, job, Outcome::Panic).unwrap();
        let (found, place) = reason.split_once(", ").unwrap();
        assert_eq!(found, message, "{reason}");
        assert!(place.contains("failures.rs:") && place.split(':').count() == 3, "{reason}");
    }
    let bodies = gateway.requests().into_iter().map(|request| request.body);
    assert!(
        bodies.into_iter().all(|body| !String::from_utf8_lossy(&body).contains("the last one"))
    );
}

#[test]
fn stage_in_which_a_run_failed_is_stored() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let jobs = ["stage", "panic-in-stage", "panic-after-stage", "stage-of-a-success"];
    assert!(fail(&gateway, &state, &jobs).status.success());
    let _scope = Config::default().state_dir(state.path()).scope().unwrap();
    // An error ends its stage before the run, so that it cannot be distinguished from an error after the stage.
    let stages = [(None, Some("load")), (Some("load"), None), (None, None), (None, None)];
    for (job, expected) in jobs.into_iter().zip(stages) {
        let history = metrics_push::history(&GroupingKey::new(job).unwrap()).unwrap();
        let run = &history.runs()[0];
        assert_eq!((run.failed_stage(), run.last_stage()), expected, "{job}");
    }
}

#[test]
fn panics_at_the_same_time_are_stored_with_their_own_runs() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    assert!(fail(&gateway, &state, &["panics-at-once"]).status.success());
    let messages: Vec<_> = reasons(&state, "panics-at-once")
        .into_iter()
        .map(|(_, reason)| reason.unwrap().split_once(',').unwrap().0.to_owned())
        .collect();
    assert_eq!(messages, ["one", "two"]);
}

#[test]
fn panic_of_another_thread_is_stored_with_main() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    assert_eq!(fail(&gateway, &state, &["passed-panic"]).status.code(), Some(101));
    let reason = reason(&state, "main", Outcome::Panic).unwrap();
    assert!(reason.starts_with("on another thread, "), "{reason}");
}

#[test]
fn panic_that_aborts_the_process_is_stored() {
    for (strategy, ending, message) in [
        (PanicStrategy::Abort, "panic", "boom"),
        // The second panic aborts. The message about that is not the reason.
        (PanicStrategy::Unwind, "panic-in-drop", "second"),
    ] {
        let (gateway, state) = (FakeGateway::start(), StateDir::new());
        let command = job(strategy, &[ending]).gateway(&gateway.url());
        command.variable("METRICS_PUSH_STATE_DIR", state.path()).run_to_end();
        let reason = reason(&state, "ending", Outcome::Panic).unwrap();
        assert!(reason.starts_with(&format!("{message}, ")), "{ending}: {reason}");
    }
}

/// The process dies after it has recorded how the run ended, and a later process reports the run.
#[test]
fn next_process_stores_the_reason_of_a_lost_report() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let tracer = ["strace", "--follow-forks", "--quiet=all", "--output=/dev/null"];
    let kill = ["-e", "inject=connect:signal=KILL"];
    let launcher: Vec<_> = tracer.into_iter().chain(kill).collect();
    let command = job_command(program("failures"), &["main"]).gateway(&gateway.url());
    command.variable("METRICS_PUSH_STATE_DIR", state.path()).within(&launcher).run_to_end();
    fail(&gateway, &state, &[]);
    let _scope = Config::default().state_dir(state.path()).scope().unwrap();
    let histories = metrics_push::histories();
    let failed = histories[0].runs().iter().filter(|run| run.reason().is_some());
    let found: Vec<_> = failed.map(|run| (run.last_stage(), run.reason())).collect();
    let expected = (Some("the last stage"), Some(r#""the end of main""#));
    assert_eq!(found, [expected], "{histories:?}");
}

#[test]
fn no_error_is_formatted_without_a_state_directory() {
    let gateway = FakeGateway::start();
    let command = job_command(program("failures"), &["panicking-debug"]).gateway(&gateway.url());
    let ended = command.run_to_end();
    assert!(ended.status.success() && ended.stderr.is_empty(), "{ended:?}");
}
