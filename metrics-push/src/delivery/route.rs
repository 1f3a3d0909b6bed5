//! `Route`: a sink, its circuit breaker and its spool.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard};

use super::breaker::Breaker;
use crate::sink::Sink;
use crate::spool::Spool;
use crate::sync::Mutex;

/// Where requests are delivered. Clones share one state.
#[derive(Clone, Debug)]
pub(crate) struct Route(Arc<RouteState>);

#[derive(Debug)]
struct RouteState {
    sink: Sink,
    /// `None` on a direct route.
    memory: Option<Memory>,
}

#[derive(Debug)]
struct Memory {
    spool: Option<Spool>,
    breaker: Mutex<Breaker>,
    /// Set while requests of other groups or earlier processes may be spooled.
    needs_drain: AtomicBool,
}

impl Route {
    /// A route for callers that wait for the result of each request: it has no breaker and no spool.
    pub(crate) fn direct(sink: Sink) -> Self {
        Self(Arc::new(RouteState { sink, memory: None }))
    }

    /// A route for the outcomes of runs.
    pub(crate) fn buffered(sink: Sink, spool: Option<Spool>) -> Self {
        let memory =
            Memory { spool, breaker: Mutex::default(), needs_drain: AtomicBool::new(true) };
        Self(Arc::new(RouteState { sink, memory: Some(memory) }))
    }

    /// Returns a number that no other route of this process has. The URL is not unique: two routes may differ only in
    /// their credentials.
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
        Some(self.0.memory.as_ref()?.breaker.lock())
    }

    /// Requests that the spool is drained once the sink is reachable.
    pub(crate) fn request_drain(&self) {
        if let Some(memory) = &self.0.memory {
            memory.needs_drain.store(true, Ordering::Relaxed);
        }
    }

    /// Returns true once after each [`request_drain`](Self::request_drain), and once after the route is created.
    pub(crate) fn take_drain_request(&self) -> bool {
        let memory = self.0.memory.as_ref();
        memory.is_some_and(|memory| {
            memory.spool.is_some() && memory.needs_drain.swap(false, Ordering::Relaxed)
        })
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sink().fmt(f)
    }
}
