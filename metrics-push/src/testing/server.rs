//! The threads and sockets of a fake gateway: one thread that accepts, one per connection.
//!
//! All state is behind one lock, and whatever waits does so on one condition, so that healing and
//! dropping take effect at once. Dropping ends every thread before it returns.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use super::auth::Access;
use super::connection::talk;
use super::fault::{Fault, Script};
use super::http::{Request, Response, Wire};
use super::routes::{Flags, answer};
use super::store::Store;

/// How many requests are remembered; older ones are forgotten, or a long test would eat all memory.
pub(super) const REMEMBERED_REQUESTS: usize = 16 * 1024;

/// How long the port may be in other hands when connections are to be accepted again.
const REBIND_PATIENCE: Duration = Duration::from_secs(5);

/// How long dropping waits for answers that are on their way.
const ANSWER_PATIENCE: Duration = Duration::from_secs(1);

/// What the accepting thread is to do with its port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Wanted {
    #[default]
    Listening,
    Refusing,
    Closed,
}

/// What it has done about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Port {
    #[default]
    Open,
    Closed,
    Lost(String),
}

/// Everything that changes.
#[derive(Default)]
pub(super) struct State {
    pub(super) store: Store,
    pub(super) script: Script,
    pub(super) requests: VecDeque<Request>,
    pub(super) access: Access,
    /// Goes up whenever something happens that somebody may wait for.
    changes: u64,
    /// Goes up when pending faults are to end.
    healings: u64,
    /// Goes up whenever all connections are cut: what belongs to an earlier life is not stored.
    life: u64,
    wanted: Wanted,
    port: Port,
    connections: BTreeMap<u64, TcpStream>,
    accepted: u64,
    /// How many answers are on their way.
    answering: usize,
}

pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    flags: Flags,
    started: SystemTime,
}

/// When a fault began, counted in healings and lives.
#[derive(Clone, Copy)]
pub(super) struct Since {
    healings: u64,
    life: u64,
}

impl Since {
    const fn is_over(self, state: &State) -> bool {
        state.healings != self.healings || state.life != self.life
    }
}

/// What is to become of a request.
pub(super) enum Received {
    Answered(Response),
    Failing(Fault, Since),
    /// The gateway was killed between its last byte and now.
    Lost,
}

/// A running server.
pub(super) struct Server {
    shared: Arc<Shared>,
    address: SocketAddr,
    acceptor: Option<JoinHandle<()>>,
}

