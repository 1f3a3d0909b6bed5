//! `Acknowledgement`: travels with the completion of a run and marks it as acknowledged in the journal.
//!
//! The dispatcher calls one callback per sink. When the last one is done, the journal no longer needs the run, unless a
//! sink did not get the completion and could still accept it. Then the waiting thread is woken.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::journal::JournalEntry;
use super::process_state::{InProgressGuard, PROCESS};
use crate::delivery::Receipt;
use crate::dispatcher::OnSettled;
use crate::oneshot::{self, Receiver, Sender};

pub(super) struct Acknowledgement {
    journal_entry: Option<Arc<JournalEntry>>,
    /// The number of sinks that have not accepted or spooled the completion.
    outstanding: AtomicUsize,
    /// Dropped after the journal is written: closes the channel of the waiting thread.
    _waiter: Sender<()>,
    _in_progress: InProgressGuard,
}

impl Acknowledgement {
    /// Returns the acknowledgement of a completion that goes to `sinks` sinks, and a receiver that is closed when it is
    /// done.
    pub(super) fn new(
        journal_entry: Option<Arc<JournalEntry>>,
        sinks: usize,
    ) -> (Arc<Self>, Receiver<()>) {
        let (sender, receiver) = oneshot::channel();
        let acknowledgement = Self {
            journal_entry,
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
            if !receipt.is_worth_resending() {
                acknowledgement.outstanding.fetch_sub(1, Ordering::AcqRel);
            }
        })
    }
}

impl Drop for Acknowledgement {
    fn drop(&mut self) {
        if let (Some(entry), 0) = (&self.journal_entry, *self.outstanding.get_mut()) {
            entry.acknowledge();
        }
    }
}
