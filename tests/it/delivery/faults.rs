//! The fault matrix: every way in which a gateway, or another server at its address, can fail a push.
//!
//! For each fault, a push returns an error of the right kind in time, and a run returns its result in time. Its outcome is
//! spooled, and delivered once the gateway works again.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use metrics_push::Acceptance::{Applied, Queued};
use metrics_push::prometheus::{Counter, Registry};
use metrics_push::testing::{FakeGateway, Fault};
use metrics_push::{Config, Error, Job, Pusher};

use super::{SHORT_TIMEOUT, SLACK, TIMEOUT, value};
use crate::raw_tcp::{FullBacklog, RawServer};
use crate::temp_dir::TempDir;

/// A server at the gateway's address, or none.
enum Peer {
    /// A gateway with a fault in every push.
    Fault(Fault),
    /// A gateway without TLS, at an `https` URL.
    WithoutTls,
    /// No server.
    Gone,
    /// A server that handles each connection with this function.
    Raw(fn(TcpStream) -> Option<TcpStream>),
    /// Like `Raw`, with pushes that do not fit in the socket buffers.
    Unread(fn(TcpStream) -> Option<TcpStream>),
    /// A listener with a full backlog, which accepts no connection.
    Full,
}

/// The kind of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ErrorKind {
    Unreachable,
    Timeout,
    Config,
    /// Retried.
    Transient(u16),
    /// Not retried.
    Rejected(u16),
}

impl ErrorKind {
    fn from_error(error: &Error) -> Self {
        let kinds = [
            (error.is_unreachable(), Self::Unreachable),
            (error.is_timeout(), Self::Timeout),
            (error.is_config(), Self::Config),
            (error.is_rejected(), Self::Rejected(error.status().unwrap_or(0))),
        ];
        let found: Vec<_> = kinds.into_iter().filter(|(is, _)| *is).map(|(_, kind)| kind).collect();
        match &found[..] {
            [] if error.is_retryable() => Self::Transient(error.status().unwrap_or(0)),
            [kind] => *kind,
            kinds => panic!("{kinds:?}: {error:?}"),
        }
    }
}

use ErrorKind::{Config as Configuration, Rejected, Timeout, Transient, Unreachable};
use Peer::{Full, Gone, Raw, Unread, WithoutTls};

