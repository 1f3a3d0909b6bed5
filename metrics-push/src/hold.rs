//! Hold: keeps parcels back for a while, so that many for one group become one.
//!
//! What is held is merged by grouping key and goes to the courier at each interval, when many keys wait, and before
//! anybody flushes. It is bounded: while there is no room, parcels for further keys are dropped and counted; those for
//! keys that are held already are always taken. Handing in waits for nothing but a lock that is held for moments.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Moment;
use crate::courier::{Held, courier};
use crate::delivery::{Receipt, Route, Urgency};
use crate::labels::GroupingKey;
use crate::notice;
use crate::parcel::Parcel;
use crate::ticket::{Stub, Ticket, ticket};

/// How many keys wait at most, here and again at the courier's: a scheduler has thousands, a label that is unique for
/// each call has millions.
pub(crate) const MOST_KEYS: usize = 16_384;

#[derive(Debug)]
pub(crate) struct Hold {
    routes: Vec<Route>,
    /// How long a delivery may take.
    budget: Duration,
    /// How many keys wait before they go without waiting for the interval.
    keys_to_release: usize,
    held: Mutex<BTreeMap<GroupingKey, Kept>>,
    is_release_due: AtomicBool,
    /// What was handed over. Locked while parcels are on their way to the courier, so that none is overtaken.
    released: Mutex<Vec<Ticket<Receipt>>>,
    dropped: AtomicU64,
}

/// What is held for one key.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) parcel: Parcel,
    urgency: Urgency,
    /// Who wants to know what becomes of it, for each route.
    pub(crate) askers: Vec<Vec<Stub<Receipt>>>,
}

impl Hold {
    pub(crate) fn start(
        routes: Vec<Route>,
        budget: Duration,
        interval: Duration,
        keys_to_release: usize,
    ) -> Arc<Self> {
        let hold = Arc::new(Self {
            routes,
            budget,
            keys_to_release,
            held: Mutex::default(),
            is_release_due: AtomicBool::new(false),
            released: Mutex::default(),
            dropped: AtomicU64::new(0),
        });
        let held: Arc<dyn Held> = Arc::clone(&hold) as _;
        courier().release_before_flush(Arc::downgrade(&held));
        let beating = Arc::downgrade(&hold);
        courier().every(interval, move || beating.upgrade().map(|hold| hold.release()).is_some());
        hold
    }

    /// Takes a parcel along. Returns at once.
    pub(crate) fn hand_in(self: &Arc<Self>, parcel: Parcel, urgency: Urgency) {
        self.keep(parcel, urgency, Vec::new());
    }

    /// The same, with a ticket for each route.
    pub(crate) fn hand_in_asking(
        self: &Arc<Self>,
        parcel: Parcel,
        urgency: Urgency,
    ) -> Vec<Ticket<Receipt>> {
        let (stubs, tickets) = self.routes.iter().map(|_| ticket()).unzip();
        self.keep(parcel, urgency, stubs);
        tickets
    }

    fn keep(self: &Arc<Self>, parcel: Parcel, urgency: Urgency, stubs: Vec<Stub<Receipt>>) {
        if self.routes.is_empty() {
            return;
        }
        let mut held = self.lock();
        if let Some(kept) = held.get_mut(parcel.key()) {
            kept.parcel.join(parcel);
            kept.urgency = urgency.max(kept.urgency);
            kept.ask(stubs);
            return;
        }
        if held.len() >= MOST_KEYS {
            drop(held);
            // The stubs go, too: whoever has their tickets learns that nobody will answer.
            self.drop_one(&parcel);
            return;
        }
        let askers = self.routes.iter().map(|_| Vec::new()).collect();
        let mut kept = Kept { parcel, urgency, askers };
        kept.ask(stubs);
        held.insert(kept.parcel.key().clone(), kept);
        let has_many = held.len() >= self.keys_to_release;
        drop(held);
        if has_many && !self.is_release_due.swap(true, Ordering::Relaxed) {
            let hold = Arc::clone(self);
            drop(courier().run(async move { hold.release() }));
        }
    }

    /// Gives back what is held for a key.
    pub(crate) fn take(&self, key: &GroupingKey) -> Option<Kept> {
        let _released = self.released();
        self.lock().remove(key)
    }

    /// Hands over what is held, and waits until all that was is delivered or given up, at most for `timeout`. Returns
    /// how many parcels are left.
    pub(crate) fn flush(&self, timeout: Duration) -> usize {
        let deadline = Moment::now().after(timeout);
        self.release();
        let tickets = std::mem::take(&mut *self.released());
        let (_, left): (Vec<_>, Vec<_>) =
            tickets.into_iter().partition(|ticket| ticket.wait_over(deadline.remaining()));
        let number = left.len() + self.lock().len();
        self.released().extend(left);
        number
    }

    fn released(&self) -> MutexGuard<'_, Vec<Ticket<Receipt>>> {
        self.released.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many parcels were dropped because there was no room for their key.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn drop_one(&self, parcel: &Parcel) {
        if self.dropped.fetch_add(1, Ordering::Relaxed) == 0 {
            notice::warn(format_args!(
                "parcels for {} and others are dropped: {MOST_KEYS} groups wait already; a grouping label may have a \
                 new value for every run",
                parcel.key()
            ));
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<GroupingKey, Kept>> {
        // No code of others runs under this lock.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held for Hold {
    fn release(&self) {
        self.is_release_due.store(false, Ordering::Relaxed);
        let mut released = self.released();
        released.retain(|ticket| !ticket.is_over());
        if courier().waiting() >= MOST_KEYS {
            // They would only wait elsewhere, and no longer be bounded.
            return;
        }
        let kept = std::mem::take(&mut *self.lock());
        for Kept { parcel, urgency, askers } in kept.into_values() {
            for (route, askers) in self.routes.iter().zip(askers) {
                let parcel = parcel.clone();
                let ticket = courier().hand_over_for(route, parcel, self.budget, urgency, askers);
                released.push(ticket);
            }
        }
    }
}

impl Kept {
    /// Adds one asker per route, or none.
    fn ask(&mut self, stubs: Vec<Stub<Receipt>>) {
        for (askers, stub) in self.askers.iter_mut().zip(stubs) {
            askers.push(stub);
        }
    }
}