impl Server {
    pub(super) fn start(port: u16, flags: Flags) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", port))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            flags,
            started: SystemTime::now(),
        });
        let accepting = Arc::clone(&shared);
        let acceptor = thread::Builder::new()
            .name("fake-gateway".into())
            .spawn(move || accept_all(&accepting, address, listener))?;
        Ok(Self { shared, address, acceptor: Some(acceptor) })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn flags(&self) -> &Flags {
        &self.shared.flags
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
    }

    /// Ends pending faults.
    pub(super) fn heal(&self) {
        let mut state = self.shared.lock();
        state.script = Script::default();
        state.healings += 1;
        self.shared.note(&mut state);
    }

    /// Closes the port and all connections; afterwards, connecting fails.
    pub(super) fn refuse(&self) {
        self.turn(Wanted::Refusing);
        drop(self.shared.wait_while(|state| state.port == Port::Open));
    }

    /// Opens the port again, or says why it can't be had.
    pub(super) fn accept(&self) -> Result<(), String> {
        let mut state = self.shared.lock();
        state.wanted = Wanted::Listening;
        self.shared.note(&mut state);
        drop(state);
        match &self.shared.wait_while(|state| state.port == Port::Closed).port {
            Port::Lost(why) => Err(why.clone()),
            Port::Open | Port::Closed => Ok(()),
        }
    }

    /// Waits for a change after `seen`; `None` if there is none in time.
    pub(super) fn wait_for_change(&self, seen: u64, deadline: Instant) -> Option<u64> {
        let state = self.shared.wait_until(deadline, |state| state.changes != seen);
        (state.changes != seen).then_some(state.changes)
    }

    pub(super) fn changes(&self) -> u64 {
        self.shared.lock().changes
    }

    fn turn(&self, wanted: Wanted) {
        let mut state = self.shared.lock();
        state.wanted = wanted;
        state.life += 1;
        for stream in state.connections.values() {
            // One that is closed already needs no closing.
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.shared.note(&mut state);
        drop(state);
        // Wakes the accepting thread; if it is awake or gone, there is nobody to connect to.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A test that has seen a push arrive may end at once; whoever pushed is to know, too.
        let deadline = Instant::now() + ANSWER_PATIENCE;
        drop(self.shared.wait_until(deadline, |state| state.answering == 0));
        self.turn(Wanted::Closed);
        if let Some(acceptor) = self.acceptor.take() {
            // A panic in there has been printed, and is no reason for another one here.
            let _ = acceptor.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, state: &mut State) {
        state.changes += 1;
        self.changed.notify_all();
    }

    fn wait_while(&self, holds: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let state = self.lock();
        self.changed.wait_while(state, |state| holds(state)).unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_until(
        &self,
        deadline: Instant,
        holds: impl Fn(&State) -> bool,
    ) -> MutexGuard<'_, State> {
        let state = self.lock();
        let left = deadline.saturating_duration_since(Instant::now());
        let waited = self.changed.wait_timeout_while(state, left, |state| !holds(state));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Whether a fault that came at that time is to end.
    pub(super) fn is_over(&self, since: Since) -> bool {
        since.is_over(&self.lock())
    }

    /// Waits that long, or without end; `false` if the fault is to end before that.
    pub(super) fn pause(&self, pause: Option<Duration>, since: Since) -> bool {
        match pause {
            Some(pause) => {
                let deadline = Instant::now() + pause;
                !since.is_over(&self.wait_until(deadline, |state| since.is_over(state)))
            }
            None => {
                drop(self.wait_while(|state| !since.is_over(state)));
                false
            }
        }
    }

    /// Records a request, and answers it unless there is a fault for it.
    pub(super) fn receive(&self, request: &Request, life: u64) -> Received {
        let mut state = self.lock();
        if state.life != life {
            return Received::Lost;
        }
        if state.requests.len() == REMEMBERED_REQUESTS {
            state.requests.pop_front();
        }
        state.requests.push_back(request.clone());
        let received = match state.script.take(request) {
            // Counted here and not later: whoever sees the request may heal at once.
            Some(fault) => Received::Failing(fault, Since { healings: state.healings, life }),
            None => {
                state.answering += 1;
                Received::Answered(self.admit(&mut state, request))
            }
        };
        self.note(&mut state);
        received
    }

    /// An answer has left, or can't.
    pub(super) fn answered(&self) {
        let mut state = self.lock();
        state.answering -= 1;
        self.note(&mut state);
    }

    /// Does what the request asks for.
    fn admit(&self, state: &mut State, request: &Request) -> Response {
        if state.access.admits(request) {
            answer(request, &mut state.store, &self.flags, self.started)
        } else {
            state.access.challenge()
        }
    }

    /// Does it in spite of a fault; none if the gateway was killed meanwhile.
    pub(super) fn store_now(&self, request: &Request, since: Since) -> Option<Response> {
        let mut state = self.lock();
        if state.life != since.life {
            return None;
        }
        let response = self.admit(&mut state, request);
        self.note(&mut state);
        Some(response)
    }
}

fn accept_all(shared: &Arc<Shared>, address: SocketAddr, listener: TcpListener) {
    let mut listener = Some(listener);
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    while let Some(open) = &listener {
        let accepted = open.accept();
        threads.retain(|thread| !thread.is_finished());
        let wanted = shared.lock().wanted;
        match (wanted, accepted) {
            (Wanted::Closed, _) => break,
            (Wanted::Refusing, _) => {
                drop(listener.take());
                listener = reopen(shared, address);
            }
            (Wanted::Listening, Ok((stream, _))) => threads.extend(serve(shared, stream)),
            // No more file descriptors, most likely: others have to end first.
            (Wanted::Listening, Err(_)) => thread::sleep(Duration::from_millis(10)),
        }
    }
    drop(listener);
    for thread in threads {
        // A panic in there has been printed.
        let _ = thread.join();
    }
}

/// Waits until connections are wanted again; `None` if the gateway is dropped or the port is lost.
fn reopen(shared: &Shared, address: SocketAddr) -> Option<TcpListener> {
    let mut state = shared.lock();
    state.port = Port::Closed;
    shared.note(&mut state);
    drop(state);
    let wanted = shared.wait_while(|state| state.wanted == Wanted::Refusing).wanted;
    if wanted == Wanted::Closed {
        return None;
    }
    let deadline = Instant::now() + REBIND_PATIENCE;
    let bound = loop {
        match TcpListener::bind(address) {
            Err(_) if Instant::now() < deadline => thread::sleep(Duration::from_millis(10)),
            bound => break bound,
        }
    };
    let mut state = shared.lock();
    state.port = match &bound {
        Ok(_) => Port::Open,
        Err(why) => Port::Lost(why.to_string()),
    };
    shared.note(&mut state);
    bound.ok()
}

fn serve(shared: &Arc<Shared>, stream: TcpStream) -> Option<JoinHandle<()>> {
    // Small answers are not to wait for more; where that can't be had, they are just slower.
    let _ = stream.set_nodelay(true);
    let registered = stream.try_clone().ok()?;
    let mut state = shared.lock();
    state.accepted += 1;
    let number = state.accepted;
    if state.wanted != Wanted::Listening {
        return None;
    }
    let life = state.life;
    state.connections.insert(number, registered);
    drop(state);
    let shared = Arc::clone(shared);
    let talk = move || {
        talk(&shared, &mut Wire::new(stream, number), life);
        if let Some(stream) = shared.lock().connections.remove(&number) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    };
    thread::Builder::new().name(format!("fake-gateway-{number}")).spawn(talk).ok()
}
