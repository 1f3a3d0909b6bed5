//! `ActiveRun`: the state of a run until it is finished, and the list of the active runs of this process.
//!
//! A run that its caller finishes gathers its metrics and submits its completion on the caller's thread.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard, OnceLock, Weak};
use std::time::Duration;

use super::acknowledgement::Acknowledgement;
use super::completion::{Cause, Completion};
use super::failure_reason;
use super::hooks::{exit, panic, signal};
use super::journal::ended_runs::record_end;
use super::journal::line::Finished;
use super::process_state::{EndingRun, InProgressGuard, PROCESS};
use super::progress::Progress;
use super::resource_usage;
use super::run_ending::{add_summable, run_ending, uncounted_ending};
use super::run_metrics::{Expectations, completion_metrics, heartbeat_metrics, start_metrics};
use super::run_record::RunRecord;
use super::spec::{Enforcement, Extent, JobSpec};
use super::supervisor;
use super::waiting::wait_with_notice;
use crate::clock::Moment;
use crate::delivery::policy::{INTERIM_TIME_DIVISOR, RECEIPT_GRACE};
use crate::dispatcher::dispatcher;
use crate::error::Error;
use crate::finished_run::RecordCounts;
use crate::labels::GroupingKey;
use crate::log::{self, EnteredRunSpan, RunSpan};
use crate::metrics::{Registry, RegistrySource, Snapshot};
use crate::oneshot::Receiver;
use crate::outcome::Outcome;
use crate::pipeline::Pipeline;
use crate::push_request::{Families, PushRequest, RunEnding, Verb, gather_within};
use crate::sync::Mutex;

/// The active runs of this process, by number.
static ACTIVE: Mutex<BTreeMap<u64, Weak<ActiveRun>>> = Mutex::new(BTreeMap::new());

/// Returns the active runs, oldest first.
pub(super) fn all() -> Vec<Arc<ActiveRun>> {
    ACTIVE.lock().values().filter_map(Weak::upgrade).collect()
}

pub(super) struct ActiveRun {
    /// The position of the run in the list of active runs.
    number: u64,
    id: String,
    spec: JobSpec,
    /// `None`: nothing is pushed, because no gateway is configured or the key is invalid.
    key: Option<GroupingKey>,
    pipeline: Arc<Pipeline>,
    started: Moment,
    /// The id of the process that started the run. A forked child has the run in its memory, but must not report it.
    process: u32,
    panics_at_start: u64,
    is_finished: AtomicBool,
    /// The exit handler finishes the run.
    is_deferred: AtomicBool,
    is_skipped: AtomicBool,
    progress: Mutex<Progress>,
    /// Why the run fails, for the journal and the history.
    reason: Mutex<Option<String>>,
    span: RunSpan,
    registry: OnceLock<Registry>,
    record: Option<Arc<RunRecord>>,
    /// Locked while the start or a heartbeat is submitted, so that no completion is submitted before it.
    interim_lock: Mutex<()>,
    /// Closed when another thread has submitted the start. `None` if the thread of the run submits it.
    start_submitted: Mutex<Option<Receiver<()>>>,
}

impl ActiveRun {
    pub(super) fn new(
        spec: JobSpec,
        key: Option<GroupingKey>,
        id: String,
        pipeline: Arc<Pipeline>,
        started: Moment,
        record: Option<RunRecord>,
    ) -> Arc<Self> {
        static NEXT_NUMBER: AtomicU64 = AtomicU64::new(0);

        let run = Arc::new(Self {
            number: NEXT_NUMBER.fetch_add(1, Ordering::Relaxed),
            id,
            spec,
            key,
            pipeline,
            started,
            process: std::process::id(),
            panics_at_start: PROCESS.panics(),
            is_finished: AtomicBool::new(false),
            is_deferred: AtomicBool::new(false),
            is_skipped: AtomicBool::new(false),
            progress: Mutex::default(),
            reason: Mutex::default(),
            span: RunSpan::default(),
            registry: OnceLock::new(),
            record: record.map(Arc::new),
            interim_lock: Mutex::default(),
            start_submitted: Mutex::default(),
        });
        if run.key.is_some() {
            ACTIVE.lock().insert(run.number, Arc::downgrade(&run));
        }
        run
    }

