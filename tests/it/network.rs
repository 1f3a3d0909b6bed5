//! What lies between a job and its gateway: names, connections and proxies, each of which may fail by itself.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use metrics_push::prometheus::{Counter, Registry};
use metrics_push::testing::FakeGateway;
use metrics_push::{Acceptance, Config, Error, Job, Outcome, Pusher};

use crate::place::Place;

const BUDGET: Duration = Duration::from_millis(700);
/// What a machine that has other things to do may add.
const SLACK: Duration = Duration::from_millis(1_500);

fn nothing() -> &'static Registry {
    static NOTHING: std::sync::OnceLock<Registry> = std::sync::OnceLock::new();
    NOTHING.get_or_init(Registry::new)
}

fn push(url: &str) -> Result<Acceptance, Error> {
    let counter = Counter::new("rows_total", "Rows.").unwrap();
    Pusher::new(url, "remote").unwrap().collector(counter).unwrap().timeout(BUDGET).push()
}

/// The error of a push, and what a job has left on disk: both in time.
fn outcome_without(url: &str) -> Error {
    let started = Instant::now();
    let error = push(url).unwrap_err();
    let state = Place::new();
    let config = Config::default().url(url).unwrap().state_dir(state.path()).timeout(BUDGET);
    let _scope = config.scope().unwrap();
    Job::new("remote").registry(nothing).whole_process().start().finish(Outcome::Success);
    assert!(started.elapsed() < BUDGET * 2 + SLACK, "{:?}", started.elapsed());
    assert_eq!(state.records().len(), 1, "it waits");
    error
}

#[test]
fn a_name_that_nobody_knows_is_told_within_the_time() {
    let error = outcome_without("http://gateway.invalid:9091");
    assert!(error.is_retryable(), "{error:?}");
}

/// A listener that has as many connections waiting as it may, and takes none of them.
struct Crowded {
    _listener: tokio::net::TcpListener,
    _runtime: tokio::runtime::Runtime,
    _waiting: Vec<TcpStream>,
    address: SocketAddr,
}

fn crowded() -> Crowded {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let listener = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        socket.listen(1).unwrap()
    });
    let address = listener.local_addr().unwrap();
    let waiting: Vec<_> =
        std::iter::from_fn(|| TcpStream::connect_timeout(&address, BUDGET).ok()).take(20).collect();
    assert!(waiting.len() < 20, "the listener takes them all");
    Crowded { _listener: listener, _runtime: runtime, _waiting: waiting, address }
}

#[test]
fn a_connection_that_does_not_come_about_is_given_up_in_time() {
    let crowded = crowded();
    let error = outcome_without(&format!("http://{}", crowded.address));
    assert!(error.is_timeout(), "{error:?}");
}

/// A proxy that answers every request itself, and tells its first line.
fn proxy() -> (String, Receiver<String>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (told, requests) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut text = [0; 4096];
            let length = stream.read(&mut text).unwrap();
            let text = String::from_utf8_lossy(&text[..length]).into_owned();
            let _ = told.send(text.lines().next().unwrap_or_default().to_owned());
            let answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            let _ = stream.write_all(answer);
        }
    });
    (url, requests)
}

/// A push in a process of its own, because its environment is read once.
#[test]
#[ignore = "a part of the tests with proxies"]
fn a_push_to_the_gateway_that_was_named() {
    push(&std::env::var("TEST_GATEWAY").unwrap()).unwrap();
}

/// Whether a push arrived, with these variables and no others about proxies.
fn arrives(gateway: &str, variables: &[(&str, &str)]) -> bool {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let test = "network::a_push_to_the_gateway_that_was_named";
    command.args(["--exact", test, "--ignored", "--nocapture"]).env("TEST_GATEWAY", gateway);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"] {
        command.env_remove(name).env_remove(name.to_lowercase());
    }
    let output = command.envs(variables.iter().copied()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(told.contains("running 1 test"), "{told}");
    output.status.success()
}

#[test]
fn a_proxy_is_used_where_a_variable_names_one() {
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        let (proxy, requests) = proxy();
        assert!(arrives("http://gateway.invalid:9091", &[(name, &proxy)]), "{name}");
        let expected = "PUT http://gateway.invalid:9091/metrics/job/remote HTTP/1.1";
        assert_eq!(requests.try_iter().collect::<Vec<_>>(), [expected], "{name}");
    }
}

#[test]
fn a_gateway_that_no_proxy_names_is_asked_directly() {
    let (proxy, requests) = proxy();
    let variables = [("HTTP_PROXY", &*proxy), ("NO_PROXY", "other.example,.invalid")];
    assert!(!arrives("http://gateway.invalid:9091", &variables));
    assert_eq!(requests.try_iter().count(), 0);
}

#[test]
fn a_gateway_on_this_machine_is_never_asked_by_a_proxy() {
    let gateway = FakeGateway::start();
    let (proxy, requests) = proxy();
    for url in [gateway.url(), gateway.url().replace("127.0.0.1", "localhost")] {
        assert!(arrives(&url, &[("HTTP_PROXY", &*proxy), ("ALL_PROXY", &*proxy)]), "{url}");
    }
    assert_eq!((requests.try_iter().count(), gateway.requests().len()), (0, 2));
}
