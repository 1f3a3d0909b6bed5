//! Hold: keeps parcels back for a while, so that many for one group become one.
//!
//! What is held is merged by grouping key and goes to the courier at each interval, when many keys wait, and before
//! anybody flushes. It is bounded: while there is no room, parcels for further keys are dropped and counted; those for
//! keys that are held already are always taken. Handing in waits for nothing but a lock that is held for moments.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::courier::{Held, courier};
use crate::delivery::{Route, Urgency};
use crate::labels::GroupingKey;
use crate::notice;
use crate::parcel::Parcel;

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
    held: Mutex<BTreeMap<GroupingKey, (Parcel, Urgency)>>,
    is_release_due: AtomicBool,
    /// What is on its way to the courier is not to be overtaken.
    releasing: Mutex<()>,
    dropped: AtomicU64,
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
            releasing: Mutex::default(),
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
        if self.routes.is_empty() {
            return;
        }
        let mut held = self.lock();
        if let Some((before, most)) = held.get_mut(parcel.key()) {
            before.join(parcel);
            *most = urgency.max(*most);
            return;
        }
        if held.len() >= MOST_KEYS {
            drop(held);
            self.drop_one(&parcel);
            return;
        }
        held.insert(parcel.key().clone(), (parcel, urgency));
        let has_many = held.len() >= self.keys_to_release;
        drop(held);
        if has_many && !self.is_release_due.swap(true, Ordering::Relaxed) {
            let hold = Arc::clone(self);
            drop(courier().run(async move { hold.release() }));
        }
    }

    /// Gives back what is held for a key.
    pub(crate) fn take(&self, key: &GroupingKey) -> Option<Parcel> {
        let _releasing = self.releasing.lock().unwrap_or_else(PoisonError::into_inner);
        self.lock().remove(key).map(|(parcel, _)| parcel)
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

    fn lock(&self) -> MutexGuard<'_, BTreeMap<GroupingKey, (Parcel, Urgency)>> {
        // No code of others runs under this lock.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held for Hold {
    fn release(&self) {
        self.is_release_due.store(false, Ordering::Relaxed);
        let _releasing = self.releasing.lock().unwrap_or_else(PoisonError::into_inner);
        if courier().waiting() >= MOST_KEYS {
            // They would only wait elsewhere, and no longer be bounded.
            return;
        }
        for (parcel, urgency) in std::mem::take(&mut *self.lock()).into_values() {
            for route in &self.routes {
                drop(courier().hand_over(route, parcel.clone(), self.budget, urgency));
            }
        }
    }
}
