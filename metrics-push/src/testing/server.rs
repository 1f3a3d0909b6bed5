//! The threads and sockets of a fake server: one thread accepts, and each connection has a thread.
//!
//! This file uses sockets directly, without an HTTP library, because the faults need it: a response is sent byte by byte
//! or cut off, and the port is closed and reopened. Dropping the server joins every thread.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::connection::serve;
use super::http::HttpStream;
use super::reserved_port::ReservedPort;
use super::service::Service;
use super::state::{ListenerCommand, ListenerStatus, SharedState};

/// How long to retry when another process uses the port that must be reopened.
const REBIND_TIMEOUT: Duration = Duration::from_secs(5);

/// How long dropping the server waits for responses that are not yet written.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the connection that wakes the accepting thread may take.
const WAKE_TIMEOUT: Duration = Duration::from_secs(1);

/// The pause before another attempt to accept a connection or to open the port.
const RETRY_INTERVAL: Duration = Duration::from_millis(10);

/// A running server.
pub(super) struct HttpServer<S: Service> {
    shared: Arc<SharedState<S>>,
    port: Arc<ReservedPort>,
    acceptor: Option<JoinHandle<()>>,
}

impl<S: Service> HttpServer<S> {
    pub(super) fn start(port: u16, service: S) -> io::Result<Self> {
        let port = Arc::new(ReservedPort::new(port)?);
        let listener = port.listen()?;
        let shared = Arc::new(SharedState::new(service));
        let (state, reserved) = (Arc::clone(&shared), Arc::clone(&port));
        let acceptor = thread::Builder::new()
            .name("fake-server".into())
            .spawn(move || accept_connections(&state, &reserved, listener))?;
        Ok(Self { shared, port, acceptor: Some(acceptor) })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.port.address()
    }

    pub(super) fn shared(&self) -> &SharedState<S> {
        &self.shared
    }

    /// Closes the port and all connections. When this returns, connections are refused.
    pub(super) fn refuse(&self) {
        self.close(ListenerCommand::Refuse);
        drop(self.shared.wait_while(|state| state.status == ListenerStatus::Listening));
    }

    /// Opens the port again, or returns why that failed.
    pub(super) fn listen(&self) -> Result<(), String> {
        self.shared.set_command(ListenerCommand::Listen);
        match &self.shared.wait_while(|state| state.status == ListenerStatus::Closed).status {
            ListenerStatus::Failed(why) => Err(why.clone()),
            ListenerStatus::Listening | ListenerStatus::Closed => Ok(()),
        }
    }

    fn close(&self, command: ListenerCommand) {
        self.shared.kill_connections(command);
        // Connecting wakes the accepting thread. It fails if that thread has stopped listening.
        let _ = TcpStream::connect_timeout(&self.address(), WAKE_TIMEOUT);
    }
}

impl<S: Service> Drop for HttpServer<S> {
    fn drop(&mut self) {
        // A test may drop the server as soon as it sees a push; the client must still get its response.
        self.shared.wait_for_responses(RESPONSE_TIMEOUT);
        self.close(ListenerCommand::Stop);
        if let Some(acceptor) = self.acceptor.take() {
            // A panic of that thread is already printed, and a second one in `drop` would abort the test.
            let _ = acceptor.join();
        }
    }
}

fn accept_connections<S: Service>(
    shared: &Arc<SharedState<S>>,
    port: &ReservedPort,
    listener: TcpListener,
) {
    let mut listener = Some(listener);
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    while let Some(open) = &listener {
        let accepted = open.accept();
        threads.retain(|thread| !thread.is_finished());
        let command = shared.lock().command;
        match (command, accepted) {
            (ListenerCommand::Stop, _) => break,
            (ListenerCommand::Refuse, _) => {
                drop(listener.take());
                listener = reopen(shared, port);
            }
            (ListenerCommand::Listen, Ok((stream, _))) => threads.extend(spawn(shared, stream)),
            // The process has probably run out of file descriptors: wait until other connections end.
            (ListenerCommand::Listen, Err(_)) => thread::sleep(RETRY_INTERVAL),
        }
    }
    drop(listener);
    for thread in threads {
        // A panic of that thread is already printed.
        let _ = thread.join();
    }
}

/// Waits until the port must be opened again. Returns `None` if the server is dropped or the port is taken.
fn reopen<S: Service>(shared: &SharedState<S>, port: &ReservedPort) -> Option<TcpListener> {
    shared.set_status(ListenerStatus::Closed);
    let command = shared.wait_while(|state| state.command == ListenerCommand::Refuse).command;
    if command == ListenerCommand::Stop {
        return None;
    }
    let deadline = Instant::now() + REBIND_TIMEOUT;
    let bound = loop {
        match port.listen() {
            Err(_) if Instant::now() < deadline => thread::sleep(RETRY_INTERVAL),
            bound => break bound,
        }
    };
    shared.set_status(match &bound {
        Ok(_) => ListenerStatus::Listening,
        Err(why) => ListenerStatus::Failed(why.to_string()),
    });
    bound.ok()
}

/// Starts the thread of a connection. Returns `None` if the connection is closed instead.
fn spawn<S: Service>(shared: &Arc<SharedState<S>>, stream: TcpStream) -> Option<JoinHandle<()>> {
    // Without it, small responses are delayed but still correct.
    let _ = stream.set_nodelay(true);
    let connection = shared.register(stream.try_clone().ok()?)?;
    let number = connection.number;
    let shared = Arc::clone(shared);
    let run = move || {
        serve(&shared, &mut HttpStream::new(stream, number), connection);
        shared.unregister(connection);
    };
    thread::Builder::new().name(format!("fake-server-{number}")).spawn(run).ok()
}