    pub(super) fn name(&self) -> &str {
        &self.spec.name
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn key(&self) -> Option<&GroupingKey> {
        self.key.as_ref()
    }

    pub(super) fn spec(&self) -> &JobSpec {
        &self.spec
    }

    pub(super) fn ending(&self) -> EndingRun {
        let has_returned = self.is_deferred.load(Ordering::Acquire);
        let exit_codes = self.spec.exit_codes.clone();
        EndingRun { extent: self.spec.extent, exit_codes, has_returned }
    }

    pub(super) fn pipeline(&self) -> &Arc<Pipeline> {
        &self.pipeline
    }

    pub(super) fn record(&self) -> Option<&RunRecord> {
        self.record.as_deref()
    }

    pub(super) fn registry(&self) -> &Registry {
        self.registry.get_or_init(Registry::new)
    }

    pub(super) fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock()
    }

    pub(super) fn count(&self, add: impl FnOnce(&mut RecordCounts)) {
        add(self.progress().records.get_or_insert_default());
    }

    pub(super) fn mark_skipped(&self) {
        self.is_skipped.store(true, Ordering::Relaxed);
    }

    /// Enters the span of the run, unless nothing is pushed.
    pub(super) fn enter_span(&self) -> EnteredRunSpan {
        self.key.as_ref().map_or(EnteredRunSpan::none(), |key| self.span.enter(key.job(), &self.id))
    }

    /// Sets the last error as the reason, unless reasons are not stored.
    pub(super) fn set_error(&self, error: &dyn fmt::Debug) {
        if self.stores_reason()
            && let Some(reason) = failure_reason::of_error(error)
        {
            *self.reason.lock() = Some(reason);
        }
    }

    /// Sets the last panic as the reason: that of this thread. The panic of a process may be on another thread, which has
    /// passed it to this one.
    fn set_panic(&self) {
        if self.stores_reason() {
            let panics = self.panics_at_start;
            let other = || {
                let is_process = self.spec.is_process();
                is_process.then(|| PROCESS.panic_reason_since(panics)).flatten()
            };
            if let Some(reason) = panic::reason_since(panics).or_else(other) {
                *self.reason.lock() = Some(reason);
            }
        }
    }

    fn stores_reason(&self) -> bool {
        self.key.is_some() && self.pipeline.history.is_enabled()
    }

    /// Returns the reason of an outcome that is a failure.
    fn reason_of(&self, outcome: Outcome) -> Option<String> {
        self.reason.lock().clone().filter(|_| outcome.is_failure())
    }

    pub(super) fn is_finished(&self) -> bool {
        self.is_finished.load(Ordering::Acquire)
    }

    /// Calls `before` and then submits the start, unless the run is finished. No other thread can submit the completion
    /// of this run in between.
    pub(super) fn submit_start(&self, before: impl FnOnce()) {
        let _interim = self.interim_lock.lock();
        before();
        if !self.is_finished() {
            let started_at = self.started.unix_seconds();
            let mut metrics = start_metrics(&Expectations::from(&self.spec), started_at);
            self.submit_interim(metrics.encode());
        }
    }

    /// Delays the completion until another thread has submitted the start.
    pub(super) fn set_start_submitted(&self, receiver: Receiver<()>) {
        *self.start_submitted.lock() = Some(receiver);
    }

    /// Waits until the start is submitted, as long as that leaves time for the completion.
    fn wait_start_submitted(&self) {
        let submitted = self.start_submitted.lock().take();
        if let Some(submitted) = submitted {
            submitted.wait(self.pipeline.timeout / INTERIM_TIME_DIVISOR);
        }
    }

    /// Waits until the start is delivered or given up, at most for `timeout`.
    pub(super) fn wait_start_delivered(&self, timeout: Duration) {
        if self.key.is_none() {
            return;
        }
        let deadline = Moment::now().after(timeout);
        let submitted = self.start_submitted.lock().take();
        if let Some(submitted) = submitted {
            submitted.wait(deadline.remaining());
        }
        dispatcher().flush(deadline.remaining());
    }

    /// Submits a heartbeat. Returns false if the run is finished. No other thread can submit the completion of this run in
    /// between: a heartbeat after it would replace the progress.
    pub(super) fn submit_heartbeat(&self) -> bool {
        let _interim = self.interim_lock.lock();
        if self.is_finished() {
            return false;
        }
        let progress = self.progress().clone();
        self.submit_interim(heartbeat_metrics(&progress, Moment::now()).encode());
        true
    }

    fn submit_interim(&self, families: Families) {
        let Some(key) = &self.key else { return };
        let timeout = self.pipeline.timeout / INTERIM_TIME_DIVISOR;
        self.pipeline.submit_interim(PushRequest::add(key.clone(), families), timeout);
    }

