//! `ProcessState`: the state that the hooks, the runs and the shutdown of this process share.
//!
//! It is one struct in one static, and it imports no hook and no run: that keeps the modules of this folder free of cycles.
//! The state that a signal handler touches is in `hooks/signal.rs`.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::completion::Cause;
use super::spec::{ExitCodes, Extent};
use crate::clock::Moment;
use crate::delivery::policy::RECEIPT_GRACE;
use crate::oneshot::Receiver;
use crate::sync::{Condvar, Mutex};

/// What determines the cause of a run that is active when its process ends.
#[derive(Clone, Debug)]
pub(super) struct EndingRun {
    pub(super) extent: Extent,
    pub(super) exit_codes: ExitCodes,
    /// The body of the run has returned, and the exit code determines the outcome.
    pub(super) has_returned: bool,
}

/// Finishes all active runs. The hooks call it, because they cannot import the runs.
///
/// The moment is the deadline for all deliveries.
pub(super) type FinishAll = fn(&dyn Fn(EndingRun) -> Cause, Moment) -> Box<dyn Shutdown>;

/// Runs that were finished together, with their deliveries in progress.
pub(super) trait Shutdown: Send {
    /// Waits until all requests of the process are finished, at most until the deadline and a grace period, and logs the
    /// unfinished ones.
    fn wait(&self);

    /// Makes the runs active again, because the process continues.
    fn reopen(&self);
}

/// A panic, and how many panics the process had with it.
#[derive(Clone, Debug)]
pub(super) struct RecordedPanic {
    number: u64,
    reason: String,
}

impl RecordedPanic {
    pub(super) const fn new(number: u64, reason: String) -> Self {
        Self { number, reason }
    }

    /// Returns the reason, unless the panic is one of the first `panics` of the process.
    pub(super) fn reason_since(self, panics: u64) -> Option<String> {
        (self.number > panics).then_some(self.reason)
    }
}

pub(super) static PROCESS: ProcessState = ProcessState::new();

pub(super) struct ProcessState {
    /// The process that installed the hooks. A forked child has its memory, but none of its threads.
    owner: OnceLock<u32>,
    finish_all: OnceLock<FinishAll>,
    /// Set when the process starts to end.
    ending: Mutex<Option<Ending>>,
    panics: AtomicU64,
    last_panic: Mutex<Option<RecordedPanic>>,
    running_panic_hooks: AtomicUsize,
    /// Locked while a panic hook finishes the runs. Other threads that panic wait for it, because the first hook that
    /// returns aborts the process.
    pub(super) abort: Mutex<()>,
    /// Work on another thread that the exit handler waits for.
    background_work: Mutex<Option<Receiver<()>>>,
    /// Finished runs whose completion is not submitted yet.
    pub(super) unsent: InProgress,
    /// Submitted completions that are not acknowledged in the journal yet.
    pub(super) unacknowledged: InProgress,
}

/// The end of the process, or of its `main`.
#[derive(Clone, Copy)]
struct Ending {
    /// The deadline of the last deliveries.
    deadline: Moment,
    has_wait_notice: bool,
    has_unfinished_notice: bool,
}

impl ProcessState {
    const fn new() -> Self {
        Self {
            owner: OnceLock::new(),
            finish_all: OnceLock::new(),
            ending: Mutex::new(None),
            panics: AtomicU64::new(0),
            last_panic: Mutex::new(None),
            running_panic_hooks: AtomicUsize::new(0),
            abort: Mutex::new(()),
            background_work: Mutex::new(None),
            unsent: InProgress::new(),
            unacknowledged: InProgress::new(),
        }
    }

    /// Calls `initialize` and makes this process the owner, unless there is an owner already. Returns true if this
    /// process is the owner.
    pub(super) fn claim(&self, initialize: impl FnOnce()) -> bool {
        let own = std::process::id();
        let owner = self.owner.get_or_init(|| {
            initialize();
            own
        });
        *owner == own
    }

    /// Returns true if this process installed the hooks, and is not a forked child.
    pub(super) fn is_owner(&self) -> bool {
        self.owner.get() == Some(&std::process::id())
    }

    pub(super) fn set_finish_all(&self, finish_all: FinishAll) {
        let _ = self.finish_all.set(finish_all);
    }