type Row = (&'static str, Peer, ErrorKind);

fn status(status: u16) -> Fault {
    Fault::status(status)
}

fn connections() -> Vec<Row> {
    let fault = Peer::Fault;
    let long = Duration::from_secs(60);
    vec![
        ("connection refused", Gone, Unreachable),
        ("hang on connect", Full, Timeout),
        ("hang on response", fault(Fault::hang()), Timeout),
        ("hang on response, applied later", fault(Fault::stall(long)), Timeout),
        ("slow drip response", fault(Fault::drip(Duration::from_millis(100))), Timeout),
        ("slow accept of body", Unread(Some), Timeout),
        ("reset mid-body", Unread(read_some_and_reset), Unreachable),
        ("close without response", fault(Fault::close()), Unreachable),
        ("close without response, applied", fault(Fault::close().after_storing()), Unreachable),
        ("cut off in the head", fault(Fault::cut_off(10)), Unreachable),
        ("another protocol", Raw(respond_like_a_mail_server), Unreachable),
        ("plain HTTP to a TLS server", Raw(respond_with_a_tls_alert), Unreachable),
        ("TLS to a server without TLS", WithoutTls, Configuration),
        ("body shorter than its length", Raw(respond_with_a_truncated_body), Timeout),
    ]
}

fn statuses() -> Vec<Row> {
    let malformed = status(400).body("text format parsing error in line 1: invalid metric name\n");
    let inconsistent =
        "pushed metrics are invalid or inconsistent with existing metrics: collected metric \"x\"";
    let mut rows = vec![
        ("400 malformed", malformed, Rejected(400)),
        ("400 inconsistent", status(400).body(inconsistent), Rejected(400)),
        (
            "400 plain text to Go's TLS",
            status(400).body("Client sent an HTTP request to an HTTPS server.\n"),
            Configuration,
        ),
        (
            "400 plain text to nginx' TLS",
            status(400).body("<center>The plain HTTP request was sent to HTTPS port</center>"),
            Configuration,
        ),
        ("401", status(401), Configuration),
        ("403", status(403), Configuration),
        ("404", status(404), Configuration),
        ("405", status(405), Configuration),
        ("407", status(407), Configuration),
        ("409", status(409), Rejected(409)),
        ("413", status(413), Rejected(413)),
        ("422", status(422), Rejected(422)),
        ("429 with a long Retry-After", status(429).header("Retry-After", "3600"), Transient(429)),
        (
            "503 with Retry-After in the far future",
            status(503).header("Retry-After", "Fri, 31 Dec 9999 23:59:59 GMT"),
            Transient(503),
        ),
        ("200 from a captive portal", status(200).body("<html>log in</html>"), Configuration),
        ("200 with a huge body", status(200).body(vec![b'x'; 1_000_000]), Configuration),
        ("200 with an endless body", Fault::endless(), Configuration),
        ("400 with a huge body", status(400).body(vec![b'x'; 1_000_000]), Rejected(400)),
    ];
    for transient in [408, 425, 429, 500, 501, 502, 503, 504, 507, 599] {
        let name = "408, 425, 429 and 5xx";
        rows.push((name, status(transient), Transient(transient)));
    }
    for redirect in [301, 302, 303, 307, 308] {
        let fault = Fault::redirect(redirect, "http://elsewhere/metrics");
        rows.push(("301, 302, 303, 307 and 308", fault, Configuration));
    }
    rows.into_iter().map(|(name, fault, kind)| (name, Peer::Fault(fault), kind)).collect()
}

/// Rows run in parallel, because many of them wait for a timeout.
const PARALLEL_ROWS: usize = 16;

fn check_all(rows: Vec<Row>) {
    let rows = Mutex::new(rows.into_iter());
    std::thread::scope(|scope| {
        for _ in 0..PARALLEL_ROWS {
            scope.spawn(|| {
                while let Some(row) = { rows.lock().unwrap().next() } {
                    check(row);
                }
            });
        }
    });
}

fn check((name, peer, kind): Row) {
    let registry = if matches!(peer, Unread(_)) { large } else { small };
    // Only some kinds need the whole timeout.
    let timeout = if matches!(kind, Configuration | Rejected(_)) { TIMEOUT } else { SHORT_TIMEOUT };
    let server = TestServer::start(peer);
    let url = server.url.clone();
    let pusher = Pusher::new(&url, "direct")
        .unwrap()
        .gatherer(registry())
        .map_gateway(|gateway| gateway.timeout(timeout));
    let error = in_time(name, || pusher.push().unwrap_err());
    assert_eq!(ErrorKind::from_error(&error), kind, "{name}: {error:?}");
    let shown = error.to_string();
    assert!(shown.contains(&url) && shown.contains(r#"{job="direct"}"#), "{name}: {shown}");
    if name.starts_with("301") {
        assert!(shown.contains("location: http://elsewhere/metrics"), "{name}: {shown}");
    }

    let state = TempDir::new();
    let config = Config::default().url(&url).unwrap().timeout(timeout);
    let _scope = config.state_dir(state.path()).scope().unwrap();
    let result: Result<u8, &str> = in_time(name, || {
        Job::new("faulty").registry(registry).whole_process().run(|_| Err("its result"))
    });
    assert_eq!(result, Err("its result"), "{name}");
    assert_eq!(state.records().len(), 1, "{name}");

    let is_reachable_later = url.starts_with("http:");
    let gateway = server.heal();
    if is_reachable_later {
        assert_eq!(metrics_push::recover(TIMEOUT).delivered, 1, "{name}");
        assert!(state.records().is_empty(), "{name}");
        assert_eq!(value(&gateway.group("faulty", &[]), "last_run_success"), Some(0.0), "{name}");
    }
}

fn in_time<T>(name: &str, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let result = work();
    assert!(started.elapsed() < SHORT_TIMEOUT + SLACK, "{name} took {:?}", started.elapsed());
    result
}

fn registry(help: String) -> Registry {
    let registry = Registry::new();
    registry.register(Box::new(Counter::new("rows_total", help).unwrap())).unwrap();
    registry
}

fn small() -> &'static Registry {
    static SMALL: OnceLock<Registry> = OnceLock::new();
    SMALL.get_or_init(|| registry("Rows.".into()))
}

fn large() -> &'static Registry {
    static LARGE: OnceLock<Registry> = OnceLock::new();
    LARGE.get_or_init(|| registry("x".repeat(8 * 1024 * 1024)))
}

/// A running [`Peer`].
struct TestServer {
    url: String,
    kind: ServerKind,
}

enum ServerKind {
    Gateway(FakeGateway),
    Raw(RawServer),
    Full(FullBacklog),
}

impl TestServer {
    fn start(peer: Peer) -> Self {
        let gateway = |prepare: &dyn Fn(&FakeGateway)| {
            let gateway = FakeGateway::start();
            prepare(&gateway);
            (gateway.url(), ServerKind::Gateway(gateway))
        };
        let raw = |serve| {
            let server = RawServer::start(serve);
            (server.url(), ServerKind::Raw(server))
        };
        let (url, kind) = match peer {
            Peer::Fault(fault) => gateway(&|gateway| gateway.fault(fault.clone())),
            Gone => gateway(&FakeGateway::refuse_connections),
            WithoutTls => {
                let (url, kind) = gateway(&|_| {});
                (url.replace("http:", "https:"), kind)
            }
            Raw(serve) | Unread(serve) => raw(serve),
            Full => {
                let backlog = FullBacklog::start();
                (format!("http://{}", backlog.address()), ServerKind::Full(backlog))
            }
        };
        Self { url, kind }
    }

    /// Starts a gateway without faults at the same address.
    fn heal(self) -> FakeGateway {
        let port = match self.kind {
            ServerKind::Gateway(gateway) => {
                gateway.heal();
                gateway.accept_connections();
                return gateway;
            }
            ServerKind::Raw(server) => server.address().port(),
            ServerKind::Full(backlog) => backlog.address().port(),
        };
        FakeGateway::builder().port(port).start()
    }
}

fn read_some(stream: &mut TcpStream) {
    let _ = stream.read(&mut [0; 4096]);
}

/// Closing a socket with unread data resets the connection.
fn read_some_and_reset(mut stream: TcpStream) -> Option<TcpStream> {
    read_some(&mut stream);
    None
}

fn respond_like_a_mail_server(mut stream: TcpStream) -> Option<TcpStream> {
    read_some(&mut stream);
    let _ = stream.write_all(b"220 mail.example ESMTP\r\n");
    Some(stream)
}

fn respond_with_a_tls_alert(mut stream: TcpStream) -> Option<TcpStream> {
    read_some(&mut stream);
    let _ = stream.write_all(&[0x15, 3, 1, 0, 2, 2, 22]);
    None
}

fn respond_with_a_truncated_body(mut stream: TcpStream) -> Option<TcpStream> {
    read_some(&mut stream);
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nthis");
    Some(stream)
}

#[test]
fn connection_fault_has_its_error_kind_and_loses_nothing() {
    check_all(connections());
}

#[test]
fn error_status_has_its_error_kind_and_loses_nothing() {
    check_all(statuses());
}

#[test]
fn unusual_responses_count_as_success() {
    type Serve = fn(TcpStream) -> Option<TcpStream>;
    let raw: [(&str, Serve); 2] = [
        ("HTTP/1.0, body until the connection ends", |mut stream| {
            read_some(&mut stream);
            let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n");
            None
        }),
        ("after an interim response", |mut stream| {
            read_some(&mut stream);
            let response =
                b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
            let _ = stream.write_all(response);
            None
        }),
    ];
    for (name, serve) in raw {
        let server = RawServer::start(serve);
        let pusher = Pusher::new(server.url(), "direct").unwrap().gatherer(small());
        let acceptance = pusher.map_gateway(|gateway| gateway.timeout(TIMEOUT)).push();
        assert_eq!(acceptance.unwrap(), Applied, "{name}");
    }
    let mut faults = vec![("slow accept", Fault::stall(Duration::from_millis(300)), Applied)];
    for (name, success) in [("201", 201), ("202", 202), ("204", 204), ("206", 206), ("299", 299)] {
        faults.push((name, status(success).after_storing(), Queued));
    }
    for (name, fault, acceptance) in faults {
        let (gateway, state) = (FakeGateway::start(), TempDir::new());
        gateway.fault(fault);
        assert_eq!(super::pusher(&gateway).push().unwrap(), acceptance, "{name}");
        let config = Config::default().url(gateway.url()).unwrap().state_dir(state.path());
        let _scope = config.timeout(TIMEOUT).scope().unwrap();
        super::succeed("accepted");
        assert_eq!(state.records().len(), 0, "{name}");
        let group = gateway.group("accepted", &[]);
        assert_eq!(value(&group, "last_run_success"), Some(1.0), "{name}");
        assert_eq!(value(&group, "push_attempts"), Some(1.0), "{name}");
    }
}

/// A server that resets its first connection after this number of bytes, and accepts the request on the second one.
fn resetting_after(bytes: usize) -> RawServer {
    let mut is_first = true;
    RawServer::start(move |mut stream| {
        if std::mem::take(&mut is_first) {
            let _ = stream.read_exact(&mut vec![0; bytes]);
            return None;
        }
        let mut request = Vec::new();
        let mut buffer = [0; 4096];
        while !request.ends_with(b"rows_total 0\n") {
            let length = stream.read(&mut buffer).unwrap();
            request.extend_from_slice(&buffer[..length]);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
        None
    })
}

#[test]
fn request_reset_after_any_byte_is_retried() {
    // Shorter than the request: a connection without unread data would not be reset.
    const MAX_BYTES: usize = 240;
    let next = Arc::new(Mutex::new(0..MAX_BYTES));
    std::thread::scope(|scope| {
        for _ in 0..PARALLEL_ROWS {
            let next = Arc::clone(&next);
            scope.spawn(move || {
                while let Some(bytes) = { next.lock().unwrap().next() } {
                    let server = resetting_after(bytes);
                    let pusher = Pusher::new(server.url(), "direct").unwrap().gatherer(small());
                    let pushed = pusher.map_gateway(|gateway| gateway.timeout(TIMEOUT)).push();
                    pushed.unwrap_or_else(|error| panic!("after {bytes} bytes: {error:?}"));
                }
            });
        }
    });
}
