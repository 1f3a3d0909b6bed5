//! `JobStart`: the start of a job that is a copy of its supervisor's process. The supervisor submits it.
//!
//! If there is a state directory, a thread submits the reports of dead runs first, because the disk and the gateway may be
//! slow. The supervisor waits for this thread only when the job has ended.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Moment;
use crate::delivery::DeliveryClass;
use crate::delivery::policy::INTERIM_TIME_DIVISOR;
use crate::dispatcher::dispatcher;
use crate::job::journal::line::Started;
use crate::job::journal::recovery::{self, OrphanRecovery};
use crate::job::run_metrics::start_metrics;
use crate::oneshot::{self, Receiver};
use crate::pipeline::Pipeline;
use crate::push_request::PushRequest;
use crate::state_dir::Folder;
use crate::sync::Mutex;
use crate::threads;

/// How often a wait for the thread checks whether a signal has ended it.
const INTERRUPTION_CHECK_INTERVAL: Duration = Duration::from_millis(50);

pub(super) struct JobStart {
    run: Arc<StartingRun>,
    /// Closed when the start is submitted.
    submitted: Receiver<()>,
    /// Closed when the reports of dead runs are settled.
    settled: Receiver<()>,
}

struct StartingRun {
    started: Started,
    pipeline: Arc<Pipeline>,
    /// Locked while requests are submitted, so that no completion is submitted before them.
    is_ended: Mutex<bool>,
}

impl JobStart {
    /// Submits the start after the reports of the dead runs in the folder. Returns at once.
    pub(super) fn submit(
        started: Started,
        folder: Option<Arc<Folder>>,
        pipeline: &Arc<Pipeline>,
    ) -> Self {
        let pipeline = Arc::clone(pipeline);
        let run = Arc::new(StartingRun { started, pipeline, is_ended: Mutex::default() });
        let ((sender, submitted), (settler, settled)) = (oneshot::channel(), oneshot::channel());
        let thread_run = Arc::clone(&run);
        let recover = |folder: Arc<Folder>| {
            threads::spawn("metrics-push-recovery", move || {
                let mut recovery = recovery::find(&folder, &thread_run.pipeline);
                thread_run.submit(recovery.as_mut());
                sender.send(());
                if let Some(recovery) = recovery {
                    recovery.settle(&thread_run.pipeline);
                }
                settler.send(());
            })
        };
        if folder.is_none_or(|folder| recover(folder).is_err()) {
            run.submit(None);
        }
        Self { run, submitted, settled }
    }

    /// Waits until the start is submitted, as long as that leaves time for the completion. Afterwards it is not submitted.
    pub(super) fn end(&self) {
        wait(&self.submitted, self.run.pipeline.timeout / INTERIM_TIME_DIVISOR);
        *self.run.is_ended.lock() = true;
    }

    /// Waits until the reports of dead runs are settled.
    pub(super) fn settle(&self, timeout: Duration) {
        wait(&self.settled, timeout);
    }
}

impl StartingRun {
    /// Submits the reports of dead runs and then the start.
    fn submit(&self, recovery: Option<&mut OrphanRecovery>) {
        let Self { started, pipeline, is_ended } = self;
        let is_ended = is_ended.lock();
        if let Some(recovery) = recovery {
            // If the run has ended, its completion supersedes the dead runs. Its start does not.
            recovery.report_oldest(pipeline, (!*is_ended).then_some(&started.run));
        }
        if *is_ended {
            return;
        }
        let families = start_metrics(&started.expected, started.at).encode();
        let timeout = pipeline.timeout / INTERIM_TIME_DIVISOR;
        // Not through the batch buffer: the completion supersedes the start only in the queue of the dispatcher.
        for route in pipeline.routes_for(&started.key) {
            let request = PushRequest::add(started.key.clone(), families.clone());
            dispatcher().submit(route, request, timeout, DeliveryClass::BestEffort, Vec::new());
        }
    }
}

/// Waits until the channel is closed or a signal interrupts the deliveries, at most for `timeout`.
fn wait(channel: &Receiver<()>, timeout: Duration) {
    let deadline = Moment::now().after(timeout);
    while !channel.wait_closed(deadline.remaining().min(INTERRUPTION_CHECK_INTERVAL))
        && !deadline.remaining().is_zero()
        && !dispatcher().is_interrupted()
    {}
}