    /// Finishes all active runs; `None` before the first run.
    pub(super) fn finish_all(
        &self,
        cause: &dyn Fn(EndingRun) -> Cause,
        deadline: Moment,
    ) -> Option<Box<dyn Shutdown>> {
        let finish_all = self.finish_all.get()?;
        Some(finish_all(cause, deadline))
    }

    /// Sets the deadline of the last deliveries to `timeout` from now and returns it. A later call replaces it.
    pub(super) fn start_deadline(&self, timeout: Duration) -> Moment {
        let deadline = Moment::now().after(timeout);
        *self.ending.lock() =
            Some(Ending { deadline, has_wait_notice: false, has_unfinished_notice: false });
        deadline
    }

    /// Returns the deadline if the process is ending. A deadline that passed longer ago does not count: the process has
    /// continued, for example after a caught panic.
    pub(super) fn current_deadline(&self) -> Option<Moment> {
        let is_recent =
            |deadline: &Moment| !deadline.after(RECEIPT_GRACE * 2).remaining().is_zero();
        self.ending.lock().map(|ending| ending.deadline).filter(is_recent)
    }

    /// Returns true once per ending, for the line that the process waits.
    pub(super) fn claim_wait_notice(&self) -> bool {
        let mut ending = self.ending.lock();
        ending.as_mut().is_none_or(|it| !std::mem::replace(&mut it.has_wait_notice, true))
    }

    /// Returns true once per ending, for the line about unfinished pushes.
    pub(super) fn claim_unfinished_notice(&self) -> bool {
        let mut ending = self.ending.lock();
        ending.as_mut().is_none_or(|it| !std::mem::replace(&mut it.has_unfinished_notice, true))
    }

    /// Returns the number of panics since the first run.
    pub(super) fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    pub(super) fn set_last_panic(&self, panic: RecordedPanic) {
        *self.last_panic.lock() = Some(panic);
    }

    /// Returns the reason of the last panic of any thread, unless it is one of the first `panics` of the process.
    pub(super) fn panic_reason_since(&self, panics: u64) -> Option<String> {
        self.last_panic.lock().clone().and_then(|last| last.reason_since(panics))
    }

    /// Counts a panic. The returned guard marks a running panic hook.
    pub(super) fn enter_panic_hook(&self) -> PanicHookGuard<'_> {
        self.panics.fetch_add(1, Ordering::Relaxed);
        self.running_panic_hooks.fetch_add(1, Ordering::AcqRel);
        PanicHookGuard(&self.running_panic_hooks)
    }

    /// Returns true if a panic hook is running. If the process exits now, the panic is the cause.
    pub(super) fn is_in_panic_hook(&self) -> bool {
        self.running_panic_hooks.load(Ordering::Acquire) > 0
    }

    /// Lets the exit handler wait for work on another thread.
    pub(super) fn set_background_work(&self, work: Receiver<()>) {
        *self.background_work.lock() = Some(work);
    }

    pub(super) fn take_background_work(&self) -> Option<Receiver<()>> {
        self.background_work.lock().take()
    }
}

pub(super) struct PanicHookGuard<'a>(&'a AtomicUsize);

impl Drop for PanicHookGuard<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Counts operations in progress, so that the end of the process can wait for them.
pub(super) struct InProgress {
    count: Mutex<usize>,
    decreased: Condvar,
}

/// One operation in progress, until it is dropped.
pub(super) struct InProgressGuard(&'static InProgress);

impl InProgress {
    const fn new() -> Self {
        Self { count: Mutex::new(0), decreased: Condvar::new() }
    }

    pub(super) fn enter(&'static self) -> InProgressGuard {
        *self.count.lock() += 1;
        InProgressGuard(self)
    }

    /// Waits until no operation is in progress, at most for `timeout`. Returns true if none is.
    pub(super) fn wait_until_none(&self, timeout: Duration) -> bool {
        let count = self.count.lock();
        *self.decreased.wait_timeout_while(count, timeout, |count| *count > 0) == 0
    }
}

impl Drop for InProgressGuard {
    fn drop(&mut self) {
        *self.0.count.lock() -= 1;
        self.0.decreased.notify_all();
    }
}
