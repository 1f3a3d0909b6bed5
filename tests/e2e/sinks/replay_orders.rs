//! Four outcomes of one job, each in the spool of another machine, reach a server in every order.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use metrics_push::{Config, Job};

use crate::state_dir::StateDir;

use super::influx_db::InfluxDb;
use super::receivers::{RealReceiver, ReceiverKind};
use super::{Receiver, outcomes};

const SUCCESS: &str = "batch_job_last_success_timestamp_seconds";
const FAILURE: &str = "batch_job_last_failure_timestamp_seconds";
const TIMEOUT: Duration = Duration::from_secs(60);

/// The results of the runs, oldest first.
const RESULTS: [Result<(), &str>; 4] = [Ok(()), Err("no input"), Ok(()), Err("no input")];

/// The undelivered outcomes of all jobs.
struct Undelivered {
    /// The state directory of each machine.
    machines: [StateDir; RESULTS.len()],
    /// The time before the last success, in Unix seconds.
    before_last_success: f64,
}

impl Undelivered {
    /// Runs a job for each order on each machine, while the server is dead.
    fn record(url: &str) -> Self {
        let mut times = Vec::new();
        let machines = RESULTS.map(|result| {
            let state = StateDir::new();
            times.push(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64());
            let _scope = config(url).state_dir(state.path()).scope().unwrap();
            for order in 0..orders().len() {
                assert_eq!(Job::with_name(name(order)).run(|_| result), result);
            }
            assert_eq!(metrics_push::flush(TIMEOUT), 0);
            state
        });
        Self { machines, before_last_success: times[2] }
    }

    /// Delivers the outcomes of one job in this order of machines.
    fn deliver(&self, url: &str, job: &str, order: [usize; RESULTS.len()]) {
        for machine in order {
            let state = StateDir::new();
            copy_record(self.machines[machine].path(), state.path(), job);
            let _scope = config(url).state_dir(state.path()).scope().unwrap();
            let recovery = metrics_push::recover(TIMEOUT);
            assert_eq!((recovery.delivered, recovery.left), (1, 0), "{job}: {order:?}");
        }
    }

    fn deliver_in_every_order(&self, receiver: &impl Receiver) {
        for (number, order) in orders().into_iter().enumerate() {
            let job = name(number);
            self.deliver(&receiver.url(), &job, order);
            let is_newest = |values: &super::Values| {
                outcomes(values) == ["error"]
                    && values[SUCCESS] >= self.before_last_success
                    && values[FAILURE] >= values[SUCCESS]
            };
            receiver.wait_for(&job, is_newest);
        }
    }
}

fn config(url: &str) -> Config {
    Config::default().url(url).unwrap().timeout(TIMEOUT)
}

fn name(order: usize) -> String {
    format!("order_{order:02}")
}

/// Copies the record of one job to another state directory.
fn copy_record(from: &Path, to: &Path, job: &str) {
    std::fs::create_dir_all(to.join("spool")).unwrap();
    for entry in std::fs::read_dir(from.join("spool")).unwrap() {
        let entry = entry.unwrap();
        let text = std::fs::read_to_string(entry.path()).unwrap();
        if text.contains(&format!(":{job}\n")) {
            std::fs::write(to.join("spool").join(entry.file_name()), text).unwrap();
        }
    }
}

/// All orders of four machines.
fn orders() -> Vec<[usize; RESULTS.len()]> {
    let digits = |number: usize| [number / 64, number / 16 % 4, number / 4 % 4, number % 4];
    let has_each = |order: &[usize; 4]| (0..4).all(|machine| order.contains(&machine));
    (0..256).map(digits).filter(has_each).collect()
}

#[test]
fn replays_in_every_order_leave_the_newest_outcome_in_prometheus() {
    replays_leave_the_newest_outcome(ReceiverKind::Prometheus);
}

#[test]
fn replays_in_every_order_leave_the_newest_outcome_in_victoria_metrics() {
    replays_leave_the_newest_outcome(ReceiverKind::VictoriaMetrics);
}

fn replays_leave_the_newest_outcome(kind: ReceiverKind) {
    let receiver = RealReceiver::start(kind);
    let url = receiver.url();
    let mut undelivered = None;
    let receiver = receiver.restart(|| undelivered = Some(Undelivered::record(&url)));
    undelivered.unwrap().deliver_in_every_order(&receiver);
}

#[test]
fn replays_in_every_order_leave_the_newest_outcome_in_influx() {
    let influx = InfluxDb::start();
    let url = influx.url();
    let mut undelivered = None;
    let influx = influx.restart(|| undelivered = Some(Undelivered::record(&url)));
    undelivered.unwrap().deliver_in_every_order(&influx);
}
