//! The fault matrix: every way in which a gateway, or what stands in its place, can fail a push.
//!
//! For each: a push that somebody waits for is told by its kind and in time, and a run ends as it would, in time; its
//! outcome waits for the gateway to be well again, is dropped because it would be refused for ever, or has arrived.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use metrics_push::prometheus::{Counter, Registry};
use metrics_push::testing::{FakeGateway, Fault};
use metrics_push::{Config, Error, Job, Pusher};

use super::{BUDGET, PATIENCE, SLACK, value};
use crate::raw_tcp::{FullBacklog, RawServer};
use crate::temp_dir::TempDir;

/// What stands where the gateway should be.
enum Trouble {
    /// A gateway that does this to every push.
    Fault(Fault),
    /// The same, asked for by a URL with `https`.
    WithoutTls,
    /// Nobody.
    Gone,
    /// Something that does this with every connection.
    Raw(fn(TcpStream) -> Option<TcpStream>),
    /// The same, with pushes of more than the buffers between two sockets hold.
    Unread(fn(TcpStream) -> Option<TcpStream>),
    /// A listener that has as many connections waiting as it may, and takes none of them.
    Full,
}

/// The kind of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Unreachable,
    Timeout,
    Config,
    /// Tried again.
    Transient(u16),
    /// Not tried again.
    Rejected(u16),
}

impl Kind {
    fn of(error: &Error) -> Self {
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

/// What becomes of an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Waits,
    Dropped,
}

use Kind::{Config as Configuration, Rejected, Timeout, Transient, Unreachable};
use Then::{Dropped, Waits};
use Trouble::{Full, Gone, Raw, Unread, WithoutTls};

type Row = (&'static str, Trouble, Kind, Then);

fn status(status: u16) -> Fault {
    Fault::status(status)
}

fn connections() -> Vec<Row> {
    let fault = Trouble::Fault;
    let long = Duration::from_secs(60);
    vec![
        ("connection refused", Gone, Unreachable, Waits),
        ("hang on connect", Full, Timeout, Waits),
        ("hang on response", fault(Fault::hang()), Timeout, Waits),
        ("hang on response, applied later", fault(Fault::stall(long)), Timeout, Waits),
        ("slow drip response", fault(Fault::drip(Duration::from_millis(100))), Timeout, Waits),
        ("slow accept of body", Unread(Some), Timeout, Waits),
        ("reset mid-body", Unread(take_some), Unreachable, Waits),
        ("close without response", fault(Fault::close()), Unreachable, Waits),
        (
            "close without response, applied",
            fault(Fault::close().after_storing()),
            Unreachable,
            Waits,
        ),
        ("cut off in the head", fault(Fault::cut_off(10)), Unreachable, Waits),
        ("another protocol", Raw(greet_as_a_mail_server), Unreachable, Waits),
        ("a TLS server asked in plain text", Raw(answer_with_an_alert), Unreachable, Waits),
        ("a plain server asked with TLS", WithoutTls, Configuration, Waits),
        ("a length that never comes", Raw(promise_too_much), Timeout, Waits),
    ]
}

fn statuses() -> Vec<Row> {
    let malformed = status(400).body("text format parsing error in line 1: invalid metric name\n");
    let inconsistent =
        "pushed metrics are invalid or inconsistent with existing metrics: collected metric \"x\"";
    let mut rows = vec![
        ("400 malformed", malformed, Rejected(400), Dropped),
        ("400 inconsistent", status(400).body(inconsistent), Rejected(400), Dropped),
        (
            "400 plain text to Go's TLS",
            status(400).body("Client sent an HTTP request to an HTTPS server.\n"),
            Configuration,
            Waits,
        ),
        (
            "400 plain text to nginx' TLS",
            status(400).body("<center>The plain HTTP request was sent to HTTPS port</center>"),
            Configuration,
            Waits,
        ),
        ("401", status(401), Configuration, Waits),
        ("403", status(403), Configuration, Waits),
        ("404", status(404), Configuration, Waits),
        ("405", status(405), Configuration, Waits),
        ("407", status(407), Configuration, Waits),
        ("409", status(409), Rejected(409), Dropped),
        ("413", status(413), Rejected(413), Dropped),
        ("422", status(422), Rejected(422), Dropped),
        (
            "429 with an endless wait",
            status(429).header("Retry-After", "3600"),
            Transient(429),
            Waits,
        ),
        (
            "503 until a date that is far away",
            status(503).header("Retry-After", "Fri, 31 Dec 9999 23:59:59 GMT"),
            Transient(503),
            Waits,
        ),
        (
            "200 from a captive portal",
            status(200).body("<html>log in</html>"),
            Configuration,
            Waits,
        ),
        ("200 with a huge body", status(200).body(vec![b'x'; 1_000_000]), Configuration, Waits),
        ("200 with an endless body", Fault::endless(), Configuration, Waits),
        ("400 with a huge body", status(400).body(vec![b'x'; 1_000_000]), Rejected(400), Dropped),
    ];
    for transient in [408, 425, 429, 500, 501, 502, 503, 504, 507, 599] {
        let name = "408, 425, 429 and 5xx";
        rows.push((name, status(transient), Transient(transient), Waits));
    }
    for redirect in [301, 302, 303, 307, 308] {
        let fault = Fault::redirect(redirect, "http://elsewhere/metrics");
        rows.push(("301, 302, 303, 307 and 308", fault, Configuration, Waits));
    }
    rows.into_iter()
        .map(|(name, fault, kind, then)| (name, Trouble::Fault(fault), kind, then))
        .collect()
}

/// Rows that wait for time-outs wait at once.
const AT_ONCE: usize = 16;

fn check_all(rows: Vec<Row>) {
    let rows = Mutex::new(rows.into_iter());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(row) = { rows.lock().unwrap().next() } {
                    check(row);
                }
            });
        }
    });
}

