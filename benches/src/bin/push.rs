//! Measures a whole push of many series: gathering, encoding, sending, and the response of the gateway.
//!
//! `cargo run --release -p metrics-push-benches --bin push` prints the tables. It needs `prometheus-pushgateway`.
//!
//! Each row is a separate process that pushes twice: a job pushes once, and a long-running process pushes again. The group
//! is deleted after each push, because the gateway checks each push against all stored groups. The rows named `limit`
//! measure parts that no client can avoid: the gateway with a prepared request, and gathering. The peer is built in a
//! separate workspace.
//!
//! Memory is the peak of a push above the memory of the metrics. The rows of remote write push to a server that accepts
//! everything: a run of a job, and an encoder that writes the samples of the same series as fast as possible. The encoder gathers
//! the samples from the same registry, or has them in memory, which is a lower limit that no real program reaches.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use metrics_push::{Config, Gateway, GroupingKey, Job, MetricFactory, Outcome, Pusher};
use metrics_push_benches::pushgateway::{Pushgateway, free_address};
use metrics_push_benches::request::read_request;
use metrics_push_benches::server::Server;
use metrics_push_benches::usage::PeakMemory;
use metrics_push_benches::{Table, median, median_ratio};
use prometheus::proto::MetricFamily;
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

    /// Pushes once.
    fn push(&mut self) -> Push {
        writeln!(self.input).expect("the worker reads");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the worker responds");
        let mut numbers = line.split_whitespace().map(|word| word.parse().expect("a number"));
        let milliseconds = numbers.next().expect("the worker prints the duration");
        Push { milliseconds, mib: numbers.next() }
    }
}

/// What a push cost.
#[derive(Clone, Copy)]
struct Push {
    milliseconds: f64,
    /// The peak of memory above that of the metrics. The peer does not report it.
    mib: Option<f64>,
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
const ROWS: [(&str, &str); 11] = [
    ("prometheus", "the `prometheus` crate's push"),
    ("text", "ours, the `prometheus` crate's gauges"),
    ("own", "ours, our own gauges"),
    ("protobuf", "ours as protobuf, the `prometheus` crate's gauges"),
    ("own_protobuf", "ours as protobuf, our own gauges"),
    ("alone", "limit: the gateway alone, text"),
    ("alone_protobuf", "limit: the gateway alone, protobuf"),
    ("gathering", "limit: gathering the `prometheus` crate's gauges"),
    ("own_remote_write", "ours, remote write, our own gauges"),
    ("plain_remote_write", "limit: remote write, our own gauges gathered for a plain encoder"),
    (
        "samples_remote_write",
        "limit: remote write, a plain encoder of samples that it has in memory",
    ),
];

/// The rows whose duration is compared with that of another one, and the maximum ratio.
const COMPARED: [(usize, usize, f64); 6] =
    [(1, 0, 1.0), (2, 0, 0.7), (3, 0, 1.0), (4, 0, 0.7), (8, 9, 1.2), (8, 10, 1.2)];

/// The rows whose memory is limited, as a multiple of the body.
const MEMORY_LIMITED: [usize; 2] = [1, 2];
const MAX_MEMORY_RATIO: f64 = 2.0;

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
        let (memory, started) = (PeakMemory::start(), Instant::now());
        push();
        println!("{} {}", started.elapsed().as_secs_f64() * 1e3, memory.mib());
    }
}

