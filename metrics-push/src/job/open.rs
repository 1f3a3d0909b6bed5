//! Open runs: the state of each, from its start to its end, and the list of all that the process has not ended yet.
//!
//! A run that ends by itself gathers and delivers on its own thread.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use once_cell::sync::OnceCell;

use super::ending::{Cause, Ending};
use super::entry::{Ended, Opened};
use super::facts::{self, Expectations, Progress, Records};
use super::journal::{Journal, Page};
use super::recovery::{self, Recovery};
use super::telling::{self, Closed};
use super::{Extent, Job, Outcome, exit, panic, signal, supervise, usage};
use crate::clock::Moment;
use crate::delivery::DeliveryClass;
use crate::delivery::policy::RECEIPT_GRACE as GRACE;
use crate::dispatcher::dispatcher;
use crate::error::Error;
use crate::labels::{GroupingKey, format_lossy};
use crate::log;
use crate::metrics::{Registry, Snapshot, default_registry};
use crate::oneshot::{Receiver, channel};
use crate::pipeline::Pipeline;
use crate::push_request::{Families, PushRequest, Verb, encode};

/// The share of an ending's time that a start push or a heartbeat may take, so that one that hangs leaves the
/// ending enough to be delivered after it.
const SHARE_ON_THE_WAY: u32 = 3;

/// The runs of this process that have not ended.
static ALL: Mutex<BTreeMap<u64, Weak<Open>>> = Mutex::new(BTreeMap::new());

fn list() -> MutexGuard<'static, BTreeMap<u64, Weak<Open>>> {
    ALL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Those runs, oldest first.
pub(super) fn all() -> Vec<Arc<Open>> {
    list().values().filter_map(Weak::upgrade).collect()
}

/// One run, from its start to its end.
pub(super) struct Open {
    id: u64,
    pub(super) job: Job,
    /// `None`: nothing is pushed, because no gateway is configured, or the key is invalid.
    pub(super) address: Option<GroupingKey>,
    pipeline: Arc<Pipeline>,
    started: Moment,
    /// A child that was forked has this run in its memory, but it is not the child's to report.
    process: u32,
    panics_before: u64,
    is_over: AtomicBool,
    /// Its exit ends it.
    is_left: AtomicBool,
    pub(super) is_skipped: AtomicBool,
    progress: Mutex<Progress>,
    pub(super) registry: OnceCell<Registry>,
    page: Option<Arc<Page>>,
    /// Held while a start is handed over, so that no end overtakes it.
    wire: Mutex<()>,
    /// Answered when the start has been handed over.
    begun: Mutex<Option<Receiver<()>>>,
}

