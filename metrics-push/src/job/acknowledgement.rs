//! `Acknowledgement`: acknowledges a run in its records after its completion is settled on all sinks.
//!
//! The dispatcher calls one callback per sink. The last callback drops the `Acknowledgement`. If any sink could still
//! accept the completion later, the run stays in the journal. In both cases the waiting thread is woken.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::process_state::{InProgressGuard, PROCESS};
use super::run_record::RunRecord;
use crate::delivery::Receipt;
use crate::dispatcher::OnSettled;
use crate::oneshot::{self, Receiver, Sender};

pub(super) struct Acknowledgement {
    record: Option<Arc<RunRecord>>,
    /// The number of sinks on which the completion is not settled: it was neither delivered nor spooled.
    outstanding: AtomicUsize,
    /// Wakes the waiting thread when it is dropped, after the journal is written.
    _waiter: Sender<()>,
    _in_progress: InProgressGuard,
}

impl Acknowledgement {
    /// Returns the acknowledgement of a completion that is sent to `sinks` sinks, and a receiver that is closed after
    /// the last callback.
    pub(super) fn new(record: Option<Arc<RunRecord>>, sinks: usize) -> (Arc<Self>, Receiver<()>) {
        let (sender, receiver) = oneshot::channel();
        let acknowledgement = Self {
            record,
            outstanding: AtomicUsize::new(sinks),
            _waiter: sender,
            _in_progress: PROCESS.unacknowledged.enter(),
        };
        (Arc::new(acknowledgement), receiver)
    }

    /// Returns the callback for one sink.
    pub(super) fn callback(self: &Arc<Self>) -> OnSettled {
        let acknowledgement = Arc::clone(self);
        Box::new(move |receipt: Receipt| {
            if !receipt.is_dropped() {
                acknowledgement.outstanding.fetch_sub(1, Ordering::AcqRel);
            }
        })
    }
}

impl Drop for Acknowledgement {
    fn drop(&mut self) {
        match (&self.record, *self.outstanding.get_mut()) {
            (Some(record), 0) => record.acknowledge(),
            (Some(record), _) => record.release(),
            (None, _) => {}
        }
    }
}
