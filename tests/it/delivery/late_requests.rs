//! A heartbeat that the gateway processes after it has accepted the outcome of the same run.

use std::time::{Duration, Instant};

use metrics_push::testing::{FakeGateway, Fault};
use metrics_push::{Config, Job, Outcome};

use super::{TIMEOUT, empty_registry, value};
use crate::flushes::flush;
use crate::temp_dir::TempDir;

/// The timeout of the outcome. A heartbeat is abandoned after a sixth of it.
const OUTCOME_TIMEOUT: Duration = Duration::from_secs(24);
/// When the gateway processes the heartbeat. The outcome is accepted two seconds earlier.
const LATE: Duration = Duration::from_secs(6);

const PROGRESS: &str = "batch_job_progress_ratio 0.5\n";

/// Finishes a run whose heartbeat meets the fault, and waits until its outcome is settled.
fn finish_after_heartbeat(gateway: &FakeGateway, fault: Fault) {
    gateway.fail_next(1, fault.when(|request| request.text().contains(PROGRESS)));
    let job = Job::new("nightly").registry(empty_registry).heartbeat(Duration::from_secs(1));
    let run = job.start();
    run.progress(1, 2);
    gateway.wait_for(TIMEOUT, |gateway| {
        gateway.requests().iter().any(|request| request.text().contains(PROGRESS))
    });
    run.progress(2, 2);
    run.finish(Outcome::Success);
    flush();
}

#[test]
fn late_heartbeat_does_not_replace_the_outcome() {
    let gateway = FakeGateway::start();
    let config = Config::default().url(gateway.url()).unwrap().timeout(OUTCOME_TIMEOUT);
    let _scope = config.scope().unwrap();
    let started = Instant::now();
    finish_after_heartbeat(&gateway, Fault::stall(LATE));
    // The gateway has processed the heartbeat.
    std::thread::sleep((started + LATE * 2).saturating_duration_since(Instant::now()));
    assert_eq!(value(&gateway.group("nightly", &[]), "progress_ratio"), Some(1.0));
}

#[test]
fn outcome_is_stored_as_unconfirmed_if_a_heartbeat_gets_no_response() {
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    let config = Config::default().url(gateway.url()).unwrap().timeout(OUTCOME_TIMEOUT);
    let _scope = config.state_dir(state.path()).scope().unwrap();
    let started = Instant::now();
    finish_after_heartbeat(&gateway, Fault::hang());
    let took = gateway.requests().last().unwrap().received - started;
    assert!(took < OUTCOME_TIMEOUT, "{took:?}");
    assert_eq!(value(&gateway.group("nightly", &[]), "progress_ratio"), Some(1.0));
    assert_eq!(state.records().len(), 1);
    gateway.heal();
    assert_eq!(metrics_push::recover(TIMEOUT).delivered, 1);
    assert_eq!(value(&gateway.group("nightly", &[]), "progress_ratio"), Some(1.0));
    assert!(state.records().is_empty());
}
