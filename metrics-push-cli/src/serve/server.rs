//! The HTTP server: accepts connections, limits them, and ends on a signal.
//!
//! A connection serves one request. All limits are at the top of this file, so that a slow or hostile client costs a
//! bounded amount of time and memory.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::hosts::AllowedHosts;
use super::routes::{PageResponse, not_ready, refuse, route};
use super::snapshot::Snapshots;
use crate::stop_signal::stopped;

/// The maximum number of open connections. More wait in the queue of the system.
const MAX_CONNECTIONS: u32 = 64;

/// The maximum size of a request's head, in bytes.
const MAX_HEAD_SIZE: usize = 16 << 10;

const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// The maximum duration of a connection, from its start to the end of the response.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a request waits for the first data.
const DATA_TIMEOUT: Duration = Duration::from_secs(30);

/// How long open connections may last after the signal.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// The pause after a failed accept, for example without free file descriptors.
const ACCEPT_RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// Serves until the process receives a signal.
///
/// # Errors
/// If the system provides no sockets or no signals.
pub(super) fn run(
    listener: std::net::TcpListener,
    snapshots: Snapshots,
    hosts: AllowedHosts,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let stopped = stopped()?;
        serve(TcpListener::from_std(listener)?, snapshots, hosts, stopped).await;
        Ok(())
    })
}

async fn serve(
    listener: TcpListener,
    snapshots: Snapshots,
    hosts: AllowedHosts,
    stopped: impl Future<Output = ()>,
) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS as usize));
    let accepting = tokio::spawn(accept(listener, Arc::clone(&permits), snapshots, hosts));
    stopped.await;
    accepting.abort();
    // Connections that last longer are closed.
    let _ = timeout(SHUTDOWN_TIMEOUT, permits.acquire_many(MAX_CONNECTIONS)).await;
}

/// Accepts connections. Each holds one of the permits.
async fn accept(
    listener: TcpListener,
    permits: Arc<Semaphore>,
    snapshots: Snapshots,
    hosts: AllowedHosts,
) {
    let hosts = Arc::new(hosts);
    while let Ok(permit) = Arc::clone(&permits).acquire_owned().await {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(ACCEPT_RETRY_INTERVAL).await;
            continue;
        };
        let connection = serve_connection(stream, snapshots.clone(), Arc::clone(&hosts));
        tokio::spawn(async move {
            // The connection is closed after the timeout.
            let _ = timeout(CONNECTION_TIMEOUT, connection).await;
            drop(permit);
        });
    }
}

async fn serve_connection(stream: TcpStream, snapshots: Snapshots, hosts: Arc<AllowedHosts>) {
    let Ok(local) = stream.local_addr() else { return };
    let service = service_fn(|request| {
        let (snapshots, hosts) = (snapshots.clone(), Arc::clone(&hosts));
        async move { Ok::<_, Infallible>(respond(request, snapshots, &hosts, local.ip()).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_SIZE)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // A client that has disconnected needs no response.
    let _ = connection.await;
}

/// Ignores the body of the request.
async fn respond(
    request: Request<Incoming>,
    mut snapshots: Snapshots,
    hosts: &AllowedHosts,
    local: IpAddr,
) -> PageResponse {
    let (head, _) = request.into_parts();
    if let Some(refused) = refuse(&head, hosts, local) {
        return refused;
    }
    match timeout(DATA_TIMEOUT, snapshots.wait_for(Option::is_some)).await {
        Ok(Ok(snapshot)) => {
            let snapshot = snapshot.clone();
            snapshot.map_or_else(not_ready, |snapshot| route(&head, &snapshot))
        }
        _ => not_ready(),
    }
}