impl Open {
    pub(super) fn start(job: Job, grouping: &[(&str, &dyn fmt::Display)]) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);

        let pipeline = Pipeline::current();
        let address = if pipeline.routes.is_empty() {
            None
        } else {
            address(&job, &pipeline, grouping)
                .map_err(|error| log::warn(format_args!("{error:?}; this run is not pushed")))
                .ok()
        };
        job.ensure_supervisor();
        let address = address.filter(|_| exit::is_prepared(&pipeline));
        let started = Moment::now();
        let page = address.as_ref().and_then(|key| turn_page(&job, &pipeline, key, started));
        let open = Arc::new(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            job,
            address,
            pipeline,
            started,
            process: std::process::id(),
            panics_before: panic::count(),
            is_over: AtomicBool::new(false),
            is_left: AtomicBool::new(false),
            is_skipped: AtomicBool::new(false),
            progress: Mutex::default(),
            registry: OnceCell::new(),
            page: page.map(Arc::new),
            wire: Mutex::default(),
            begun: Mutex::default(),
        });
        if open.address.is_some() {
            list().insert(open.id, Arc::downgrade(&open));
            if open.is_process() && open.job.listens_to_signals() {
                signal::listen();
            }
            open.begin();
            start_heart(&open);
        }
        open
    }

    fn is_process(&self) -> bool {
        self.job.extent == Extent::Process
    }

    fn class(&self) -> DeliveryClass {
        match self.job.extent {
            Extent::Task => DeliveryClass::Spooled,
            Extent::Process => DeliveryClass::Final,
        }
    }

    pub(super) fn progress(&self) -> MutexGuard<'_, Progress> {
        // Plain values: a panic elsewhere leaves none of them half-written.
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn count(&self, add: impl FnOnce(&mut Records)) {
        add(self.progress().records.get_or_insert_default());
    }

    /// Pushes the start, after what is to be said of the dead.
    fn begin(self: &Arc<Self>) {
        let Some(folder) = self.page.as_ref().and_then(|page| recovery_is_due(page)) else {
            return self.begin_after(None);
        };
        let (sender, begun) = channel();
        let open = Arc::clone(self);
        let recovery = exit::keep_up(move || {
            let mut found = recovery::find(&folder, &open.pipeline);
            open.begin_after(found.as_mut());
            sender.send(());
            if let Some(found) = found {
                found.settle(open.pipeline.timeout);
            }
        });
        match recovery {
            Ok(()) => *self.begun.lock().unwrap_or_else(PoisonError::into_inner) = Some(begun),
            Err(_) => self.begin_after(None),
        }
    }

    fn begin_after(&self, found: Option<&mut Recovery>) {
        let _wire = self.wire.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = self.is_over.load(Ordering::Acquire);
        if let Some(found) = found {
            // Once this run is over, it is a newer one like any other.
            let starting = self.page.as_ref().filter(|_| !is_over).map(|page| page.id());
            found.report(&self.pipeline, starting);
        }
        if !is_over {
            self.hand_over_start();
        }
    }

    /// Waits until the start was handed over, as long as that leaves time for the end.
    fn wait_until_begun(&self) {
        let begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(begun) = begun {
            begun.wait(self.pipeline.timeout / SHARE_ON_THE_WAY);
        }
    }

    /// Waits until the sinks have answered to the start, or have had their time.
    pub(super) fn wait_for_start(&self, patience: Duration) {
        if self.address.is_none() {
            return;
        }
        let deadline = Moment::now().after(patience);
        if let Some(begun) = self.begun.lock().unwrap_or_else(PoisonError::into_inner).take() {
            begun.wait(deadline.remaining());
        }
        dispatcher().flush(deadline.remaining());
    }

    fn hand_over_start(&self) {
        let started = self.started.unix_seconds();
        let families = encode(&facts::at_start(&Expectations::of(&self.job), started));
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
        let budget = self.pipeline.timeout / SHARE_ON_THE_WAY;
        let request = PushRequest::add(key.clone(), families);
        // Nobody waits: if it is lost, the ending says so.
        self.pipeline.submit_interim(request, budget);
    }

    /// Leaves the end of a whole process to its exit, where the code is known; `false` where it never is.
    pub(super) fn leave_to_exit(self: &Arc<Self>) -> bool {
        let can_wait = self.is_process() && self.address.is_some() && exit::KNOWS_CODE;
        if can_wait && !self.is_left.swap(true, Ordering::AcqRel) {
            // Whatever is still open then is ended there.
            std::mem::forget(Arc::clone(self));
        }
        can_wait
    }

    /// Ends the run on this thread; the first end counts. A whole process waits for the delivery.
    pub(super) fn end(&self, outcome: Outcome) {
        if self.process != std::process::id() || self.is_left.load(Ordering::Acquire) {
            return;
        }
        if self.is_process() {
            // Whoever is being ended by a signal does not end otherwise meanwhile.
            signal::wait_while_ending();
            self.wait_until_begun();
        }
        let ended = Moment::now();
        // While code of the user's runs, the run is open: should the process end meanwhile, somebody else ends it.
        let gathered = self.gather();
        let Some((key, closed)) = self.close() else { return };
        let budget = self.pipeline.timeout;
        if self.is_process() {
            exit::begin_ending(budget);
        }
        let mut snapshot = self.facts(outcome.into(), ended);
        snapshot.merge(gathered);
        let told = self.submit(closed, finished(snapshot, key), outcome, budget);
        if self.is_process() {
            telling::wait(key, told, Moment::now().after(budget.saturating_add(GRACE)));
        }
    }

    /// Ends the run as its process ends, with what could be gathered by then; its key and receivers, if this is its
    /// first end.
    pub(super) fn end_with_process(
        &self,
        cause: Cause,
        ended: Moment,
        gathered: impl FnOnce() -> Snapshot,
        deadline: Moment,
    ) -> Option<Vec<Receiver<()>>> {
        let gathered = gathered();
        let (key, closed) = self.close()?;
        let mut snapshot = self.facts(cause, ended);
        snapshot.merge(gathered);
        let families = finished(snapshot, key);
        Some(self.submit(closed, families, cause.outcome, deadline.remaining()))
    }

    /// Opens the run again, because the process lives on after all.
    pub(super) fn reopen(self: &Arc<Self>) {
        list().insert(self.id, Arc::downgrade(self));
        self.is_over.store(false, Ordering::Release);
    }

    /// Marks the run as over; its key, if this is its first end and somebody is to know.
    fn close(&self) -> Option<(&GroupingKey, Closed)> {
        let _wire = self.wire.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_over.swap(true, Ordering::AcqRel) {
            return None;
        }
        let key = self.address.as_ref()?;
        // Whoever does not see it among the open ones any more waits for it.
        let closed = Closed::new(self.page.clone());
        list().remove(&self.id);
        Some((key, closed))
    }

    /// What the run itself knows of its end, written down before it is told. No code of the user's runs here.
    fn facts(&self, cause: Cause, ended: Moment) -> Snapshot {
        let cause = Cause { outcome: self.judged(cause.outcome), ..cause };
        let mut ending = Ending::between(self.started, ended, cause);
        if self.is_process() {
            ending.usage = usage::of_process();
            ending.panics = Some(panic::count() - self.panics_before);
        }
        if let Some(page) = &self.page {
            page.ended(Ended { cause: ending.cause, at: ending.ended, duration: ending.duration });
        }
        facts::at_end(&Expectations::of(&self.job), &self.progress(), &ending)
    }

    /// A run that said there was nothing to do and then ended well was skipped.
    fn judged(&self, outcome: Outcome) -> Outcome {
        let is_skipped = self.is_skipped.load(Ordering::Relaxed) && outcome == Outcome::Success;
        if is_skipped { Outcome::Skipped } else { outcome }
    }

    /// What users' registries hold.
    pub(super) fn gather(&self) -> Snapshot {
        let shared = match self.job.registry {
            Some(registry) => Some(registry()),
            None => self.is_process().then(default_registry),
        };
        let mut snapshot = Snapshot::default();
        for registry in self.registry.get().into_iter().chain(shared) {
            snapshot.merge(Snapshot::gather(registry));
        }
        snapshot
    }

    fn submit(
        &self,
        closed: Closed,
        families: Families,
        outcome: Outcome,
        budget: Duration,
    ) -> Vec<Receiver<()>> {
        let Some(key) = &self.address else { return Vec::new() };
        let request = match (self.judged(outcome), self.job.on_success) {
            (Outcome::Success, Verb::Push) => PushRequest::push(key.clone(), families),
            _ => PushRequest::add(key.clone(), families),
        };
        let receivers = std::cell::RefCell::new(Vec::new());
        let on_settled = || {
            let (on_settled, receiver) = crate::dispatcher::receipt_channel();
            receivers.borrow_mut().push(receiver);
            on_settled
        };
        match self.class() {
            DeliveryClass::Final => self.pipeline.submit_final(request, budget, on_settled),
            _ => self.pipeline.submit_spooled(request, budget, on_settled),
        }
        closed.told_by(receivers.into_inner())
    }
}

