//! Direct: plain `http://` connections, with nothing between a request and its socket.
//!
//! A job's only push pays for each layer of a client that it is the first to pass: TLS, of which a plain URL has no need,
//! proxies, redirects, retries. None of them is here. One connection is opened ahead, while there is nothing to send yet,
//! and those that a reply has left open are used again.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::Full;
use hyper::Uri;
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::client::legacy::connect::HttpConnector;
use reqwest::header::{ACCEPT, CONTENT_LENGTH, HOST, HeaderMap, HeaderValue, USER_AGENT};
use reqwest::{Body, Method, Url};
use tokio::task::JoinHandle;
use tower_service::Service;

use super::reply::{Reply, broken, read_reply, timed_out, unconnected};
use super::{CONNECT_TIMEOUT, NAME};
use crate::clock::Moment;
use crate::error::Error;

/// How long a connection that nobody uses is trusted to be there: on the way may be what forgets it without a word.
const LONGEST_IDLE: Duration = Duration::from_secs(60);
/// How long what was sent may stay unacknowledged, as the client around it has it.
#[cfg(any(target_os = "linux", target_os = "android"))]
const LONGEST_UNHEARD: Duration = Duration::from_secs(30);
/// Probes find out about a peer that is gone.
const PROBES: (Duration, u32) = (Duration::from_secs(15), 3);

/// Whether this process has read a reply, or is prepared to.
static IS_READY_TO_READ: AtomicBool = AtomicBool::new(false);

type Connection = SendRequest<Full<Bytes>>;
type Connecting = JoinHandle<Result<Connection, Error>>;

/// The way to one server.
pub(super) struct Direct {
    server: Uri,
    host: HeaderValue,
    connector: HttpConnector,
    idle: Mutex<Vec<(Connection, Moment)>>,
    ahead: Mutex<Option<(Connecting, Moment)>>,
}

impl Direct {
    /// The way to a plain URL; `None`, if it is another.
    pub(super) fn new(base: &Url) -> Option<Self> {
        if base.scheme() != "http" {
            return None;
        }
        let host = base.host_str()?;
        let authority =
            base.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        connector.set_keepalive(Some(PROBES.0));
        connector.set_keepalive_interval(Some(PROBES.0));
        connector.set_keepalive_retries(Some(PROBES.1));
        #[cfg(any(target_os = "linux", target_os = "android"))]
        connector.set_tcp_user_timeout(Some(LONGEST_UNHEARD));
        Some(Self {
            server: format!("http://{authority}/").parse().ok()?,
            host: HeaderValue::try_from(authority).ok()?,
            connector,
            idle: Mutex::default(),
            ahead: Mutex::default(),
        })
    }

    /// Begins to open a connection that the first request will want.
    pub(super) fn open_ahead(&self) {
        let connecting = tokio::spawn(self.connect(CONNECT_TIMEOUT));
        *lock(&self.ahead) = Some((connecting, Moment::now()));
    }

    fn connect(&self, time: Duration) -> impl Future<Output = Result<Connection, Error>> + use<> {
        connect(self.connector.clone(), self.server.clone(), time)
    }

    /// A request for this server.
    ///
    /// # Errors
    /// `is_config`, if there can't be one.
    pub(super) fn request(
        &self,
        method: Method,
        path: &str,
        mut headers: HeaderMap,
        body: Vec<u8>,
    ) -> Result<hyper::Request<Full<Bytes>>, Error> {
        headers.entry(HOST).or_insert_with(|| self.host.clone());
        headers.entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(NAME));
        // Without a body there must still be a length: some servers store nothing otherwise.
        headers.insert(CONTENT_LENGTH, body.len().into());
        let mut request = hyper::Request::new(Full::from(body));
        *request.method_mut() = method;
        *request.uri_mut() = path
            .parse()
            .map_err(|error| Error::config("the request can't be made").caused_by(error))?;
        *request.headers_mut() = headers;
        Ok(request)
    }

    /// Sends a request and reads the reply, as much of it as is wanted.
    ///
    /// # Errors
    /// `is_unreachable` and `is_timeout` for the connection.
    pub(super) async fn send(
        &self,
        mut request: hyper::Request<Full<Bytes>>,
        limit: usize,
        until: Moment,
    ) -> Result<Reply, Error> {
        loop {
            let open = self.take_open(until).await?;
            let is_new = open.is_none();
            let mut connection = match open {
                Some(connection) => connection,
                None => self.connect(CONNECT_TIMEOUT.min(until.remaining())).await?,
            };
            if !IS_READY_TO_READ.swap(true, Ordering::Relaxed) {
                tokio::spawn(get_ready_to_read());
            }
            let sent = within(until, connection.try_send_request(request)).await;
            if sent.is_err() {
                // What lost this connection without a word has lost the others as well.
                lock(&self.idle).clear();
            }
            match sent? {
                Ok(response) => {
                    let reply = read_reply(response.map(Body::wrap).into(), limit, until).await?;
                    if reply.body.len() < limit {
                        self.keep(connection);
                    }
                    return Ok(reply);
                }
                Err(mut error) => match error.take_message() {
                    // It was closed before anything was sent.
                    Some(unsent) if !is_new => request = unsent,
                    Some(_) => return Err(broken(&error.into_error()).unsent()),
                    None => return Err(broken(&error.into_error())),
                },
            }
        }
    }

    /// A connection that is open, or about to be.
    async fn take_open(&self, until: Moment) -> Result<Option<Connection>, Error> {
        let ahead = lock(&self.ahead).take();
        if let Some((ahead, _)) = ahead.filter(|(_, since)| is_trusted(*since)) {
            let was_over = ahead.is_finished();
            match within(until, ahead).await.map_err(Error::unsent)? {
                Ok(Ok(connection)) => return Ok(Some(connection)),
                // What has just failed would fail again.
                Ok(Err(error)) if !was_over => return Err(error),
                _ => {}
            }
        }
        while let Some((connection, since)) = self.take_idle() {
            // One that isn't ready may never be: its server answered without reading, and reads no more.
            if is_trusted(since) && connection.is_ready() {
                return Ok(Some(connection));
            }
        }
        Ok(None)
    }

    fn take_idle(&self) -> Option<(Connection, Moment)> {
        lock(&self.idle).pop()
    }

    fn keep(&self, connection: Connection) {
        let mut idle = lock(&self.idle);
        idle.retain(|(_, since)| is_trusted(*since));
        idle.push((connection, Moment::now()));
    }
}