fn check((name, trouble, kind, then): Row) {
    let registry = if matches!(trouble, Unread(_)) { large } else { small };
    let stand = Stand::of(trouble);
    let url = stand.url.clone();
    let pusher = Pusher::new(&url, "direct")
        .unwrap()
        .gatherer(registry())
        .map_gateway(|gateway| gateway.timeout(BUDGET));
    let error = in_time(name, || pusher.push().unwrap_err());
    assert_eq!(Kind::of(&error), kind, "{name}: {error:?}");
    let shown = error.to_string();
    assert!(shown.contains(&url) && shown.contains(r#"{job="direct"}"#), "{name}: {shown}");
    if name.starts_with("301") {
        assert!(shown.contains("location: http://elsewhere/metrics"), "{name}: {shown}");
    }

    let state = TempDir::new();
    let config = Config::default().url(&url).unwrap().timeout(BUDGET);
    let _scope = config.state_dir(state.path()).scope().unwrap();
    let result: Result<u8, &str> = in_time(name, || {
        Job::new("troubled").registry(registry).whole_process().run(|_| Err("as it would"))
    });
    assert_eq!(result, Err("as it would"), "{name}");
    let waiting = usize::from(then == Waits);
    assert_eq!(state.records().len(), waiting, "{name}");

    let is_reachable_later = url.starts_with("http:");
    let gateway = stand.heal();
    if is_reachable_later {
        assert_eq!(metrics_push::recover(PATIENCE).delivered, waiting, "{name}");
        assert!(state.records().is_empty(), "{name}");
        let group = gateway.find_group("troubled", &[]);
        let told = group.and_then(|group| value(&group, "last_run_success"));
        assert_eq!(told, (then == Waits).then_some(0.0), "{name}");
    }
}

fn in_time<T>(name: &str, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let result = work();
    assert!(started.elapsed() < BUDGET + SLACK, "{name} took {:?}", started.elapsed());
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

/// Something that stands in the gateway's place.
struct Stand {
    url: String,
    what: What,
}

enum What {
    Gateway(FakeGateway),
    Raw(RawServer),
    Crowded(FullBacklog),
}

impl Stand {
    fn of(trouble: Trouble) -> Self {
        let gateway = |trouble: &dyn Fn(&FakeGateway)| {
            let gateway = FakeGateway::start();
            trouble(&gateway);
            (gateway.url(), What::Gateway(gateway))
        };
        let raw = |serve| {
            let server = RawServer::start(serve);
            (server.url(), What::Raw(server))
        };
        let (url, what) = match trouble {
            Trouble::Fault(fault) => gateway(&|gateway| gateway.fault(fault.clone())),
            Gone => gateway(&FakeGateway::refuse_connections),
            WithoutTls => {
                let (url, what) = gateway(&|_| {});
                (url.replace("http:", "https:"), what)
            }
            Raw(serve) | Unread(serve) => raw(serve),
            Full => {
                let crowded = FullBacklog::start();
                (format!("http://{}", crowded.address()), What::Crowded(crowded))
            }
        };
        Self { url, what }
    }

    /// A gateway as it should be, in the same place.
    fn heal(self) -> FakeGateway {
        let port = match self.what {
            What::Gateway(gateway) => {
                gateway.heal();
                gateway.accept_connections();
                return gateway;
            }
            What::Raw(server) => server.address().port(),
            What::Crowded(crowded) => crowded.address().port(),
        };
        FakeGateway::builder().port(port).start()
    }
}

fn read_some(stream: &mut TcpStream) {
    let _ = stream.read(&mut [0; 4096]);
}

/// What was not read resets the connection when it is closed.
fn take_some(mut stream: TcpStream) -> Option<TcpStream> {
    read_some(&mut stream);
    None
}

fn greet_as_a_mail_server(mut stream: TcpStream) -> Option<TcpStream> {
    read_some(&mut stream);
    let _ = stream.write_all(b"220 mail.example ESMTP\r\n");
    Some(stream)
}

fn answer_with_an_alert(mut stream: TcpStream) -> Option<TcpStream> {
    read_some(&mut stream);
    let _ = stream.write_all(&[0x15, 3, 1, 0, 2, 2, 22]);
    None
}

fn promise_too_much(mut stream: TcpStream) -> Option<TcpStream> {
    read_some(&mut stream);
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nthis");
    Some(stream)
}

#[test]
fn what_goes_wrong_with_connections_is_told_by_its_kind_and_loses_nothing() {
    check_all(connections());
}

#[test]
fn what_servers_answer_is_told_by_its_kind_and_loses_nothing() {
    check_all(statuses());
}

/// Answers that are strange, and are success.
#[test]
fn what_was_taken_is_taken() {
    type Serve = fn(TcpStream) -> Option<TcpStream>;
    let raw: [(&str, Serve); 2] = [
        ("HTTP/1.0, to the end of the connection", |mut stream| {
            read_some(&mut stream);
            let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n");
            None
        }),
        ("after an interim answer", |mut stream| {
            read_some(&mut stream);
            let answer =
                b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
            let _ = stream.write_all(answer);
            None
        }),
    ];
    for (name, serve) in raw {
        let server = RawServer::start(serve);
        let pusher = Pusher::new(server.url(), "direct").unwrap().gatherer(small());
        let acceptance = pusher.map_gateway(|gateway| gateway.timeout(PATIENCE)).push();
        assert_eq!(acceptance.unwrap(), metrics_push::Acceptance::Applied, "{name}");
    }
    let faults = [
        ("202", status(202).after_storing()),
        ("204", status(204).after_storing()),
        ("slow accept", Fault::stall(Duration::from_millis(300))),
    ];
    for (name, fault) in faults {
        let (gateway, state) = (FakeGateway::start(), TempDir::new());
        gateway.fault(fault);
        let config = Config::default().url(gateway.url()).unwrap().state_dir(state.path());
        let _scope = config.timeout(PATIENCE).scope().unwrap();
        super::succeed("taken");
        assert_eq!(state.records().len(), 0, "{name}");
        let group = gateway.group("taken", &[]);
        assert_eq!(value(&group, "last_run_success"), Some(1.0), "{name}");
        assert_eq!(value(&group, "push_attempts"), Some(1.0), "{name}");
    }
}

/// A server that resets its first connection after that many bytes, and takes what comes on the second.
fn resetting_after(bytes: usize) -> RawServer {
    let mut is_first = true;
    RawServer::start(move |mut stream| {
        if std::mem::take(&mut is_first) {
            let _ = stream.read_exact(&mut vec![0; bytes]);
            return None;
        }
        let mut request = Vec::new();
        let mut some = [0; 4096];
        while !request.ends_with(b"rows_total 0\n") {
            let length = stream.read(&mut some).unwrap();
            request.extend_from_slice(&some[..length]);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
        None
    })
}

#[test]
fn a_request_reset_after_any_byte_is_sent_again() {
    // The last one leaves a byte unread, or the connection would close in peace.
    const LONGEST: usize = 250;
    let next = Arc::new(Mutex::new(0..LONGEST));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            let next = Arc::clone(&next);
            scope.spawn(move || {
                while let Some(bytes) = { next.lock().unwrap().next() } {
                    let server = resetting_after(bytes);
                    let pusher = Pusher::new(server.url(), "direct").unwrap().gatherer(small());
                    let pushed = pusher.map_gateway(|gateway| gateway.timeout(PATIENCE)).push();
                    pushed.unwrap_or_else(|error| panic!("after {bytes} bytes: {error:?}"));
                }
            });
        }
    });
}