    /// Lets the exit handler finish a whole process, because it gets the exit code. Returns false for a task, for a run
    /// that is not pushed, and on platforms where the exit handler does not get the code.
    pub(super) fn defer_to_exit(self: &Arc<Self>) -> bool {
        let can_defer = self.spec.is_process() && self.key.is_some() && exit::HAS_EXIT_CODE;
        if can_defer && !self.is_deferred.swap(true, Ordering::AcqRel) {
            supervisor::announce_end();
            // The list of active runs has only weak references, so this one is leaked.
            std::mem::forget(Arc::clone(self));
        }
        can_defer
    }

    /// Finishes the run on this thread, unless it is finished. A whole process waits for the delivery.
    pub(super) fn finish(&self, outcome: Outcome) {
        let is_foreign = self.process != std::process::id();
        if is_foreign || self.is_deferred.load(Ordering::Acquire) {
            return;
        }
        let ended = Moment::now();
        if self.key.is_none() {
            self.is_finished.store(true, Ordering::Release);
            return;
        }
        if outcome == Outcome::Panic {
            // Before a collector panics as well.
            self.set_panic();
        }
        if self.spec.is_process() {
            // A signal that is ending the process determines the outcome. If the process continues, the run is active again.
            signal::wait_while_ending();
        }
        if self.is_finished() {
            return;
        }
        if self.spec.is_process() {
            supervisor::announce_end();
            self.wait_start_submitted();
        }
        let finished = Moment::now();
        // Gather before closing: collectors are user code, and if the process exits during them the exit handler must still
        // find this run.
        let timeout = self.pipeline.timeout;
        let gathered = self.gather(timeout);
        let closed = self.close().or_else(|| {
            // A signal may have finished the run during the gathering. See above.
            if self.spec.is_process() {
                signal::wait_while_ending();
            }
            self.close()
        });
        let Some((key, unsent)) = closed else { return };
        let timeout = finished.after(timeout).remaining();
        if self.spec.is_process() {
            PROCESS.start_deadline(timeout);
        }
        let completion = self.complete(outcome.into(), ended, finished);
        let acknowledged = self.submit_completion(key, unsent, &completion, gathered, timeout);
        if self.spec.is_process() {
            let deadline = Moment::now().after(timeout.saturating_add(RECEIPT_GRACE));
            // The exit handler logs the requests that are still unfinished.
            wait_with_notice(deadline, |timeout| acknowledged.wait_closed(timeout));
        }
    }

    /// Finishes the run because its process ends, with the metrics that could be gathered. Returns `None` if it is finished
    /// already.
    pub(super) fn finish_with_process(
        &self,
        cause: Cause,
        finished: Moment,
        gathered: Snapshot,
        deadline: Moment,
    ) -> Option<Receiver<()>> {
        let (key, unsent) = self.close()?;
        if cause.outcome == Outcome::Panic {
            self.set_panic();
        }
        let completion = self.complete(cause, finished, finished);
        let timeout = deadline.remaining();
        Some(self.submit_completion(key, unsent, &completion, gathered, timeout))
    }

    /// Makes the run active again, because the process continues.
    pub(super) fn reopen(self: &Arc<Self>) {
        ACTIVE.lock().insert(self.number, Arc::downgrade(self));
        self.is_finished.store(false, Ordering::Release);
    }

    /// Marks the run as finished. Returns `None` if it was finished before, or if it is not pushed.
    fn close(&self) -> Option<(&GroupingKey, InProgressGuard)> {
        let _interim = self.interim_lock.lock();
        if self.is_finished.swap(true, Ordering::AcqRel) {
            return None;
        }
        let key = self.key.as_ref()?;
        // A thread that finds the run removed from the list waits for the guard instead.
        let unsent = PROCESS.unsent.enter();
        ACTIVE.lock().remove(&self.number);
        Some((key, unsent))
    }

    /// Records the completion in the journal. No user code runs here.
    fn complete(&self, cause: Cause, ended: Moment, finished: Moment) -> Completion {
        let cause = Cause { outcome: self.final_outcome(cause.outcome), ..cause };
        let mut completion = Completion::between(self.started, ended, finished, cause);
        if self.spec.is_process() {
            completion.usage = resource_usage::read_own();
            completion.panics = Some(PROCESS.panics() - self.panics_at_start);
        }
        if let Some(record) = &self.record {
            let progress = self.progress().clone();
            record.record_finished(Finished {
                cause,
                at: completion.finished_at,
                duration: completion.duration,
                records: progress.records,
                failed_stage: progress.failed_stage(cause.outcome),
                reason: self.reason_of(cause.outcome),
            });
        }
        completion
    }

