//! Which entries a registry has.
//!
//! A `prometheus` registry can neither be asked for what it holds nor be told from another. So each one gets a
//! marker, registered under a name of ours, that owns the registry's entries: taking the marker out and putting
//! it back finds them, and they go when the registry goes. Cold paths only.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use super::proto::MetricFamily;
use super::request::Entry;
use super::{Collector, Desc, Registry};
use crate::error::{Error, Kind};

/// What the marker owns: everything registered through us.
#[derive(Default)]
pub(super) struct Entries(Mutex<HashMap<String, Entry>>);

impl Entries {
    /// The entries, for one thread at a time.
    pub(super) fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        lock(&self.0)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Registered in each registry that has a catalog; gathers nothing.
struct Marker {
    entries: Arc<Entries>,
}

/// Equal to the marker, as registries compare; used to take it out.
struct Likeness;

static MARKER: LazyLock<Result<Desc, prometheus::Error>> = LazyLock::new(|| {
    // The address tells several copies of this crate in one process apart.
    let name = format!("metrics_push_catalog_{:x}", (&raw const SEARCH).addr());
    Desc::new(name, "Gathers nothing.".to_owned(), Vec::new(), HashMap::new())
});

/// Held while a marker is out of its registry.
static SEARCH: Mutex<()> = Mutex::new(());

/// What the marker that was taken out owned.
static FOUND: Mutex<Option<Arc<Entries>>> = Mutex::new(None);

thread_local! {
    static SEARCHING: Cell<bool> = const { Cell::new(false) };
    static GATHERING: Cell<bool> = const { Cell::new(false) };
}

impl Drop for Marker {
    fn drop(&mut self) {
        // Otherwise the registry is going, and the catalog with it.
        if SEARCHING.get() {
            *lock(&FOUND) = Some(Arc::clone(&self.entries));
        }
    }
}

impl Collector for Marker {
    fn desc(&self) -> Vec<&Desc> {
        Likeness.marker_desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        Vec::new()
    }
}

impl Collector for Likeness {
    fn desc(&self) -> Vec<&Desc> {
        self.marker_desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        Vec::new()
    }
}

impl Likeness {
    fn marker_desc(&self) -> Vec<&'static Desc> {
        MARKER.iter().collect()
    }
}

/// The entries of a registry: those it has, or new ones that it has from now on.
pub(super) fn entries_of(registry: &Registry) -> Result<Arc<Entries>, Error> {
    let _one_at_a_time = lock(&SEARCH);
    SEARCHING.set(true);
    // Fails if there is no marker, which says the same as finding nothing.
    let _ = registry.unregister(Box::new(Likeness));
    SEARCHING.set(false);
    let entries = lock(&FOUND).take().unwrap_or_default();
    registry.register(Box::new(Marker { entries: Arc::clone(&entries) })).map_err(|cause| {
        Error::new(Kind::Metric, "the registry takes no metrics").caused_by(cause)
    })?;
    Ok(entries)
}

/// Gathers, and lets nobody on this thread wait for the registry meanwhile.
pub(super) fn gather(registry: &Registry) -> Vec<MetricFamily> {
    struct Gathering(bool);
    impl Drop for Gathering {
        fn drop(&mut self) {
            GATHERING.set(self.0);
        }
    }
    let _until_done = Gathering(GATHERING.replace(true));
    registry.gather()
}

/// Whether this thread is gathering: registering anything would then wait for ever.
pub(crate) fn is_gathering() -> bool {
    GATHERING.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_are_the_same_registry_and_others_are_not() {
        let (one, other) = (Registry::new(), Registry::new());
        let entries = entries_of(&one).unwrap();
        assert!(Arc::ptr_eq(&entries, &entries_of(&one.clone()).unwrap()));
        assert!(!Arc::ptr_eq(&entries, &entries_of(&other).unwrap()));
        assert!(Arc::ptr_eq(&entries, &entries_of(&one).unwrap()));
        assert!(one.gather().is_empty());
    }

    #[test]
    fn entries_go_when_their_registry_goes() {
        let registry = Registry::new();
        let entries = Arc::downgrade(&entries_of(&registry).unwrap());
        let clone = registry.clone();
        drop(registry);
        assert!(entries.upgrade().is_some());
        drop(clone);
        assert!(entries.upgrade().is_none());
    }

    #[test]
    fn searches_on_many_threads_find_the_same_entries() {
        let registries: Vec<_> = std::iter::repeat_with(Registry::new).take(4).collect();
        let firsts: Vec<_> = registries.iter().map(|one| entries_of(one).unwrap()).collect();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for (registry, first) in registries.iter().zip(&firsts).cycle().take(5_000) {
                        assert!(Arc::ptr_eq(first, &entries_of(registry).unwrap()));
                        // Registries that go meanwhile keep their entries to themselves.
                        drop(entries_of(&Registry::new()));
                    }
                });
            }
        });
    }
}
