//! Measures a whole push of many series: gathering, encoding, sending, and the response of the gateway.
//!
//! `cargo run --release -p metrics-push-benches --bin push` prints the tables. It needs `prometheus-pushgateway`.
//!
//! Each row is a separate process that pushes twice: a job pushes once, and a long-running process pushes again. The group
//! is deleted after each push, because the gateway checks each push against all stored groups. The rows named `limit`
//! measure parts that no client can avoid: the gateway with a prepared request, and gathering. The peer is built in a
//! separate workspace.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use metrics_push::{Gateway, GroupingKey, MetricFactory, Pusher};
use metrics_push_benches::pushgateway::Pushgateway;
use metrics_push_benches::request::read_request;
use metrics_push_benches::{Table, median, median_ratio};
use prometheus::{GaugeVec, Opts, Registry};

const SERIES: usize = 100_000;
const ROUNDS: usize = 7;

/// Longer than any push takes.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A process that pushes once for each line it reads from stdin.
struct Worker {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Worker {
    fn start(command: &mut Command) -> Self {
        let process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut process = process.expect("the program starts");
        let input = process.stdin.take().expect("the stream is piped");
        let output = BufReader::new(process.stdout.take().expect("the stream is piped"));
        Self { process, input, output }
    }

    /// Pushes once and returns the duration in milliseconds.
    fn push(&mut self) -> f64 {
        writeln!(self.input).expect("the worker reads");
        let mut milliseconds = String::new();
        self.output.read_line(&mut milliseconds).expect("the worker responds");
        milliseconds.trim().parse().expect("the worker prints a number")
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Errors do not matter: the bench is finished.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Builds the peer and returns the path of its program.
fn peer() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = root.join("../target/peers");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--manifest-path"])
        .arg(root.join("peers/prometheus-push/Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .status()
        .expect("cargo starts");
    assert!(status.success(), "the peer does not build");
    target.join("release/prometheus-push")
}

fn labels(number: usize) -> (String, f64) {
    (format!("service{number}"), number as f64 * 1.37)
}

/// Returns a registry with a gauge of the `prometheus` crate.
fn registry_of_prometheus() -> Registry {
    let registry = Registry::new();
    let opts = Opts::new("some_gauge_seconds", "A gauge.");
    let gauge = GaugeVec::new(opts, &["service", "payment"]).expect("valid names");
    for (service, value) in (0..SERIES).map(labels) {
        gauge.with_label_values(&[service.as_str(), "card"]).set(value);
    }
    registry.register(Box::new(gauge)).expect("an empty registry");
    registry
}

/// Returns a registry with the same series in our gauge.
fn registry_of_ours() -> Registry {
    let registry = Registry::new();
    let factory = MetricFactory::with(&registry);
    let gauge = factory.gauge_vec("some_gauge_seconds", "A gauge.", &["service", "payment"]);
    let gauge = gauge.expect("valid names");
    for (service, value) in (0..SERIES).map(labels) {
        gauge.with_label_values(&[service.as_str(), "card"]).set(value);
    }
    registry
}

/// The rows: the argument of the worker, and the name in the table.
const ROWS: [(&str, &str); 8] = [
    ("prometheus", "the `prometheus` crate's push"),
    ("text", "ours, the `prometheus` crate's gauges"),
    ("own", "ours, our own gauges"),
    ("protobuf", "ours as protobuf, the `prometheus` crate's gauges"),
    ("own_protobuf", "ours as protobuf, our own gauges"),
    ("alone", "limit: the gateway alone, text"),
    ("alone_protobuf", "limit: the gateway alone, protobuf"),
    ("gathering", "limit: gathering the `prometheus` crate's gauges"),
];

/// The number of rows that are compared with the first one.
const COMPARED: usize = 5;

fn pusher(kind: &str, url: &str, registry: &Registry) -> Pusher {
    let pusher = Pusher::new(url, kind)
        .expect("a URL")
        .gatherer(registry)
        .map_gateway(|gateway| gateway.timeout(TIMEOUT));
    if kind.ends_with("protobuf") { pusher.map_gateway(Gateway::protobuf) } else { pusher }
}

/// Calls `push` for each line of stdin and prints its duration in milliseconds.
fn serve(mut push: impl FnMut()) {
    for line in std::io::stdin().lines() {
        line.expect("stdin is readable");
        let started = Instant::now();
        push();
        println!("{}", started.elapsed().as_secs_f64() * 1e3);
    }
}

fn run_worker(kind: &str, url: &str) {
    let registry =
        if kind.starts_with("own") { registry_of_ours() } else { registry_of_prometheus() };
    if kind == "gathering" {
        serve(|| drop(registry.gather()));
    } else if kind.starts_with("alone") {
        let request = record_push(kind, &registry);
        serve(|| send(&request, url));
    } else {
        let pusher = pusher(kind, url, &registry);
        serve(|| {
            pusher.push().expect("the gateway accepts the push");
        });
    }
}

/// Records the bytes of a push.
fn record_push(kind: &str, registry: &Registry) -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("a free port"));
    let server = thread::spawn(move || {
        let (stream, _) = listener.accept().expect("the pusher connects");
        let mut stream = BufReader::new(stream);
        let request = read_request(&mut stream);
        let response = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        stream.get_mut().write_all(response).expect("the pusher reads the response");
        request
    });
    pusher(kind, &url, registry).push().expect("the server accepts the push");
    server.join().expect("the server thread finishes")
}

/// Sends a recorded request to the gateway.
fn send(request: &[u8], url: &str) {
    const OK: &[u8] = b"HTTP/1.1 200 ";
    let address = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).expect("the gateway accepts connections");
    stream.write_all(request).expect("the gateway reads the request");
    let mut response = [0; OK.len()];
    stream.read_exact(&mut response).expect("the gateway responds");
    assert_eq!(response, *OK, "the gateway accepts the request");
}

fn worker(kind: &str, url: &str) -> Worker {
    if kind == "prometheus" {
        return Worker::start(Command::new(peer()).args([url, &SERIES.to_string()]));
    }
    let own = std::env::current_exe().expect("the path of this program is known");
    Worker::start(Command::new(own).args(["worker", kind, url]))
}

fn compare() {
    let gateway = Pushgateway::start();
    let url = gateway.url();
    let cleaner = Gateway::new(url.as_str()).expect("a URL").timeout(TIMEOUT);
    let mut first = ROWS.map(|_| Vec::new());
    let mut second = ROWS.map(|_| Vec::new());
    for _ in 0..ROUNDS {
        for (row, (kind, _)) in ROWS.iter().enumerate() {
            let key = GroupingKey::new(*kind).expect("a name");
            let mut worker = worker(kind, &url);
            for times in [&mut first[row], &mut second[row]] {
                times.push(worker.push());
                cleaner.delete(&key).expect("the gateway deletes the group");
            }
        }
    }
    let mut table = Table::new(&["push of 100,000 series", "first push, ms", "second push, ms"]);
    let mut targets = Table::new(&["ratio", "measured", "at most", ""]);
    for (row, (_, name)) in ROWS.iter().enumerate() {
        let [first_ms, second_ms] =
            [&first[row], &second[row]].map(|times| format!("{:.0}", median(times)));
        table.row(&[*name, &first_ms, &second_ms]);
        for (which, times) in [("first push", &first), ("second push", &second)] {
            if (1..COMPARED).contains(&row) {
                let ratio = median_ratio(&times[row], &times[0]);
                targets.ratio(&format!("{which}: {name} / `prometheus`"), ratio, 1.0);
            }
        }
    }
    println!("{table}\n{targets}");
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => compare(),
        ["worker", kind, url] => run_worker(kind, url),
        _ => panic!("this bench takes no arguments"),
    }
}
