//! Telling: the ends of runs, from the moment they are over until nobody need remember them.
//!
//! A run that is over is not among the open ones any more, and its end may not have been handed over yet: whoever ends the
//! process waits for it here.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::journal::Page;
use crate::clock::Moment;
use crate::delivery::Receipt;
use crate::dispatcher::dispatcher;
use crate::labels::GroupingKey;
use crate::log;
use crate::oneshot::Receiver;

/// Runs that are over, and whose end was not handed over yet.
static CLOSED: UnderWay = UnderWay::new();

/// Ends that were handed over, and of which their journal does not know yet what became of them.
static TOLD: UnderWay = UnderWay::new();

/// How many of something there are.
struct UnderWay {
    number: Mutex<usize>,
    fewer: Condvar,
}

/// One of them.
struct One(&'static UnderWay);

impl UnderWay {
    const fn new() -> Self {
        Self { number: Mutex::new(0), fewer: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        self.number.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&'static self) -> One {
        *self.lock() += 1;
        One(self)
    }

    fn wait_until_none(&self, deadline: Moment) {
        let left = deadline.remaining();
        drop(self.fewer.wait_timeout_while(self.lock(), left, |number| *number > 0));
    }
}

impl Drop for One {
    fn drop(&mut self) {
        *self.0.lock() -= 1;
        self.0.fewer.notify_all();
    }
}

/// A run that is over.
pub(super) struct Closed {
    page: Option<Arc<Page>>,
    _one: One,
}

impl Closed {
    pub(super) fn new(page: Option<Arc<Page>>) -> Self {
        Self { page, _one: CLOSED.begin() }
    }

    /// Tells the journal what becomes of the run's end; whoever delivers it tells people.
    pub(super) fn told_by(self, receipts: Vec<Receiver<Receipt>>) -> Vec<Receiver<()>> {
        let (page, is_lost) = (self.page.clone(), AtomicBool::new(false));
        let telling = Arc::new(Telling { page, is_lost, _one: TOLD.begin() });
        receipts.into_iter().map(|receipt| telling.hear(receipt)).collect()
    }
}

/// One end on its way to all sinks. When the last one has answered, the journal need not know of it any more, unless
/// one did not take it and may yet.
struct Telling {
    page: Option<Arc<Page>>,
    is_lost: AtomicBool,
    /// Dropped last: then the journal knows.
    _one: One,
}

impl Telling {
    fn hear(self: &Arc<Self>, receipt: Receiver<Receipt>) -> Receiver<()> {
        let telling = Arc::clone(self);
        dispatcher().spawn(async move {
            telling.is_lost.fetch_or(is_lost(receipt.await), Ordering::AcqRel);
        })
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        if let (Some(page), false) = (&self.page, self.is_lost.load(Ordering::Acquire)) {
            page.done();
        }
    }
}

/// Whether an end has not arrived, nor will from where it is kept, and may yet if it is told again.
pub(super) fn is_lost(receipt: Option<Receipt>) -> bool {
    match receipt {
        // What waits on disk will be delivered from there.
        Some(Receipt::Delivered { .. } | Receipt::Spooled { .. } | Receipt::Unsure { .. }) => false,
        // The same would be refused again.
        Some(Receipt::Dropped { error, .. }) => !error.is_rejected(),
        None => true,
    }
}

/// Waits until one end is told.
pub(super) fn wait(key: &GroupingKey, told: Vec<Receiver<()>>, deadline: Moment) {
    for receiver in told {
        if receiver.wait(deadline.remaining()).is_none() {
            log::warn(format_args!("{key} was not delivered in time"));
        }
    }
}

/// Waits until all that is over is told, and all that waits is delivered. Returns how many groups are left.
pub(super) fn wait_for_all(deadline: Moment) -> usize {
    CLOSED.wait_until_none(deadline);
    let left = dispatcher().flush(deadline.remaining());
    TOLD.wait_until_none(deadline);
    left
}
