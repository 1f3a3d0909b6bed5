//! Run (one execution): the handle the body uses, and the guard that reports the end, whichever way it comes.
//!
//! All state is the run's own, so that runs of one job may overlap, nest and recurse. Nothing here fails: what
//! cannot be delivered is told on stderr, and the job goes on.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use once_cell::sync::OnceCell;

use super::facts::{self, Ending, Progress, Records};
use super::{Extent, Job, Outcome, exit, usage};
use crate::clock::Moment;
use crate::config::Deployment;
use crate::courier::{GRACE, courier};
use crate::delivery::Receipt;
use crate::error::Error;
use crate::labels::GroupingKey;
use crate::metrics::{Catalog, Counter, Gauge, Histogram, Registry, Snapshot, default_registry};
use crate::notice;
use crate::parcel::{Families, Parcel, Verb, encode};
use crate::ticket::Ticket;

/// The share of an ending's time that a start push or a heartbeat may take, so that one that hangs leaves the
/// ending enough to be delivered after it.
const SHARE_ON_THE_WAY: u32 = 3;

/// One execution of a [`Job`].
///
/// It ends with [`finish`](Self::finish); one that is dropped before is reported as a panic if the thread
/// has begun to unwind since the start, and as cancelled otherwise.
#[must_use = "a run that is dropped has ended"]
pub struct Run {
    open: Arc<Open>,
}

struct Open {
    job: Job,
    /// `None`: nothing is pushed, because no gateway is configured, or the key is invalid.
    address: Option<GroupingKey>,
    deployment: Arc<Deployment>,
    started: Moment,
    /// A child that was forked has this run in its memory, but it is not the child's to report.
    process: u32,
    was_panicking: bool,
    is_over: AtomicBool,
    is_skipped: AtomicBool,
    progress: Mutex<Progress>,
    registry: OnceCell<Registry>,
}

impl Run {
    pub(super) fn start(job: Job, grouping: &[(&str, &dyn fmt::Display)]) -> Self {
        let deployment = Deployment::current();
        let address = if deployment.sinks.is_empty() {
            None
        } else {
            address(&job, &deployment, grouping)
                .map_err(|error| notice::warn(format_args!("{error:?}; this run is not pushed")))
                .ok()
        };
        let open = Arc::new(Open {
            job,
            address,
            deployment,
            started: Moment::now(),
            process: std::process::id(),
            was_panicking: std::thread::panicking(),
            is_over: AtomicBool::new(false),
            is_skipped: AtomicBool::new(false),
            progress: Mutex::default(),
            registry: OnceCell::new(),
        });
        if open.address.is_some() {
            exit::deliver_before_exit();
            open.push_start();
            start_heart(&open);
        }
        Self { open }
    }

    /// Counts records that were processed.
    pub fn processed(&self, records: u64) {
        self.open.count(|counts| counts.processed += records);
    }

    /// Counts records that could not be processed.
    pub fn failed(&self, records: u64) {
        self.open.count(|counts| counts.failed += records);
    }

    /// Counts records that were left out on purpose.
    pub fn skipped(&self, records: u64) {
        self.open.count(|counts| counts.skipped += records);
    }

