//! `metrics-push relay`: delivers the requests in a topic of Kafka to other sinks.

use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use clap::Args;
use metrics_push::{Relay, RelayStats};

use crate::context::{GatewayArguments, config_at};
use crate::failure::Failure;
use crate::stop_signal::stopped;
use crate::terminal;

const HELP: &str = "\
Exit status:
  0
          A signal ended the relay, and what it has read is delivered, stored or will be read again.
  2
          Nothing was read: correct the argument or the variable.

Examples:
  metrics-push relay kafka://broker:9092/batch_jobs --to http://gateway:9091
  metrics-push relay kafka://broker:9092 --to http://gateway:9091 --listen 0.0.0.0:9095 --group gateways
";

/// How long a client of the relay's metrics may take for a request.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(2);

/// The most that is read of a request for the metrics.
const MAX_REQUEST_SIZE: usize = 4096;

/// Delivers the requests of jobs from a topic of Kafka to other sinks.
///
/// The position in the topic is committed after all sinks have accepted the requests, or after they are stored in the
/// state directory, so that a relay that dies loses nothing. Requests for one group are delivered in order; while one is
/// in flight, the later ones are merged. Relays of one consumer group share the partitions of the topic. SIGTERM and SIGINT
/// end the relay. The variables of the topic end with _1, such as METRICS_PUSH_PASSWORD_1, those of the sinks with _2 and
/// so on.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Arguments {
    /// The topic to read, such as kafka://broker:9092/batch_jobs.
    #[arg(value_name = "URL")]
    topic: String,
    /// The URLs of the sinks, separated by commas.
    #[arg(long, value_name = "URL")]
    to: String,
    /// The consumer group.
    #[arg(long, value_name = "NAME", default_value = "metrics-push-relay")]
    group: String,
    /// The address at which the relay serves metrics about itself.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let urls = format!("{},{}", arguments.topic, arguments.to);
    let config = config_at(&urls, &GatewayArguments::default())?;
    let listener = arguments.listen.map(listen).transpose()?;
    let relay = Arc::new(Relay::start(&config, &arguments.group)?);
    let stop = Arc::new(AtomicBool::new(false));
    stop_on_signals(Arc::clone(&stop)).map_err(|error| {
        Failure::failed(format!("cannot handle signals: {error}; raise the limit for threads"))
    })?;
    if let Some(listener) = listener {
        // The relay leaves its consumer group when it is dropped, so this thread must not own it.
        let relay = Arc::downgrade(&relay);
        thread::spawn(move || serve(&listener, &relay));
    }
    relay.run(&stop);
    Ok(ExitCode::SUCCESS)
}

/// Sets the flag when the process receives SIGTERM or SIGINT.
fn stop_on_signals(stop: Arc<AtomicBool>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stopped = runtime.block_on(async { stopped() })?;
    let wait = move || {
        runtime.block_on(stopped);
        stop.store(true, Ordering::Relaxed);
    };
    thread::Builder::new().name("signals".into()).spawn(wait).map(drop)
}

fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    let listener = TcpListener::bind(address).and_then(|it| Ok((it.local_addr()?, it)));
    let (bound, listener) = listener.map_err(|error| {
        Failure::usage(format!("cannot listen at {address}: {error}; use another address"))
    })?;
    terminal::print(&format!("Metrics of the relay: http://{bound}/metrics\n"))?;
    Ok(listener)
}

/// Responds to every request with the metrics, one after the other.
fn serve(listener: &TcpListener, relay: &Weak<Relay>) {
    for stream in listener.incoming().flatten() {
        let Some(stats) = relay.upgrade().map(|relay| relay.stats()) else { return };
        // A client that disconnects needs no response.
        let _ = respond(stream, &stats);
    }
}

fn respond(mut stream: TcpStream, stats: &RelayStats) -> io::Result<()> {
    stream.set_read_timeout(Some(CLIENT_TIMEOUT))?;
    stream.set_write_timeout(Some(CLIENT_TIMEOUT))?;
    let (mut request, mut length) = ([0; MAX_REQUEST_SIZE], 0);
    while length < MAX_REQUEST_SIZE && !request[..length].windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut request[length..])? {
            0 => break,
            read => length += read,
        }
    }
    let (status, body) = if request.starts_with(b"GET /metrics ") {
        ("200 OK", exposition(stats))
    } else {
        ("404 Not Found", String::from("the metrics are at /metrics\n"))
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Returns the metrics in the text format.
fn exposition(stats: &RelayStats) -> String {
    let mut text = String::new();
    let mut add = |name, kind, help, samples: &[(&str, u64)]| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "# HELP metrics_push_relay_{name} {help}");
        let _ = writeln!(text, "# TYPE metrics_push_relay_{name} {kind}");
        for (labels, value) in samples {
            let _ = writeln!(text, "metrics_push_relay_{name}{labels} {value}");
        }
    };
    add(
        "messages_total",
        "counter",
        "Messages that were read, by what became of them.",
        &[
            ("{result=\"accepted\"}", stats.accepted),
            ("{result=\"duplicate\"}", stats.duplicates),
            ("{result=\"invalid\"}", stats.invalid),
        ],
    );
    add(
        "deliveries_total",
        "counter",
        "Requests to the sinks, by result. A failed one is sent again.",
        &[
            ("{result=\"delivered\"}", stats.delivered),
            ("{result=\"spooled\"}", stats.spooled),
            ("{result=\"rejected\"}", stats.rejected),
            ("{result=\"failed\"}", stats.failed),
        ],
    );
    let gauges = [
        (
            "pending_messages",
            "Messages that were read and are not delivered yet.",
            stats.pending_messages,
        ),
        ("pending_groups", "Groups with such messages.", stats.pending_groups),
        ("partitions", "Partitions that this relay reads.", stats.partitions),
        ("lag_messages", "Messages of these partitions that are not committed yet.", stats.lag),
    ];
    for (name, help, value) in gauges {
        add(name, "gauge", help, &[("", value)]);
    }
    text
}