fn run_worker(kind: &str, url: &str) {
    let registry =
        if kind.starts_with("own") { registry_of_ours() } else { registry_of_prometheus() };
    if kind == "gathering" {
        serve(|| drop(registry.gather()));
    } else if kind == "plain_remote_write" {
        let registry = registry_of_ours();
        serve(|| push_gathered(&registry, url));
    } else if kind == "samples_remote_write" {
        let samples: Vec<_> = (0..SERIES).map(labels).collect();
        serve(|| {
            let samples = samples.iter().map(|(service, value)| {
                ([("payment", "card"), ("service", service.as_str())].into_iter(), *value)
            });
            push_samples(samples, url);
        });
    } else if kind == "own_remote_write" {
        push_runs(&registry, url);
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

/// Pushes the registry with runs of a job, as remote write.
fn push_runs(registry: &Registry, url: &str) {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    static JOB: Job = Job::new("remote_write").registry(|| REGISTRY.get().expect("it is set"));

    REGISTRY.set(registry.clone()).expect("it is set once");
    let config = Config::default().url(format!("remote-write+{url}/api/v1/write"));
    metrics_push::init(config.expect("a URL").timeout(TIMEOUT)).expect("the first configuration");
    serve(|| {
        JOB.start().finish(Outcome::Success);
        assert_eq!(metrics_push::flush(TIMEOUT), 0, "the server accepts the push");
    });
}

/// The series in one request, as many as ours has.
const SERIES_PER_REQUEST: usize = 5_000;

/// Pushes samples as remote write, without any checks. The labels of each sample must be sorted, and must come after `job`. The
/// encoder writes each length as one byte, and copies nothing twice.
fn push_samples<'a, L: Iterator<Item = (&'a str, &'a str)>>(
    samples: impl Iterator<Item = (L, f64)>,
    url: &str,
) {
    fn field(message: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
        let length = u8::try_from(bytes.len()).expect("the values are short");
        message.extend([tag, length]);
        message.extend_from_slice(bytes);
    }
    let (address, now) = (url.trim_start_matches("http://"), 1_700_000_000_000_u64);
    let mut stream = TcpStream::connect(address).expect("the server accepts connections");
    let (mut message, mut entry, mut label) = (Vec::new(), Vec::new(), Vec::new());
    let mut samples = samples.peekable();
    while samples.peek().is_some() {
        message.clear();
        for (labels, value) in samples.by_ref().take(SERIES_PER_REQUEST) {
            entry.clear();
            let first = [("__name__", "some_gauge_seconds"), ("job", "remote_write")];
            for (name, value) in first.into_iter().chain(labels) {
                label.clear();
                field(&mut label, 10, name.as_bytes());
                field(&mut label, 18, value.as_bytes());
                field(&mut entry, 10, &label);
            }
            label.clear();
            label.push(9);
            label.extend(value.to_le_bytes());
            label.push(16);
            let mut rest = now;
            while rest >= 0x80 {
                label.push(rest as u8 | 0x80);
                rest >>= 7;
            }
            label.push(rest as u8);
            field(&mut entry, 18, &label);
            field(&mut message, 10, &entry);
        }
        let body = snap::raw::Encoder::new().compress_vec(&message).expect("a small message");
        let head = format!(
            "POST /api/v1/write HTTP/1.1\r\nHost: bench\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), &body].concat()).expect("the server reads");
        let mut response = [0; ACCEPTED.len()];
        stream.read_exact(&mut response).expect("the server responds");
        assert_eq!(response, *ACCEPTED, "the server accepts the request");
    }
}

/// Gathers a registry and pushes its samples as remote write.
fn push_gathered(registry: &Registry, url: &str) {
    let gathered = registry.gather();
    let metrics = gathered.iter().flat_map(MetricFamily::get_metric);
    let samples = metrics.map(|metric| {
        let labels = metric.get_label().iter().map(|label| (label.name(), label.value()));
        (labels, metric.get_gauge().get_value())
    });
    push_samples(samples, url);
}

const ACCEPTED: &[u8] = b"HTTP/1.1 204 No Content\r\nX-Clock: none\r\n\r\n";

/// Starts a server that accepts every request without reading its content. Returns its URL.
fn start_receiver() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("a free port"));
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut stream = BufReader::new(stream);
                while stream.fill_buf().is_ok_and(|bytes| !bytes.is_empty()) {
                    drop(read_request(&mut stream));
                    if stream.get_mut().write_all(ACCEPTED).is_err() {
                        break;
                    }
                }
            });
        }
    });
    url
}

/// Records the bytes of a push.
fn record_push(kind: &str, registry: &Registry) -> Vec<u8> {
    let server = Server::record(free_address());
    pusher(kind, &server.url(), registry).push().expect("the server accepts the push");
    server.into_pushes().pop().expect("the push is recorded")
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

/// The pushes of a row.
#[derive(Default)]
struct Measured {
    first_ms: Vec<f64>,
    second_ms: Vec<f64>,
    mib: Vec<f64>,
}

fn measure() -> [Measured; ROWS.len()] {
    let gateway = Pushgateway::start();
    let url = gateway.url();
    let receiver = start_receiver();
    let cleaner = Gateway::new(url.as_str()).expect("a URL").timeout(TIMEOUT);
    let mut rows = ROWS.map(|_| Measured::default());
    for _ in 0..ROUNDS {
        for ((kind, _), row) in ROWS.iter().zip(&mut rows) {
            let is_remote_write = kind.ends_with("remote_write");
            let mut worker = worker(kind, if is_remote_write { &receiver } else { &url });
            for times in [&mut row.first_ms, &mut row.second_ms] {
                let push = worker.push();
                times.push(push.milliseconds);
                row.mib.extend(push.mib);
                let key = GroupingKey::new(*kind).expect("a name");
                cleaner.delete(&key).expect("the gateway deletes the group");
            }
        }
    }
    rows
}

fn compare() {
    let rows = measure();
    let body_mib = {
        let body = record_push("text", &registry_of_ours());
        body.len() as f64 / 1024.0 / 1024.0
    };
    let mut table =
        Table::new(&["push of 100,000 series", "first push, ms", "second push, ms", "memory, MiB"]);
    for ((_, name), row) in ROWS.iter().zip(&rows) {
        let [first, second] =
            [&row.first_ms, &row.second_ms].map(|times| format!("{:.0}", median(times)));
        let mib =
            if row.mib.is_empty() { String::new() } else { format!("{:.1}", median(&row.mib)) };
        table.row(&[*name, &first, &second, &mib]);
    }
    let mut targets = Table::new(&["ratio", "measured", "at most", ""]);
    for (row, basis, max) in COMPARED {
        let [(_, name), (_, basis_name)] = [ROWS[row], ROWS[basis]];
        let (row, basis) = (&rows[row], &rows[basis]);
        for (which, times, basis_times) in [
            ("first push", &row.first_ms, &basis.first_ms),
            ("second push", &row.second_ms, &basis.second_ms),
        ] {
            let ratio = median_ratio(times, basis_times);
            targets.ratio(&format!("{which}: {name} / {basis_name}"), ratio, max);
        }
    }
    for row in MEMORY_LIMITED {
        let ratio = median(&rows[row].mib) / body_mib;
        targets.ratio(&format!("memory: {} / body", ROWS[row].1), ratio, MAX_MEMORY_RATIO);
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