    /// Times a stage, until the returned guard is dropped. Times of stages with one name add up.
    ///
    /// ```
    /// # metrics_push::Job::new("doc").run(|run| -> Result<(), ()> {
    /// let extract = run.stage("extract");
    /// // read the input
    /// drop(extract);
    /// # Ok(()) }).unwrap();
    /// ```
    pub fn stage(&self, name: impl Into<String>) -> Stage<'_> {
        Stage { open: &self.open, name: name.into(), started: Moment::now() }
    }

    /// Tells how much is done; a heartbeat pushes it.
    pub fn progress(&self, done: u64, total: u64) {
        #[expect(clippy::cast_precision_loss, reason = "a ratio needs no more digits")]
        let ratio = if done >= total { 1.0 } else { done as f64 / total as f64 };
        self.open.progress().ratio = Some(ratio);
    }

    /// Declares that there was nothing to do: a run that then ends well is reported as skipped.
    ///
    /// A skipped run counts neither as a success nor as a failure.
    pub fn skip(&self, reason: impl fmt::Display) {
        notice::debug(format_args!("{} skips this run: {reason}", self.open.job.name()));
        self.open.is_skipped.store(true, Ordering::Relaxed);
    }

    /// The registry of this run alone: what it holds is pushed with it.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        self.open.registry.get_or_init(Registry::new)
    }

    /// A counter of this run.
    ///
    /// # Errors
    /// `is_metric`, if the name is invalid or belongs to another metric of this run.
    #[track_caller]
    pub fn counter(&self, name: &str, help: &str) -> Result<Counter, Error> {
        Catalog::of(self.registry())?.counter(name, help)
    }

    /// A gauge of this run.
    ///
    /// # Errors
    /// `is_metric`, if the name is invalid or belongs to another metric of this run.
    #[track_caller]
    pub fn gauge(&self, name: &str, help: &str) -> Result<Gauge, Error> {
        Catalog::of(self.registry())?.gauge(name, help)
    }

    /// A histogram of this run, with the default buckets.
    ///
    /// # Errors
    /// `is_metric`, if the name is invalid or belongs to another metric of this run.
    #[track_caller]
    pub fn histogram(&self, name: &str, help: &str) -> Result<Histogram, Error> {
        Catalog::of(self.registry())?.histogram(name, help)
    }

    /// Ends the run. The first ending counts; a later one, the drop among them, changes nothing.
    pub fn finish(&self, outcome: Outcome) {
        self.open.end(outcome);
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let unwinds = std::thread::panicking() && !self.open.was_panicking;
        self.open.end(if unwinds { Outcome::Panic } else { Outcome::Cancelled });
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("job", &self.open.job.name())
            .field("address", &self.open.address)
            .finish_non_exhaustive()
    }
}

/// Times a stage of a run, until it is dropped.
#[must_use = "a stage lasts as long as its guard"]
pub struct Stage<'run> {
    open: &'run Open,
    name: String,
    started: Moment,
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        let took = Moment::now().since(self.started);
        *self.open.progress().stages.entry(std::mem::take(&mut self.name)).or_default() += took;
    }
}