    /// Returns the request that reports the completion.
    fn completion_request(
        &self,
        key: &GroupingKey,
        completion: &Completion,
        gathered: Snapshot,
    ) -> PushRequest {
        let progress = self.progress().clone();
        // The run's own families come first, so that no other metric replaces one.
        let mut metrics =
            completion_metrics(&Expectations::from(&self.spec), &progress, completion);
        metrics.merge(gathered);
        let families = encode_accepted(metrics, key, &self.id);
        let ending = self.ending_for_history(key, completion, &progress, &families);
        let request = match (completion.cause.outcome, self.spec.on_success) {
            (Outcome::Success, Verb::Push) => PushRequest::push(key.clone(), families),
            _ => PushRequest::add(key.clone(), families),
        };
        request.reporting(Arc::new(ending))
    }

    /// Returns what the run adds to the history of its group. `families` are those of the completion.
    fn ending_for_history(
        &self,
        key: &GroupingKey,
        completion: &Completion,
        progress: &Progress,
        families: &Families,
    ) -> RunEnding {
        let reason = self.reason_of(completion.cause.outcome);
        if !self.pipeline.history.is_enabled() {
            if self.adds_up() {
                log::warn_once(format_args!(
                    "the metrics of the job {} do not add up over runs, because there is no state directory; set \
                     METRICS_PUSH_STATE_DIR",
                    key.job()
                ));
            }
            return uncounted_ending(&self.id, completion, progress, reason);
        }
        let mut ending = run_ending(&self.id, completion, progress, reason);
        if self.adds_up() {
            add_summable(&mut ending.counted, families);
        }
        ending
    }

    /// Returns true if the metrics of this run are added to those of earlier runs. Those of a registry that the runs of a
    /// process share add up already.
    fn adds_up(&self) -> bool {
        self.spec.is_cumulative && (self.spec.is_process() || self.spec.registry.is_none())
    }

    /// Returns `Timeout` if the supervisor kills the run, even if the program handles the signal. Returns `Skipped` for
    /// a successful run that declared that there is nothing to do, otherwise `outcome`.
    fn final_outcome(&self, outcome: Outcome) -> Outcome {
        let can_be_killed = self.spec.is_process() && self.spec.enforcement == Enforcement::Kill;
        if can_be_killed && supervisor::is_killing() {
            return Outcome::Timeout;
        }
        let is_skipped = self.is_skipped.load(Ordering::Relaxed) && outcome == Outcome::Success;
        if is_skipped { Outcome::Skipped } else { outcome }
    }

    /// Gathers the registries of the program within half of `timeout`.
    pub(super) fn gather(&self, timeout: Duration) -> Snapshot {
        let own = self.registry.get().cloned().map(RegistrySource::Own);
        let default = || self.spec.is_process().then_some(RegistrySource::Default);
        let shared = self.spec.registry.map(RegistrySource::Shared).or_else(default);
        gather_within(timeout, own.into_iter().chain(shared))
    }

    /// Submits the completion to all sinks. The receiver is closed when it is acknowledged.
    fn submit_completion(
        &self,
        key: &GroupingKey,
        unsent: InProgressGuard,
        completion: &Completion,
        gathered: Snapshot,
        timeout: Duration,
    ) -> Receiver<()> {
        let request = self.completion_request(key, completion, gathered);
        record_end(key, self.started.unix_seconds());
        let sinks = self.pipeline.routers.len();
        let (acknowledgement, acknowledged) = Acknowledgement::new(self.record.clone(), sinks);
        let callback = || acknowledgement.callback();
        match self.spec.extent {
            Extent::Task => self.pipeline.submit_spooled(request, timeout, callback),
            Extent::Process => self.pipeline.submit_final(request, timeout, callback),
        }
        // The dispatcher has the request, so a flush now waits for it.
        drop(unsent);
        acknowledged
    }
}

/// Encodes the metrics that the group accepts and logs the others.
fn encode_accepted(mut metrics: Snapshot, key: &GroupingKey, run: &str) -> Families {
    metrics.reject_labels_of(key);
    for rejection in metrics.rejections() {
        log::warn(Error::from(rejection.clone()).at("group", key).at("run", run));
    }
    metrics.encode()
}
