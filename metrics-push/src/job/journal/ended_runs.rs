//! `EndedRuns`: the runs that end in this process during a search for runs of dead processes.
//!
//! The search reads the journals and the gateway before it submits reports. A run that starts and ends in between is in
//! neither, and the report of an older run of its group must not replace its outcome.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::line::Started;
use crate::labels::GroupingKey;
use crate::sync::Mutex;

static ENDED_RUNS: LazyLock<Mutex<EndedRuns>> = LazyLock::new(Mutex::default);

/// The start of the newest ended run of each group, in Unix seconds. Empty while no search is in progress.
#[derive(Debug, Default)]
struct EndedRuns {
    searches: usize,
    newest_starts: HashMap<GroupingKey, f64>,
}

/// Records the ends of runs until it is dropped.
#[derive(Debug)]
pub(super) struct EndRecorder(());

impl EndRecorder {
    pub(super) fn start() -> Self {
        ENDED_RUNS.lock().searches += 1;
        Self(())
    }

    /// Returns true if no newer run of the group has ended.
    pub(super) fn is_newest(&self, run: &Started) -> bool {
        self.submit_report(run, |is_newest| is_newest)
    }

    /// Calls `submit` with true if no newer run of the group has ended. Until it returns, no completion is submitted, so it
    /// must not block.
    pub(super) fn submit_report<T>(&self, run: &Started, submit: impl FnOnce(bool) -> T) -> T {
        let ended = ENDED_RUNS.lock();
        let newest = ended.newest_starts.get(&run.key);
        submit(newest.is_none_or(|started_at| *started_at <= run.at))
    }
}

impl Drop for EndRecorder {
    fn drop(&mut self) {
        let mut ended = ENDED_RUNS.lock();
        ended.searches -= 1;
        if ended.searches == 0 {
            ended.newest_starts.clear();
        }
    }
}

/// Records the end of a run, before its completion is submitted.
pub(in crate::job) fn record_end(key: &GroupingKey, started_at: f64) {
    let mut ended = ENDED_RUNS.lock();
    if ended.searches > 0 {
        let newest = ended.newest_starts.entry(key.clone()).or_insert(started_at);
        *newest = newest.max(started_at);
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::job::run_metrics::Expectations;
    use crate::job::spec::{Extent, JobSpec};

    fn run(name: &str, at: f64) -> Started {
        Started {
            run: String::new(),
            key: GroupingKey::new(name).unwrap(),
            sinks: Vec::new(),
            at,
            extent: Extent::Task,
            expected: Expectations::from(&JobSpec::new(Cow::Borrowed("any"))),
        }
    }

    #[test]
    fn run_that_ends_during_a_search_supersedes_older_runs() {
        let (older, newer) = (run("ended runs", 1.0), run("ended runs", 3.0));
        record_end(&older.key, 2.0);
        let recorder = EndRecorder::start();
        let is_newest = |run: &Started| recorder.submit_report(run, |is_newest| is_newest);
        assert!(is_newest(&older), "no search was in progress");
        record_end(&older.key, 2.0);
        record_end(&older.key, 1.5);
        assert!(!is_newest(&older) && is_newest(&newer));
        assert!(is_newest(&run("another group", 1.0)));
        drop(recorder);
        assert!(EndRecorder::start().submit_report(&older, |is_newest| is_newest));
    }
}
