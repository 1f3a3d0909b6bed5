//! The state of a fake server, shared by all of its threads.
//!
//! One mutex guards everything and one condition variable reports every change, so that healing or dropping the server
//! takes effect immediately. This file opens no socket and starts no thread; `server.rs` does both.

use std::collections::{BTreeMap, VecDeque};
use std::net::{Shutdown, TcpStream};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::auth::RequiredAuth;
use super::fault::{Fault, FaultQueue};
use super::http::{HttpResponse, Request};
use super::service::Service;

/// Older requests are discarded, so that the memory of a long test stays bounded.
const MAX_RECORDED_REQUESTS: usize = 16 * 1024;

/// What the accepting thread must do with the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListenerCommand {
    Listen,
    Refuse,
    Stop,
}

/// What the accepting thread has done with the port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ListenerStatus {
    Listening,
    Closed,
    Failed(String),
}

/// Everything that changes while the server runs.
pub(super) struct ServerState<S> {
    pub(super) service: S,
    pub(super) faults: FaultQueue,
    pub(super) requests: VecDeque<Request>,
    pub(super) auth: RequiredAuth,
    pub(super) command: ListenerCommand,
    pub(super) status: ListenerStatus,
    /// Open connections by number.
    connections: BTreeMap<u64, TcpStream>,
    accepted_connections: u64,
    /// Responses that are prepared but not yet written to their connection.
    unsent_responses: usize,
    /// Incremented on every change that a thread may wait for.
    changes: u64,
    /// Incremented when active faults must end.
    heal_count: u64,
    /// Incremented when all connections are closed. Requests from earlier connections must not be stored.
    kill_count: u64,
    /// Whether any request has met a fault. Its sender may retry it after a pause of any length.
    has_failed_requests: bool,
}

/// The heal and kill counts when a fault started.
#[derive(Clone, Copy)]
pub(super) struct FaultStart {
    heal_count: u64,
    kill_count: u64,
}

impl FaultStart {
    const fn has_ended<S>(self, state: &ServerState<S>) -> bool {
        state.heal_count != self.heal_count || state.kill_count != self.kill_count
    }
}

/// What the connection must do with a request.
pub(super) enum Action {
    Respond(HttpResponse),
    Fail(Fault, FaultStart),
    /// The server closed all connections after the request was read.
    Close,
}

/// A registered connection.
#[derive(Clone, Copy)]
pub(super) struct ConnectionId {
    pub(super) number: u64,
    kill_count: u64,
}

/// The state with its lock.
pub(super) struct SharedState<S> {
    state: Mutex<ServerState<S>>,
    changed: Condvar,
}

impl<S> ServerState<S> {
    fn new(service: S) -> Self {
        Self {
            service,
            faults: FaultQueue::default(),
            requests: VecDeque::new(),
            auth: RequiredAuth::None,
            command: ListenerCommand::Listen,
            status: ListenerStatus::Listening,
            connections: BTreeMap::new(),
            accepted_connections: 0,
            unsent_responses: 0,
            changes: 0,
            heal_count: 0,
            kill_count: 0,
            has_failed_requests: false,
        }
    }
}

impl<S: Service> ServerState<S> {
    fn handle(&mut self, request: &Request) -> HttpResponse {
        if self.auth.accepts(request) {
            self.service.handle(request)
        } else {
            self.auth.challenge()
        }
    }
}