impl fmt::Debug for Stage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Open {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        // Plain values: a panic elsewhere leaves none of them half-written.
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, add: impl FnOnce(&mut Records)) {
        add(self.progress().records.get_or_insert_default());
    }

    fn push_start(&self) {
        let families = encode(&facts::at_start(&self.job, self.started));
        self.hand_over_on_the_way(families);
    }

    /// Returns whether the heart is to beat again.
    fn push_heartbeat(&self) -> bool {
        if self.is_over.load(Ordering::Acquire) {
            return false;
        }
        let progress = self.progress().clone();
        self.hand_over_on_the_way(encode(&facts::on_the_way(&progress, Moment::now())));
        true
    }

    fn hand_over_on_the_way(&self, families: Families) {
        let Some(key) = &self.address else { return };
        let budget = self.deployment.timeout / SHARE_ON_THE_WAY;
        for sink in &self.deployment.sinks {
            let parcel = Parcel::add(key.clone(), families.clone());
            // Nobody waits: if it is lost, the ending says so.
            drop(courier().hand_over(sink, parcel, budget));
        }
    }

    fn end(&self, outcome: Outcome) {
        if self.is_over.swap(true, Ordering::AcqRel) || self.process != std::process::id() {
            return;
        }
        let Some(key) = &self.address else { return };
        let is_skipped = self.is_skipped.load(Ordering::Relaxed) && outcome == Outcome::Success;
        let outcome = if is_skipped { Outcome::Skipped } else { outcome };
        let families = encode(&self.snapshot(outcome, key));
        let parcel = match (outcome, self.job.on_success) {
            (Outcome::Success, Verb::Push) => Parcel::push(key.clone(), families),
            _ => Parcel::add(key.clone(), families),
        };
        self.deliver(&parcel);
    }

    /// Everything that is known at the end. The facts come first: no metric of others displaces one of them.
    fn snapshot(&self, outcome: Outcome, key: &GroupingKey) -> Snapshot {
        let is_process = self.job.extent == Extent::Process;
        let ending = Ending {
            outcome,
            started: self.started,
            ended: Moment::now(),
            usage: if is_process { usage::of_process() } else { None },
        };
        let mut snapshot = facts::at_end(&self.job, &self.progress(), &ending);
        let shared = match self.job.registry {
            Some(registry) => Some(registry()),
            None => is_process.then(default_registry),
        };
        for registry in self.registry.get().into_iter().chain(shared) {
            snapshot.merge(Snapshot::gather(registry));
        }
        snapshot.retain_apart_from(key);
        for refusal in snapshot.refusals() {
            notice::warn(refusal);
        }
        snapshot
    }

    fn deliver(&self, parcel: &Parcel) {
        let budget = self.deployment.timeout;
        let told: Vec<_> = self
            .deployment
            .sinks
            .iter()
            .map(|sink| tell(courier().hand_over(sink, parcel.clone(), budget)))
            .collect();
        if self.job.extent == Extent::Process {
            let deadline = Moment::now().after(budget.saturating_add(GRACE));
            for ticket in told {
                if ticket.wait(deadline.remaining()).is_none() {
                    notice::warn(format_args!(
                        "{} was not delivered within {budget:?}",
                        parcel.key()
                    ));
                }
            }
        }
    }
}

/// Tells of a parcel that could not be delivered, whoever waits for it or not.
fn tell(ticket: Ticket<Receipt>) -> Ticket<()> {
    courier().run(async move {
        if let Some(Receipt::Dropped(error)) = ticket.await {
            notice::warn(format_args!("the run's outcome is lost: {error:?}"));
        }
    })
}

fn start_heart(open: &Arc<Open>) {
    if let Some(interval) = open.job.heartbeat {
        let open: Weak<Open> = Arc::downgrade(open);
        courier().every(interval, move || open.upgrade().is_some_and(|open| open.push_heartbeat()));
    }
}

/// The grouping key: the attribute's labels, and the deployment's over them.
fn address(
    job: &Job,
    deployment: &Deployment,
    grouping: &[(&str, &dyn fmt::Display)],
) -> Result<GroupingKey, Error> {
    let name = match (&deployment.job, job.extent) {
        (Some(name), Extent::Process) => name,
        _ => job.name(),
    };
    let mut key = GroupingKey::new(name)?;
    for (name, value) in grouping {
        key = key.label(*name, value.to_string())?;
    }
    for (name, value) in &deployment.grouping {
        key = key.label(name, value)?;
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::Config;

    #[test]
    fn the_deployment_beats_the_attribute() {
        let config = Config::default().job("deployed").unwrap().grouping("region", "eu").unwrap();
        let _scope = config.grouping("shard", "").unwrap().scope().unwrap();
        let grouping: [(&str, &dyn fmt::Display); 2] = [("region", &"us"), ("shard", &7)];
        let key = |job: Job| address(&job, &Deployment::current(), &grouping).unwrap().to_string();
        assert_eq!(key(Job::new("task")), r#"{job="task",region="eu"}"#);
        assert_eq!(key(Job::new("main").whole_process()), r#"{job="deployed",region="eu"}"#);
    }

    #[test]
    fn a_run_without_a_gateway_is_as_good_as_none() {
        let _scope = Config::default().scope().unwrap();
        let run = Job::new("quiet").heartbeat(Duration::from_secs(1)).start();
        run.processed(1);
        assert!(run.open.address.is_none());
        run.finish(Outcome::Success);
    }
}
