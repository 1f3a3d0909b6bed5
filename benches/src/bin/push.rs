//! What a whole push of very many series takes: gathering, encoding, sending, and the gateway's answer.
//!
//! `cargo run --release -p metrics-push-benches --bin push`. Each row is a process of its own, which pushes when it is
//! told to: once, as a job does, and once more, as a process does that goes on. Between two pushes the gateway is
//! emptied, since it checks each push against all that it holds. The last rows are what the others can't do without: a
//! gateway that takes a request which was made before, and gathering.
//! `prometheus-pushgateway` has to be installed. The peer is built in a workspace of its own.

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

/// Longer than any gateway takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that pushes when it is told to.
struct Worker {
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Worker {
    fn start(command: &mut Command) -> Self {
        let process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut process = process.expect("a program that starts");
        let orders = process.stdin.take().expect("it is piped");
        let answers = BufReader::new(process.stdout.take().expect("it is piped"));
        Self { process, orders, answers }
    }

    /// Milliseconds of one push.
    fn push(&mut self) -> f64 {
        writeln!(self.orders).expect("a worker that listens");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("a worker that answers");
        answer.trim().parse().expect("a number")
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Whatever comes of it, the bench is over.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn peer() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = root.join("../target/peers");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--manifest-path"])
        .arg(root.join("peers/prometheus-push/Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .status()
        .expect("cargo");
    assert!(status.success(), "the peer doesn't build");
    target.join("release/prometheus-push")
}

fn labels(number: usize) -> (String, f64) {
    (format!("service{number}"), number as f64 * 1.37)
}

/// Metrics of the `prometheus` crate.
fn theirs() -> Registry {
    let registry = Registry::new();
    let opts = Opts::new("some_gauge_seconds", "A gauge.");
    let gauge = GaugeVec::new(opts, &["service", "payment"]).expect("valid names");
    for (service, value) in (0..SERIES).map(labels) {
        gauge.with_label_values(&[service.as_str(), "card"]).set(value);
    }
    registry.register(Box::new(gauge)).expect("an empty registry");
    registry
}

/// The same, with metrics of ours.
fn ours() -> Registry {
    let registry = Registry::new();
    let factory = MetricFactory::with(&registry);
    let gauge = factory.gauge_vec("some_gauge_seconds", "A gauge.", &["service", "payment"]);
    let gauge = gauge.expect("valid names");
    for (service, value) in (0..SERIES).map(labels) {
        gauge.with_label_values(&[service.as_str(), "card"]).set(value);
    }
    registry
}

/// Each row's name, as an argument and for people.
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

/// How many rows are pushes that are compared.
const COMPARED: usize = 5;

fn pusher(kind: &str, url: &str, registry: &Registry) -> Pusher {
    let pusher = Pusher::new(url, kind)
        .expect("a URL")
        .gatherer(registry)
        .map_gateway(|gateway| gateway.timeout(PATIENCE));
    if kind.ends_with("protobuf") {
        pusher.map_gateway(|gateway| gateway.protobuf())
    } else {
        pusher
    }
}

/// Does it each time it is told to, and answers with the milliseconds it took.
fn work(mut push: impl FnMut()) {
    for line in std::io::stdin().lines() {
        line.expect("a line");
        let begin = Instant::now();
        push();
        println!("{}", begin.elapsed().as_secs_f64() * 1e3);
    }
}

fn work_as(kind: &str, url: &str) {
    let registry = if kind.starts_with("own") { ours() } else { theirs() };
    if kind == "gathering" {
        work(|| drop(registry.gather()));
    } else if kind.starts_with("alone") {
        let request = recorded(kind, &registry);
        work(|| send(&request, url));
    } else {
        let pusher = pusher(kind, url, &registry);
        work(|| {
            pusher.push().expect("a gateway that takes it");
        });
    }
}

/// The request that a push is.
fn recorded(kind: &str, registry: &Registry) -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("a port"));
    let server = thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a pusher that connects");
        let mut stream = BufReader::new(stream);
        let request = read_request(&mut stream);
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        stream.get_mut().write_all(answer).expect("a pusher that listens");
        request
    });
    pusher(kind, &url, registry).push().expect("a server that takes it");
    server.join().expect("a server that ends")
}

fn send(request: &[u8], url: &str) {
    const WELL: &[u8] = b"HTTP/1.1 200 ";
    let address = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).expect("a gateway");
    stream.write_all(request).expect("a gateway that listens");
    let mut answer = [0; WELL.len()];
    stream.read_exact(&mut answer).expect("a gateway that answers");
    assert_eq!(answer, *WELL, "it takes it");
}

fn worker(kind: &str, url: &str) -> Worker {
    if kind == "prometheus" {
        return Worker::start(Command::new(peer()).args([url, &SERIES.to_string()]));
    }
    let own = std::env::current_exe().expect("a path");
    Worker::start(Command::new(own).args(["work", kind, url]))
}

fn compare() {
    let gateway = Pushgateway::start();
    let url = gateway.url();
    let keeper = Gateway::new(url.as_str()).expect("a URL").timeout(PATIENCE);
    let mut firsts = ROWS.map(|_| Vec::new());
    let mut others = ROWS.map(|_| Vec::new());
    for _ in 0..ROUNDS {
        for (row, (kind, _)) in ROWS.iter().enumerate() {
            let key = GroupingKey::new(*kind).expect("a name");
            let mut worker = worker(kind, &url);
            for times in [&mut firsts[row], &mut others[row]] {
                times.push(worker.push());
                keeper.delete(&key).expect("a gateway that takes it");
            }
        }
    }
    let mut table =
        Table::new(&["push of 100,000 series", "a job's only one, ms", "a further one, ms"]);
    let mut promises = Table::new(&["ratio", "measured", "at most", ""]);
    for (row, (_, name)) in ROWS.iter().enumerate() {
        let [first, other] =
            [&firsts[row], &others[row]].map(|times| format!("{:.0}", median(times)));
        table.row(&[*name, &first, &other]);
        for (which, times) in [("only push", &firsts), ("further push", &others)] {
            if (1..COMPARED).contains(&row) {
                let ratio = median_ratio(&times[row], &times[0]);
                promises.ratio(&format!("{which}: {name} / `prometheus`"), ratio, 1.0);
            }
        }
    }
    println!("{table}\n{promises}");
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => compare(),
        ["work", kind, url] => work_as(kind, url),
        _ => panic!("no arguments"),
    }
}
