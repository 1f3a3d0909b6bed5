//! Gathers registries on separate threads within a time limit, and detects calls from their collectors.
//!
//! Collectors are code of the program: they may block, loop, panic, exit, or wait for a lock that the caller holds. A
//! registry is locked while its collectors run, so a collector that registers a metric there deadlocks its thread. A
//! thread that does not finish within the time limit is left alone, and the number of such threads is limited.

use std::borrow::Cow;
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use prometheus::proto::MetricFamily;
use prometheus::{Registry, default_registry};

use crate::oneshot;
use crate::sync::Mutex;
use crate::unwind::catch_panic;

/// The maximum number of threads that gather after their time limit. Beyond it, no registry is gathered.
const MAX_OVERDUE: usize = 64;

/// A registry that is gathered.
#[derive(Clone)]
pub(crate) enum RegistrySource {
    /// The default registry of the `prometheus` crate.
    Default,
    /// A registry that many runs gather. The function is code of the program.
    Shared(fn() -> &'static Registry),
    /// A registry that one caller gathers.
    Own(Registry),
}

/// A thread that gathers after its time limit.
struct OverdueGathering {
    id: u64,
    source: RegistrySource,
}

static OVERDUE: Mutex<Vec<OverdueGathering>> = Mutex::new(Vec::new());

thread_local! {
    static GATHERING: Cell<bool> = const { Cell::new(false) };
}

/// Returns true if a collector of a registry runs on this thread. Registering a metric could deadlock it.
pub(crate) fn is_gathering() -> bool {
    GATHERING.get()
}

/// Gathers a registry. If that takes longer than `timeout`, it continues without the caller, and until it ends, the
/// registry is not gathered again if it is shared.
///
/// # Errors
/// The reason why there are no families.
pub(super) fn gather(
    source: &RegistrySource,
    timeout: Duration,
) -> Result<Vec<MetricFamily>, Cow<'static, str>> {
    static NEXT_ID: AtomicU64 = AtomicU64::new(0);

    if source.is_empty() {
        return Ok(Vec::new());
    }
    reject_overdue(source)?;
    let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
    let (sender, receiver) = oneshot::channel();
    let own = source.clone();
    let gather = move || {
        sender.send(gather_here(&own));
        OVERDUE.lock().retain(|overdue| overdue.id != id);
    };
    // Started by the caller, so that collectors have the caller's signal mask.
    let thread = thread::Builder::new().name("metrics-push-gather".into());
    thread.spawn(gather).map_err(|error| format!("no thread could be started: {error}"))?;
    if !receiver.wait_closed(timeout) {
        let mut overdue = OVERDUE.lock();
        // The thread closes the channel before it removes itself from the list.
        if !receiver.is_closed() {
            overdue.push(OverdueGathering { id, source: source.clone() });
            return Err(format!("a collector did not finish within {timeout:?}").into());
        }
    }
    let gathered = receiver.wait(Duration::ZERO).flatten();
    gathered.ok_or(Cow::Borrowed("a collector of the registry panicked"))
}

/// Returns an error if gathering would only block another thread.
fn reject_overdue(source: &RegistrySource) -> Result<(), Cow<'static, str>> {
    let overdue = OVERDUE.lock();
    if overdue.iter().any(|overdue| overdue.source.is_same_shared(source)) {
        return Err("a collector has not finished since an earlier run".into());
    }
    if overdue.len() >= MAX_OVERDUE {
        return Err(format!("{MAX_OVERDUE} collectors have not finished").into());
    }
    Ok(())
}

/// Gathers a registry on this thread. Returns `None` if a collector panicked.
fn gather_here(source: &RegistrySource) -> Option<Vec<MetricFamily>> {
    GATHERING.set(true);
    let gather = || match source {
        RegistrySource::Default => default_registry().gather(),
        RegistrySource::Shared(registry) => registry().gather(),
        RegistrySource::Own(registry) => registry.gather(),
    };
    catch_panic(gather)
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
