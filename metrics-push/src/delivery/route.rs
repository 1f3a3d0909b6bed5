//! Route: a sink, and what has to be remembered on the way to it: its breaker, and the parcels that wait for it.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::breaker::Breaker;
use crate::sink::Sink;
use crate::spool::Spool;

/// The way to a sink. Clones are the same way.
#[derive(Clone, Debug)]
pub(crate) struct Route(Arc<Way>);

#[derive(Debug)]
struct Way {
    sink: Sink,
    /// `None`: whoever sends waits for the answer, and nothing is kept.
    memory: Option<Memory>,
}

#[derive(Debug)]
struct Memory {
    spool: Option<Spool>,
    breaker: Mutex<Breaker>,
    /// Whether parcels of other groups, or of earlier runs, may be waiting.
    is_drain_due: AtomicBool,
}

impl Route {
    /// For somebody who asks for each parcel, and is told what became of it.
    pub(crate) fn direct(sink: Sink) -> Self {
        Self(Arc::new(Way { sink, memory: None }))
    }

    /// For runs, which nobody waits for.
    pub(crate) fn remembering(sink: Sink, spool: Option<Spool>) -> Self {
        let memory =
            Memory { spool, breaker: Mutex::default(), is_drain_due: AtomicBool::new(true) };
        Self(Arc::new(Way { sink, memory: Some(memory) }))
    }

    /// What tells this route from others. Two may share a URL and differ in credentials, so it is no URL.
    pub(crate) fn id(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    pub(crate) fn sink(&self) -> &Sink {
        &self.0.sink
    }

    pub(crate) fn spool(&self) -> Option<&Spool> {
        self.0.memory.as_ref()?.spool.as_ref()
    }

    pub(crate) fn breaker(&self) -> Option<MutexGuard<'_, Breaker>> {
        let memory = self.0.memory.as_ref()?;
        Some(memory.breaker.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Remembers that something waits that nobody will ask for.
    pub(crate) fn expect_drain(&self) {
        if let Some(memory) = &self.0.memory {
            memory.is_drain_due.store(true, Ordering::Relaxed);
        }
    }

    /// Whether it is time to deliver what waits. Asked once the sink is known to be there; says so once.
    pub(crate) fn is_drain_due(&self) -> bool {
        let memory = self.0.memory.as_ref();
        memory.is_some_and(|memory| {
            memory.spool.is_some() && memory.is_drain_due.swap(false, Ordering::Relaxed)
        })
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sink().fmt(f)
    }
}
