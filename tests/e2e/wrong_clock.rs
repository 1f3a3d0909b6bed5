//! Runs of a machine whose clock was wrong, and later runs with the true time.

use crate::child::{JobCommand, PanicStrategy, job};
use crate::faketime::with_clock;
use crate::lifecycle::{Stored, outcomes, stored};
use crate::real::Pushgateway;
use crate::state_dir::StateDir;

const FAILURE: &str = "batch_job_last_failure_timestamp_seconds";
const SUCCESS: &str = "batch_job_last_success_timestamp_seconds";

fn run(ending: &str, gateway: &Pushgateway, state: &StateDir) -> JobCommand {
    let command = job(PanicStrategy::Unwind, &[ending]).gateway(&gateway.url());
    command.variable("METRICS_PUSH_STATE_DIR", state.path())
}

/// Runs the job with a clock that is 400 days ahead.
fn run_ahead(ending: &str, gateway: &Pushgateway, state: &StateDir) {
    with_clock(run(ending, gateway, state), "+400d").run_to_end();
}

fn group(gateway: &Pushgateway) -> Stored {
    stored(gateway, "ending")
}

#[test]
fn failure_recorded_by_a_wrong_clock_is_not_remembered() {
    let (gateway, state) = (Pushgateway::start(), StateDir::new());
    run_ahead("err", &gateway, &state);
    assert!(group(&gateway)[FAILURE] > group(&gateway)["push_time_seconds"] + 1e7);
    for _ in 0..2 {
        run("ok", &gateway, &state).run_to_end();
        assert_eq!(group(&gateway).get(FAILURE), None);
        assert_eq!(outcomes(&group(&gateway)), ["success"]);
    }
    run("err", &gateway, &state).run_to_end();
    let failure = group(&gateway)[FAILURE];
    run("ok", &gateway, &state).run_to_end();
    assert!(group(&gateway)[FAILURE] == failure && group(&gateway)[SUCCESS] > failure);
}

#[test]
fn run_of_a_dead_process_is_reported_after_one_with_a_wrong_clock() {
    let (gateway, state) = (Pushgateway::start(), StateDir::new());
    let killed = StateDir::new();
    run("kill", &gateway, &killed).run_to_end();
    run_ahead("err", &gateway, &state);
    // A run of another job finds the dead run.
    let command = run("ok", &gateway, &killed).variable("METRICS_PUSH_JOB", "other");
    command.run_to_end();
    assert_eq!(outcomes(&group(&gateway)), ["abandoned"]);
    assert!(group(&gateway)[FAILURE] < group(&gateway)["push_time_seconds"] + 300.0);
}