impl<S: Service> SharedState<S> {
    pub(super) fn new(service: S) -> Self {
        Self { state: Mutex::new(ServerState::new(service)), changed: Condvar::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, ServerState<S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn notify(&self, state: &mut ServerState<S>) {
        state.changes += 1;
        self.changed.notify_all();
    }

    pub(super) fn wait_while(
        &self,
        condition: impl Fn(&ServerState<S>) -> bool,
    ) -> MutexGuard<'_, ServerState<S>> {
        let state = self.lock();
        let state = self.changed.wait_while(state, |state| condition(state));
        state.unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the condition is met or the deadline has passed.
    fn wait_until(
        &self,
        deadline: Instant,
        condition: impl Fn(&ServerState<S>) -> bool,
    ) -> MutexGuard<'_, ServerState<S>> {
        let state = self.lock();
        let left = deadline.saturating_duration_since(Instant::now());
        let waited = self.changed.wait_timeout_while(state, left, |state| !condition(state));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// The number of changes so far, for [`wait_for_change`](Self::wait_for_change).
    pub(super) fn changes(&self) -> u64 {
        self.lock().changes
    }

    /// Waits for a change after `seen`. Returns `None` if there is none before the deadline.
    pub(super) fn wait_for_change(&self, seen: u64, deadline: Instant) -> Option<u64> {
        let state = self.wait_until(deadline, |state| state.changes != seen);
        (state.changes != seen).then_some(state.changes)
    }

    /// Waits until the condition is met. It is evaluated at once and after each change. Returns false if it is not met within
    /// the timeout.
    pub(super) fn wait_for(&self, timeout: Duration, condition: impl Fn() -> bool) -> bool {
        let deadline = Instant::now() + timeout;
        let mut seen = Some(self.changes());
        while !condition() {
            let Some(changes) = seen else { return false };
            seen = self.wait_for_change(changes, deadline);
        }
        true
    }

    /// Returns the recorded requests.
    pub(super) fn requests(&self) -> Vec<Request> {
        self.lock().requests.iter().cloned().collect()
    }

    /// Lists the recorded requests for a panic message, one per line.
    pub(super) fn list_requests(&self) -> String {
        let requests = self.requests();
        let line = |request: &Request| format!("  {} {}\n", request.method, request.path);
        let lines: String = requests.iter().map(line).collect();
        format!("requests received ({}):\n{lines}", requests.len())
    }

    /// Returns true if the server has failed a request or closed its port, so that senders may still retry.
    pub(super) fn has_failed(&self) -> bool {
        let state = self.lock();
        state.has_failed_requests || state.kill_count > 0
    }

    /// Waits until every prepared response has been written, or the timeout has passed.
    pub(super) fn wait_for_responses(&self, timeout: Duration) {
        drop(self.wait_until(Instant::now() + timeout, |state| state.unsent_responses == 0));
    }

    /// Removes all faults and ends the active ones.
    pub(super) fn heal(&self) {
        let mut state = self.lock();
        state.faults = FaultQueue::default();
        state.heal_count += 1;
        self.notify(&mut state);
    }

    /// Closes all connections and sets the command of the accepting thread.
    pub(super) fn kill_connections(&self, command: ListenerCommand) {
        let mut state = self.lock();
        state.command = command;
        state.kill_count += 1;
        for stream in state.connections.values() {
            // An error means that the connection is already closed.
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.notify(&mut state);
    }

    pub(super) fn set_command(&self, command: ListenerCommand) {
        let mut state = self.lock();
        state.command = command;
        self.notify(&mut state);
    }

    pub(super) fn set_status(&self, status: ListenerStatus) {
        let mut state = self.lock();
        state.status = status;
        self.notify(&mut state);
    }

    /// Registers an accepted connection. Returns `None` if the server has stopped listening.
    pub(super) fn register(&self, stream: TcpStream) -> Option<ConnectionId> {
        let mut state = self.lock();
        state.accepted_connections += 1;
        if state.command != ListenerCommand::Listen {
            return None;
        }
        let number = state.accepted_connections;
        state.connections.insert(number, stream);
        Some(ConnectionId { number, kill_count: state.kill_count })
    }

    /// Closes a connection and forgets it.
    pub(super) fn unregister(&self, connection: ConnectionId) {
        if let Some(stream) = self.lock().connections.remove(&connection.number) {
            // An error means that the connection is already closed.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Records a request, and handles it unless a fault applies to it.
    ///
    /// The caller must call [`finish_response`](Self::finish_response) after [`Action::Respond`].
    pub(super) fn receive(&self, request: &Request, connection: ConnectionId) -> Action {
        let mut state = self.lock();
        let kill_count = connection.kill_count;
        if state.kill_count != kill_count {
            return Action::Close;
        }
        if state.requests.len() == MAX_RECORDED_REQUESTS {
            state.requests.pop_front();
        }
        state.requests.push_back(request.clone());
        let action = match state.faults.take(request) {
            // The counts are read under the lock that records the request: a test that sees the request may heal at once.
            Some(fault) => {
                state.has_failed_requests = true;
                Action::Fail(fault, FaultStart { heal_count: state.heal_count, kill_count })
            }
            None => {
                state.unsent_responses += 1;
                Action::Respond(state.handle(request))
            }
        };
        self.notify(&mut state);
        action
    }

    /// Counts a response as written, or as impossible to write.
    pub(super) fn finish_response(&self) {
        let mut state = self.lock();
        state.unsent_responses -= 1;
        self.notify(&mut state);
    }

    /// Handles a request to which a fault applies. Returns `None` if the server closed all connections since.
    pub(super) fn handle_despite_fault(
        &self,
        request: &Request,
        start: FaultStart,
    ) -> Option<HttpResponse> {
        let mut state = self.lock();
        if state.kill_count != start.kill_count {
            return None;
        }
        let response = state.handle(request);
        self.notify(&mut state);
        Some(response)
    }

    /// Returns true if a fault that started then must end.
    pub(super) fn has_ended(&self, start: FaultStart) -> bool {
        start.has_ended(&self.lock())
    }

    /// Waits for the pause, or until the fault ends. Returns false if the fault ended first.
    pub(super) fn pause(&self, pause: Duration, start: FaultStart) -> bool {
        let deadline = Instant::now() + pause;
        !start.has_ended(&self.wait_until(deadline, |state| start.has_ended(state)))
    }

    /// Waits until the fault ends.
    pub(super) fn wait_for_end(&self, start: FaultStart) {
        drop(self.wait_while(|state| !start.has_ended(state)));
    }
}