fn is_trusted(idle_since: Moment) -> bool {
    Moment::now().since(idle_since) < LONGEST_IDLE
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code of others runs under these locks.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn connect(
    mut connector: HttpConnector,
    server: Uri,
    time: Duration,
) -> Result<Connection, Error> {
    let until = Moment::now().after(time);
    let connected = within(until, connector.call(server)).await.map_err(Error::unsent)?;
    let stream = connected.map_err(|error| unconnected(&error))?;
    let opened = handshake(stream).await;
    let (connection, exchanges) = opened.map_err(|error| broken(&error).unsent())?;
    // What goes wrong there is told to whoever waits for a reply.
    tokio::spawn(async move { drop(exchanges.await) });
    Ok(connection)
}

/// Does what is slow the first time while the server is at work: the parser asks the processor what it is capable of, and
/// to a virtual one each question takes microseconds.
async fn get_ready_to_read() {
    // The request leaves first.
    tokio::task::yield_now().await;
    let mut headers = [httparse::EMPTY_HEADER];
    let _ = httparse::Response::new(&mut headers).parse(b"HTTP/1.1 200 OK\r\nServer: none\r\n\r\n");
}

/// The outcome, if it comes in time.
pub(super) async fn within<F: Future>(until: Moment, future: F) -> Result<F::Output, Error> {
    tokio::time::timeout(until.remaining(), future).await.map_err(|_| timed_out())
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::net::TcpListener;
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    /// Answers so many requests on each connection and closes it without a word. Tells of each connection.
    fn server(requests: usize) -> (Direct, Receiver<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (tell, told) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.unwrap());
                if tell.send(()).is_err() {
                    break;
                }
                for _ in 0..requests {
                    let ends = |line: &std::io::Result<String>| line.as_ref().unwrap().is_empty();
                    if stream.by_ref().lines().find(ends).is_none() {
                        break;
                    }
                    let reply = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                    stream.get_mut().write_all(reply).unwrap();
                }
            }
        });
        (Direct::new(&base.parse().unwrap()).unwrap(), told)
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(future)
    }

    async fn get(direct: &Direct) -> String {
        let request = direct.request(Method::GET, "/", HeaderMap::new(), Vec::new()).unwrap();
        let until = Moment::now().after(Duration::from_secs(60));
        direct.send(request, 1_024, until).await.unwrap().body
    }

    #[test]
    fn what_is_opened_ahead_is_used_and_used_again() {
        let (direct, connections) = server(usize::MAX);
        run(async {
            direct.open_ahead();
            for _ in 0..3 {
                assert_eq!(get(&direct).await, "ok");
            }
        });
        assert_eq!(connections.try_iter().count(), 1);
    }

    #[test]
    fn what_was_closed_meanwhile_is_opened_anew() {
        let (direct, connections) = server(1);
        run(async {
            for _ in 0..3 {
                assert_eq!(get(&direct).await, "ok");
                // Until its end has been seen.
                while direct.idle.lock().unwrap().iter().any(|(open, _)| !open.is_closed()) {
                    tokio::task::yield_now().await;
                }
            }
        });
        assert_eq!(connections.try_iter().count(), 3);
    }

    #[test]
    fn a_server_that_answers_without_reading_keeps_nobody_waiting() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let mut open = Vec::new();
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.unwrap());
                while stream.by_ref().lines().next().is_some_and(|line| !line.unwrap().is_empty()) {
                }
                let reply = b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno";
                stream.get_mut().write_all(reply).unwrap();
                open.push(stream);
            }
        });
        let direct = Direct::new(&base.parse().unwrap()).unwrap();
        // More than sockets hold.
        let body = vec![b'x'; 32 << 20];
        run(async {
            for _ in 0..2 {
                let body = body.clone();
                let request = direct.request(Method::PUT, "/", HeaderMap::new(), body).unwrap();
                let until = Moment::now().after(Duration::from_secs(60));
                let sent =
                    tokio::time::timeout(Duration::from_secs(120), direct.send(request, 9, until));
                assert_eq!(sent.await.expect("bounded").unwrap().body, "no");
            }
        });
    }

    #[test]
    fn only_plain_urls_are_gone_to_directly() {
        let is_direct = |base: &str| Direct::new(&base.parse().unwrap()).is_some();
        assert!(is_direct("http://[::1]:9091/prefix") && !is_direct("https://gateway"));
    }
}
