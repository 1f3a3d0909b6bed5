//! Gathers registries on separate threads within a time limit, and detects calls from their collectors.
//!
//! Collectors are code of the program: they may block, loop, panic, exit, or wait for a lock that the caller holds. A
//! registry is locked while its collectors run, so a collector that registers a metric there deadlocks its thread. A
//! thread that does not finish within the time limit is left alone, and the number of such threads is limited.

use std::borrow::Cow;
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus::{Registry, default_registry};

use super::registry_index::RegistryIndex;
use super::text_family::{GatheredFamily, gather_text};
use crate::oneshot;
use crate::sync::{Condvar, Mutex};
use crate::threads;
use crate::unwind::catch_panic;

/// The maximum number of threads that gather after their time limit. Beyond it, no registry is gathered.
const MAX_OVERDUE: usize = 64;

/// The maximum wait for a registry that is being gathered. Gatherings usually become overdue earlier.
const UNLOCK_TIMEOUT: Duration = Duration::from_secs(60);

/// A registry to gather.
#[derive(Clone)]
pub(crate) enum RegistrySource {
    /// The default registry of the `prometheus` crate.
    Default,
    /// A registry that many runs gather. The function is code of the program.
    Shared(fn() -> &'static Registry),
    /// A registry that one caller gathers.
    Own(Registry),
}

/// A thread that gathers a registry.
struct Gathering {
    id: u64,
    source: RegistrySource,
    /// Where a registry of many runs is stored: its identity. `None` before it is known.
    address: Option<usize>,
    is_overdue: bool,
}

static GATHERINGS: Mutex<Vec<Gathering>> = Mutex::new(Vec::new());
static GATHERINGS_CHANGED: Condvar = Condvar::new();

thread_local! {
    static IS_GATHERING: Cell<bool> = const { Cell::new(false) };
}

/// Returns true if a collector of a registry runs on this thread. Registering a metric could deadlock it.
pub(crate) fn is_gathering() -> bool {
    IS_GATHERING.get()
}

/// Waits until the registry at this address is not being gathered. Returns false if its gathering is overdue: registering a
/// metric there could block without limit.
pub(super) fn wait_until_unlocked(address: usize) -> bool {
    let is_running = |gathering: &Gathering| gathering.address == Some(address);
    let gatherings =
        GATHERINGS_CHANGED.wait_timeout_while(GATHERINGS.lock(), UNLOCK_TIMEOUT, |gatherings| {
            gatherings.iter().any(|other| is_running(other) && !other.is_overdue)
        });
    !gatherings.iter().any(is_running)
}

/// Gathers a registry. If that takes longer than `timeout`, the thread continues without the caller. Until it ends, a shared
/// registry is not gathered again.
///
/// # Errors
/// The reason why there are no families.
pub(super) fn gather(
    source: &RegistrySource,
    timeout: Duration,
) -> Result<Vec<GatheredFamily>, Cow<'static, str>> {
    if source.is_empty() {
        return Ok(Vec::new());
    }
    let gathering = GatheringGuard(begin(source)?);
    let (sender, receiver) = oneshot::channel();
    let (id, own) = (gathering.0, source.clone());
    let gather = move || {
        let families = gather_here(&own, &gathering);
        sender.send(families);
    };
    // Started by the caller, so that collectors have the caller's signal mask.
    threads::spawn("metrics-push-gather", gather)
        .map_err(|error| format!("no thread could be started: {error}"))?;
    if !receiver.wait_closed(timeout) {
        set_overdue(id);
        return Err(format!("a collector did not finish within {timeout:.1?}").into());
    }
    let gathered = receiver.wait(Duration::ZERO).flatten();
    gathered.ok_or(Cow::Borrowed("a collector of the registry panicked"))
}

/// Adds a gathering and returns its id.
///
/// # Errors
/// If it would only block another thread.
fn begin(source: &RegistrySource) -> Result<u64, Cow<'static, str>> {
    static NEXT_ID: AtomicU64 = AtomicU64::new(0);

    let mut gatherings = GATHERINGS.lock();
    let overdue = || gatherings.iter().filter(|other| other.is_overdue);
    if overdue().any(|other| other.source.is_same_shared(source)) {
        return Err("a collector has not finished since an earlier run".into());
    }
    if overdue().count() >= MAX_OVERDUE {
        return Err(format!("{MAX_OVERDUE} collectors have not finished").into());
    }
    let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
    gatherings.push(Gathering { id, source: source.clone(), address: None, is_overdue: false });
    Ok(id)
}

fn set_overdue(id: u64) {
    change(id, |gathering| gathering.is_overdue = true);
}

/// Changes a gathering, unless it has ended.
fn change(id: u64, change: impl FnOnce(&mut Gathering)) {
    GATHERINGS.lock().iter_mut().find(|other| other.id == id).map(change);
    GATHERINGS_CHANGED.notify_all();
}

/// Removes a gathering when it is dropped.
struct GatheringGuard(u64);

impl Drop for GatheringGuard {
    fn drop(&mut self) {
        GATHERINGS.lock().retain(|other| other.id != self.0);
        GATHERINGS_CHANGED.notify_all();
    }
}

/// Gathers a registry on this thread. Returns `None` if a collector panicked.
fn gather_here(source: &RegistrySource, gathering: &GatheringGuard) -> Option<Vec<GatheredFamily>> {
    IS_GATHERING.set(true);
    catch_panic(|| {
        let shared = match source {
            RegistrySource::Default => default_registry(),
            RegistrySource::Shared(registry) => registry(),
            RegistrySource::Own(registry) => return gather_families(registry),
        };
        change(gathering.0, |own| own.address = Some(std::ptr::from_ref(shared).addr()));
        gather_families(shared)
    })
}

/// Gathers a registry. A collector of the program may gather another registry, which must not write text, so the collectors
/// write text only if no other registry has metrics of this crate.
fn gather_families(registry: &Registry) -> Vec<GatheredFamily> {
    if RegistryIndex::is_single() {
        gather_text(|| registry.gather())
    } else {
        registry.gather().into_iter().map(GatheredFamily::Metrics).collect()
    }
}

impl RegistrySource {
    /// Returns true if there is nothing to gather, so that no thread is started for it.
    fn is_empty(&self) -> bool {
        let registry = match self {
            Self::Default => default_registry(),
            Self::Shared(_) => return false,
            Self::Own(registry) => registry,
        };
        // Only `Debug` shows the number of collectors. It does not wait for the lock of the registry.
        format!("{registry:?}").contains("(0 collectors)")
    }

    /// Returns true if both are the same registry of many runs. A registry itself has no identity.
    fn is_same_shared(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Default, Self::Default) => true,
            (Self::Shared(one), Self::Shared(other)) => std::ptr::fn_addr_eq(*one, *other),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::MetricFactory;

    #[test]
    fn registry_without_collectors_is_empty() {
        let registry = Registry::new();
        assert!(RegistrySource::Own(registry.clone()).is_empty());
        MetricFactory::with(&registry).counter("rows_total", "Rows.").unwrap();
        assert!(!RegistrySource::Own(registry).is_empty());
    }
}
