//! `RegistryIndex`: the metrics that this crate has registered in one `prometheus` registry.
//!
//! A `prometheus` registry cannot list its collectors, and has no identity that could be the key of a map. Therefore the
//! registry itself stores the index: it contains a collector that gathers nothing and owns the index. To find the index,
//! this file unregisters the collector. The registry then drops the collector, whose `drop` returns the index, and the
//! collector is registered again. This runs no collector of other crates. The index is dropped with its registry.

use std::any::Any;
use std::cell::Cell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, MutexGuard};

use prometheus::Registry;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

use super::call_site::CallSite;
use super::family::{Family, MetricKind};
use crate::error::{Error, Kind};
use crate::sync::Mutex;

/// The metrics that this crate has registered in one registry, by name.
pub(super) struct RegistryIndex(Mutex<HashMap<String, RegisteredFamily>>);

/// The number of indexes, each of one registry.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// A [`Family`] of any kind.
pub(super) struct RegisteredFamily {
    pub(super) type_name: &'static str,
    pub(super) call_site: CallSite,
    family: Arc<dyn Any + Send + Sync>,
}

impl<K: MetricKind> From<Arc<Family<K>>> for RegisteredFamily {
    fn from(family: Arc<Family<K>>) -> Self {
        Self { type_name: K::TYPE_NAME, call_site: family.call_site, family }
    }
}

impl RegisteredFamily {
    /// Returns the family if it is of kind `K`.
    pub(super) fn downcast<K: MetricKind>(&self) -> Option<Arc<Family<K>>> {
        Arc::clone(&self.family).downcast().ok()
    }
}

/// Locked while the collector of an index is not in its registry.
static SEARCH: Mutex<()> = Mutex::new(());

/// The index of the collector that the current search has dropped.
static FOUND: Mutex<Option<Arc<RegistryIndex>>> = Mutex::new(None);

thread_local! {
    static SEARCHING: Cell<bool> = const { Cell::new(false) };
}

impl RegistryIndex {
    fn new() -> Self {
        COUNT.fetch_add(1, Ordering::Relaxed);
        Self(Mutex::default())
    }

    /// Returns true if at most one registry has metrics of this crate.
    pub(super) fn is_single() -> bool {
        COUNT.load(Ordering::Relaxed) <= 1
    }

    /// Returns the index that is stored in a registry, after storing a new one if there is none.
    ///
    /// # Errors
    /// `is_metric` if the registry does not accept the collector that owns the index.
    pub(super) fn get_or_create(registry: &Registry) -> Result<Arc<Self>, Error> {
        let _search = SEARCH.lock();
        SEARCHING.set(true);
        // An error means that the registry has no index yet.
        let _ = registry.unregister(Box::new(IndexCollector(None)));
        SEARCHING.set(false);
        let index = FOUND.lock().take().unwrap_or_else(|| Arc::new(Self::new()));
        let registered = registry.register(Box::new(IndexCollector(Some(Arc::clone(&index)))));
        registered.map_err(|cause| {
            Error::new(Kind::Metric, "cannot register metrics in this registry").caused_by(cause)
        })?;
        Ok(index)
    }

    /// Locks the index.
    pub(super) fn lock(&self) -> MutexGuard<'_, HashMap<String, RegisteredFamily>> {
        self.0.lock()
    }
}

impl Drop for RegistryIndex {
    fn drop(&mut self) {
        COUNT.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A collector that gathers nothing and owns the index of its registry.
///
/// Registries compare collectors by their descriptions, so one without an index unregisters the one with the index.
struct IndexCollector(Option<Arc<RegistryIndex>>);

static DESC: LazyLock<Result<Desc, prometheus::Error>> = LazyLock::new(|| {
    // A program may link several versions of this crate. The address makes the name unique for each of them.
    let name = format!("metrics_push_index_{:x}", (&raw const SEARCH).addr());
    Desc::new(name, "Gathers nothing.".to_owned(), Vec::new(), HashMap::new())
});

impl Drop for IndexCollector {
    fn drop(&mut self) {
        // Outside a search, the registry itself is being dropped.
        if let Some(index) = self.0.take()
            && SEARCHING.get()
        {
            *FOUND.lock() = Some(index);
        }
    }
}

impl Collector for IndexCollector {
    fn desc(&self) -> Vec<&Desc> {
        DESC.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registry_index_is_shared_by_clones_of_a_registry_only() {
        let (one, other) = (Registry::new(), Registry::new());
        let index = RegistryIndex::get_or_create(&one).unwrap();
        assert!(Arc::ptr_eq(&index, &RegistryIndex::get_or_create(&one.clone()).unwrap()));
        assert!(!Arc::ptr_eq(&index, &RegistryIndex::get_or_create(&other).unwrap()));
        assert!(Arc::ptr_eq(&index, &RegistryIndex::get_or_create(&one).unwrap()));
        assert!(one.gather().is_empty());
    }

    #[test]
    fn registry_index_is_dropped_with_the_last_clone_of_its_registry() {
        let registry = Registry::new();
        let index = Arc::downgrade(&RegistryIndex::get_or_create(&registry).unwrap());
        let clone = registry.clone();
        drop(registry);
        assert!(index.upgrade().is_some());
        drop(clone);
        assert!(index.upgrade().is_none());
    }

    #[test]
    fn registry_index_is_found_by_concurrent_searches() {
        let registries: Vec<_> = std::iter::repeat_with(Registry::new).take(4).collect();
        let find = |registry: &Registry| RegistryIndex::get_or_create(registry).unwrap();
        let indexes: Vec<_> = registries.iter().map(find).collect();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for (registry, index) in registries.iter().zip(&indexes).cycle().take(5_000) {
                        assert!(Arc::ptr_eq(index, &find(registry)));
                        // Drops a registry during the searches of other threads, which must not find its index.
                        let dropped = Registry::new();
                        drop(find(&dropped));
                    }
                });
            }
        });
    }
}