/// The facts come first: no metric of others displaces one of them.
fn finished(mut snapshot: Snapshot, key: &GroupingKey) -> Families {
    snapshot.retain_apart_from(key);
    for refusal in snapshot.refusals() {
        log::warn(refusal);
    }
    encode(&snapshot)
}

fn start_heart(open: &Arc<Open>) {
    if let Some(interval) = open.job.heartbeat {
        let open: Weak<Open> = Arc::downgrade(open);
        dispatcher().spawn_interval(interval, move || {
            open.upgrade().is_some_and(|open| open.push_heartbeat())
        });
    }
}

/// Writes the run down, where there is a state directory.
fn turn_page(job: &Job, pipeline: &Pipeline, key: &GroupingKey, started: Moment) -> Option<Page> {
    let place = supervise::place();
    let folder = match place {
        Some(place) => place.folder.clone(),
        None => pipeline.state_dir.folder(recovery::FOLDER)?,
    };
    let run = Opened {
        key: key.clone(),
        sinks: recovery::sinks_of(pipeline),
        started: started.unix_seconds(),
        extent: job.extent,
        expected: Expectations::of(job),
    };
    Journal::of_folder(&folder, place.map(|place| place.supervisor.as_str()))
        .open(run, job.durability)
}

/// The folder to look for dead processes in: at the first run, and then now and again.
fn recovery_is_due(page: &Page) -> Option<PathBuf> {
    const INTERVAL: Duration = Duration::from_secs(60);
    static LAST: Mutex<BTreeMap<PathBuf, Moment>> = Mutex::new(BTreeMap::new());

    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    let now = Moment::now();
    if last.get(page.folder()).is_some_and(|last| now.since(*last) < INTERVAL) {
        return None;
    }
    last.insert(page.folder().to_owned(), now);
    recovery::has_work(page.folder()).then(|| page.folder().to_owned())
}

/// The grouping key: the attribute's labels, and the pipeline's over them.
fn address(
    job: &Job,
    pipeline: &Pipeline,
    grouping: &[(&str, &dyn fmt::Display)],
) -> Result<GroupingKey, Error> {
    let name = match (&pipeline.job, job.extent) {
        (Some(name), Extent::Process) => name,
        _ => job.name(),
    };
    let mut key = GroupingKey::new(name)?;
    for (name, value) in grouping {
        key = key.label(*name, format_lossy(*value))?;
    }
    for (name, value) in &pipeline.grouping {
        key = key.label(name, value)?;
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn the_deployment_beats_the_attribute() {
        let config = Config::default().job("deployed").unwrap().grouping("region", "eu").unwrap();
        let _scope = config.grouping("shard", "").unwrap().scope().unwrap();
        let grouping: [(&str, &dyn fmt::Display); 2] = [("region", &"us"), ("shard", &7)];
        let key = |job: Job| address(&job, &Pipeline::current(), &grouping).unwrap().to_string();
        assert_eq!(key(Job::new("task")), r#"{job="task",region="eu"}"#);
        assert_eq!(key(Job::new("main").whole_process()), r#"{job="deployed",region="eu"}"#);
    }
}
