//! Waits for the sinks while the process ends. Logs a long wait, and the requests that are unfinished at its end.

use std::fmt;
use std::time::Duration;

use super::process_state::PROCESS;
use crate::clock::Moment;
use crate::delivery::policy::WAIT_NOTICE_TIMEOUT;
use crate::dispatcher::{UnfinishedSink, dispatcher};
use crate::log;

/// Calls `wait` until the deadline, and logs a line if that takes long. `wait` returns true if nothing is left to wait
/// for.
pub(super) fn wait_with_notice(deadline: Moment, wait: impl Fn(Duration) -> bool) {
    let left = deadline.remaining();
    if !wait(left.min(WAIT_NOTICE_TIMEOUT)) && left > WAIT_NOTICE_TIMEOUT {
        log_wait(deadline);
        wait(deadline.remaining());
    }
}

/// Logs once per ending that the process waits, for how long, and how to end the wait.
fn log_wait(deadline: Moment) {
    let sinks = dispatcher().unfinished();
    let is_waiting = !sinks.is_empty() && !dispatcher().is_interrupted();
    if is_waiting && PROCESS.claim_wait_notice() {
        let seconds = deadline.remaining().as_secs_f64().ceil();
        let fate = if is_spooled(&sinks) { "stored on disk" } else { "lost" };
        log::warn_before_exit(format_args!(
            "{}; the process waits for at most {seconds} s; press Ctrl-C or send SIGTERM to end the wait; undelivered \
             outcomes are then {fate}",
            Unaccepted(&sinks)
        ));
    }
}

/// Logs once per ending which pushes are neither delivered nor stored when the process stops waiting for them.
pub(super) fn log_unfinished() {
    let sinks = dispatcher().unfinished();
    if !sinks.is_empty() && PROCESS.claim_unfinished_notice() {
        let fate = if is_spooled(&sinks) {
            "a later run delivers the outcomes in the state directory"
        } else {
            "undelivered outcomes are lost; set METRICS_PUSH_STATE_DIR to store them on disk"
        };
        log::warn_before_exit(format_args!("{}, and the process ends; {fate}", Unaccepted(&sinks)));
    }
}

fn is_spooled(sinks: &[UnfinishedSink]) -> bool {
    sinks.iter().all(|sink| sink.has_spool)
}

/// For example `http://gateway:9091 has not accepted the push of {job="nightly"} yet`.
struct Unaccepted<'a>(&'a [UnfinishedSink]);

impl fmt::Display for Unaccepted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, UnfinishedSink { url, groups, .. }) in self.0.iter().enumerate() {
            let separator = if position == 0 { "" } else { ", " };
            write!(f, "{separator}{url} has not accepted the ")?;
            match &groups[..] {
                [key] => write!(f, "push of {key} yet")?,
                keys => write!(f, "pushes of {} groups yet", keys.len())?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::GroupingKey;

    fn sink(url: &str, jobs: &[&str]) -> UnfinishedSink {
        let groups = jobs.iter().map(|job| GroupingKey::new(*job).unwrap()).collect();
        UnfinishedSink { url: url.into(), groups, has_spool: true }
    }

    #[test]
    fn unaccepted_names_each_sink_and_its_groups() {
        let sinks = [sink("http://a", &["nightly"]), sink("http://b", &["one", "two"])];
        assert_eq!(
            Unaccepted(&sinks).to_string(),
            "http://a has not accepted the push of {job=\"nightly\"} yet, http://b has not accepted the pushes of 2 \
             groups yet"
        );
    }
}
