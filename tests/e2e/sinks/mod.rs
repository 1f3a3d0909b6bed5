//! Sinks that store samples, with the real servers behind them: the same endings on each, and what only one sink does.

mod endings;
mod fake_receiver;
mod influx;
mod influx_db;
mod otlp;
mod otlp_messages;
mod otlp_receiver;
mod receivers;
mod recorder;
mod remote_write;
mod replay_orders;
mod several;
mod status;
mod totals;
mod victoria_metrics;

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use crate::child::{JobCommand, job_command};
use crate::programs::program;

/// Arguments of the program `ending`, and the outcome.
pub(crate) const ENDINGS: [(&[&str], &str); 10] = [
    (&["ok"], "success"),
    (&["err"], "error"),
    (&["panic"], "panic"),
    (&["skip"], "skipped"),
    (&["exit-3"], "exit_code"),
    (&["wait"], "signal"),
    (&["max-runtime", "spin"], "timeout"),
    (&["supervised", "kill"], "signal"),
    (&["supervised", "_exit"], "exit_code"),
    (&["supervised", "abort"], "signal"),
];

/// How long a test waits until a server returns what it has received.
const VISIBLE_TIMEOUT: Duration = Duration::from_secs(60);

const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The newest value of each series, by name and labels without `job`, such as
/// `batch_job_last_run_outcome{outcome="success"}`.
type Values = BTreeMap<String, f64>;

/// A server that stores samples.
trait Receiver {
    /// Returns the URL of the sink.
    fn url(&self) -> String;

    /// Returns the newest samples of a job.
    fn values(&self, job: &str) -> Values;

    /// Waits until `condition` returns true for the newest samples of a job.
    #[track_caller]
    fn wait_for(&self, job: &str, condition: impl Fn(&Values) -> bool) -> Values
    where
        Self: Sized,
    {
        let deadline = Instant::now() + VISIBLE_TIMEOUT;
        loop {
            let values = self.values(job);
            if condition(&values) {
                return values;
            }
            assert!(Instant::now() < deadline, "the samples of {job} are {values:?}");
            thread::sleep(POLL_INTERVAL);
        }
    }
}

/// Returns the command of a program of this package with arguments.
fn job_program_with(name: &str, arguments: &[impl AsRef<str>]) -> JobCommand {
    let arguments: Vec<_> = arguments.iter().map(AsRef::as_ref).collect();
    job_command(program(name), &arguments)
}

/// Returns the name of a series in [`Values`].
fn series<'a>(name: &str, labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let labels: BTreeMap<_, _> = labels.into_iter().collect();
    let labels = labels.into_iter().filter(|(name, value)| *name != "job" && !value.is_empty());
    let pairs: Vec<_> = labels.map(|(name, value)| format!("{name}={value:?}")).collect();
    if pairs.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", pairs.join(",")) }
}

/// Returns the outcomes whose series is 1.
fn outcomes(values: &Values) -> Vec<&str> {
    let set = values.iter().filter(|(_, value)| **value > 0.5);
    set.filter_map(|(name, _)| {
        let label = name.strip_prefix("batch_job_last_run_outcome{outcome=\"")?;
        label.strip_suffix("\"}")
    })
    .collect()
}
