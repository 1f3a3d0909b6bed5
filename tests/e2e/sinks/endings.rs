//! The endings of real child processes on each server that stores samples.

use crate::child::{PanicStrategy, ending, job};
use crate::state_dir::StateDir;

use super::influx_db::InfluxDb;
use super::otlp_receiver::OtlpReceiver;
use super::receivers::{RealReceiver, ReceiverKind};
use super::victoria_metrics::VictoriaMetrics;
use super::{ENDINGS, Receiver, outcomes};

const LAST_SUCCESS: &str = "batch_job_last_success_timestamp_seconds";
const LAST_FAILURE: &str = "batch_job_last_failure_timestamp_seconds";

#[test]
fn influx_stores_every_ending() {
    every_ending_is_stored(&InfluxDb::start());
}

#[test]
fn victoria_metrics_stores_every_ending() {
    every_ending_is_stored(&VictoriaMetrics::start());
}

#[test]
fn otlp_receiver_gets_every_ending() {
    every_ending_is_stored(&OtlpReceiver::start());
}

#[test]
fn prometheus_receives_every_ending() {
    every_ending_is_stored(&RealReceiver::start(ReceiverKind::Prometheus));
}

#[test]
fn victoria_metrics_receives_every_ending() {
    every_ending_is_stored(&RealReceiver::start(ReceiverKind::VictoriaMetrics));
}

fn every_ending_is_stored(receiver: &impl Receiver) {
    for (arguments, outcome) in ENDINGS {
        let name = arguments.join("_");
        let state = StateDir::new();
        let command = ending(&name, &receiver.url(), arguments);
        let mut running = command.variable("METRICS_PUSH_STATE_DIR", state.path()).start();
        let mut bare = job(PanicStrategy::Unwind, arguments).start();
        if arguments == ["wait"] {
            (running, bare) = (running.ready(), bare.ready());
            running.signal("TERM");
            bare.signal("TERM");
        }
        let ended = running.wait();
        if outcome != "timeout" {
            ended.assert_same_as(&bare.wait());
        } else {
            bare.kill();
        }
        let values = receiver.wait_for(&name, |values| !outcomes(values).is_empty());
        assert_eq!(outcomes(&values), [outcome], "{name}: {ended:?} {values:?}");
        let records = values.get("batch_job_last_run_records{result=\"processed\"}").copied();
        // The supervisor of a process that dies has no records of it.
        let expected = (arguments[0] != "supervised").then_some(7.0);
        assert_eq!(records, expected, "{name}: {values:?}");
        assert_eq!(values.contains_key(LAST_SUCCESS), outcome == "success", "{name}: {values:?}");
        assert!(state.journals().is_empty(), "{name}");
    }
    failure_leaves_the_last_success(receiver);
}

fn failure_leaves_the_last_success(receiver: &impl Receiver) {
    for arguments in [["ok"], ["err"]] {
        ending("both", &receiver.url(), &arguments).run_to_end();
    }
    let values = receiver.wait_for("both", |values| outcomes(values) == ["error"]);
    assert!(values[LAST_SUCCESS] <= values[LAST_FAILURE], "{values:?}");
    assert_eq!(values["batch_job_last_run_success"], 0.0);
}
