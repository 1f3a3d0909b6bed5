//! Jobs whose gateway is down: how long their processes wait, what they log, and what they store on disk.

use std::io::{Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::child::{FinishedJob, JobCommand, PanicStrategy, job};
use crate::raw_tcp::RawServer;
use crate::temp_dir::TempDir;

/// A timeout that no test waits for, and a limit far below it that a busy machine does not reach.
const LONG_TIMEOUT: &str = "120s";
const LIMIT: Duration = Duration::from_secs(7);
const REFUSING: &str = "http://127.0.0.1:9";

/// A server that accepts connections and never responds. The receiver gets one message per connection.
fn silent_gateway() -> (RawServer, Receiver<()>) {
    let (sender, connections) = channel();
    let server = RawServer::start(move |stream| {
        let _ = sender.send(());
        Some(stream)
    });
    (server, connections)
}

fn ending(ending: &str, url: &str, state: Option<&TempDir>) -> JobCommand {
    let command = job(PanicStrategy::Unwind, &[ending]).gateway(url);
    match state {
        Some(state) => command.variable("METRICS_PUSH_STATE_DIR", state.path()),
        None => command,
    }
}

fn run_timed(command: JobCommand) -> (FinishedJob, Duration) {
    let started = Instant::now();
    let finished = command.run_to_end();
    (finished, started.elapsed())
}

/// Returns the only log line of a job. It must name the sink.
#[track_caller]
fn only_line<'a>(finished: &'a FinishedJob, url: &str) -> &'a str {
    let [line] = &finished.log_lines[..] else { panic!("{finished:#?}") };
    assert!(line.contains(url), "{line}");
    line
}

#[test]
fn unconnected_gateway_costs_one_second_once_the_outcome_is_stored() {
    for (url, proxy) in [
        (REFUSING, None),
        ("http://gateway.invalid:9091", None),
        ("http://gateway.example:9091", Some(REFUSING)),
    ] {
        let state = TempDir::new();
        let mut command = ending("ok", url, Some(&state));
        command = command.variable("METRICS_PUSH_TIMEOUT", LONG_TIMEOUT);
        if let Some(proxy) = proxy {
            command = command.variable("http_proxy", proxy);
        }
        let (finished, took) = run_timed(command);
        assert!(finished.status.success(), "{finished:?}");
        assert!(took < LIMIT, "{url}: {took:?}");
        let line = only_line(&finished, url);
        assert!(line.contains("it is stored in"), "{line}");
        assert_eq!(state.records().len(), 1, "{url}");
    }
}

#[test]
fn outcome_is_stored_before_the_process_stops_waiting() {
    let state = TempDir::new();
    let running = ending("ok", REFUSING, Some(&state)).start();
    let deadline = Instant::now() + Duration::from_secs(20);
    while state.records().is_empty() {
        assert!(Instant::now() < deadline, "no record");
        std::thread::yield_now();
    }
    running.kill();
    let finished = running.wait();
    assert_eq!(
        finished.status.signal(),
        Some(libc::SIGKILL),
        "the process had ended: {finished:?}"
    );
    assert_eq!(state.records().len(), 1);
}

#[test]
fn long_wait_is_logged_once() {
    for ending_of_job in ["ok", "exit-3", "exit-while-main-waits"] {
        let (gateway, _connections) = silent_gateway();
        let state = TempDir::new();
        let command = ending(ending_of_job, &gateway.url(), Some(&state));
        let (finished, _) = run_timed(command.variable("METRICS_PUSH_TIMEOUT", "4s"));
        let [wait] = &finished.wait_notices[..] else { panic!("{finished:#?}") };
        let [result] = &finished.log_lines[..] else { panic!("{finished:#?}") };
        for part in [&gateway.url(), "waits for at most", "press Ctrl-C", "stored on disk"] {
            assert!(wait.contains(part), "no {part:?} in {wait}");
        }
        assert!(result.contains("it is stored in"), "{result}");
    }
}

#[test]
fn signal_ends_the_wait_for_a_gateway() {
    for signal in ["TERM", "INT"] {
        for with_state in [true, false] {
            let (gateway, connections) = silent_gateway();
            let state = with_state.then(TempDir::new);
            let command = ending("ok", &gateway.url(), state.as_ref());
            let running = command.variable("METRICS_PUSH_TIMEOUT", LONG_TIMEOUT).start();
            connections.recv().unwrap();
            let sent = Instant::now();
            running.signal(signal);
            let finished = running.wait();
            let context = format!("{signal}, {with_state}: {:?} {finished:#?}", sent.elapsed());
            let number = if signal == "TERM" { libc::SIGTERM } else { libc::SIGINT };
            assert_eq!(finished.status.signal(), Some(number), "{context}");
            assert!(sent.elapsed() < LIMIT, "{context}");
            let line = only_line(&finished, &gateway.url());
            let fate = if with_state { "it is stored in" } else { "is lost after 1 attempt" };
            assert!(line.contains(fate), "{context}");
            assert_eq!(state.map_or(0, |state| state.records().len()), usize::from(with_state));
        }
    }
}

#[test]
fn signal_ends_the_retries_of_refused_connections() {
    let command = ending("ready", REFUSING, None);
    let running = command.variable("METRICS_PUSH_TIMEOUT", LONG_TIMEOUT).start().ready();
    // Without a state directory, the process retries until its timeout.
    std::thread::sleep(Duration::from_millis(700));
    let sent = Instant::now();
    running.signal("TERM");
    let finished = running.wait();
    assert_eq!(finished.status.signal(), Some(libc::SIGTERM), "{finished:?}");
    assert!(sent.elapsed() < LIMIT, "{:?}", sent.elapsed());
    assert!(only_line(&finished, REFUSING).contains("refused"), "{finished:?}");
}

#[test]
fn silent_gateway_causes_one_line_per_ending() {
    for ending_of_job in ["ok", "err", "panic", "panic-in-drop", "exit-3", "exit-in-worker"] {
        for with_state in [true, false] {
            let (gateway, _connections) = silent_gateway();
            let state = with_state.then(TempDir::new);
            let command = ending(ending_of_job, &gateway.url(), state.as_ref());
            let finished = command.variable("METRICS_PUSH_TIMEOUT", "700ms").run_to_end();
            let line = only_line(&finished, &gateway.url());
            let fate = if with_state { "it is stored in" } else { "is lost" };
            assert!(line.contains(fate), "{ending_of_job}: {line}");
        }
    }
}

#[test]
fn signal_and_silent_gateway_cause_one_line() {
    for with_state in [true, false] {
        let (gateway, _connections) = silent_gateway();
        let state = with_state.then(TempDir::new);
        let command = ending("wait", &gateway.url(), state.as_ref());
        let running = command.variable("METRICS_PUSH_TIMEOUT", "700ms").start().ready();
        running.signal("TERM");
        let finished = running.wait();
        assert_eq!(finished.status.signal(), Some(libc::SIGTERM), "{finished:?}");
        let line = only_line(&finished, &gateway.url());
        assert!(line.contains(if with_state { "it is stored in" } else { "is lost" }), "{line}");
    }
}

#[test]
fn gateway_that_is_known_to_be_down_costs_one_short_attempt() {
    let is_up = Arc::new(AtomicBool::new(false));
    let (sender, connections) = channel();
    let responds = Arc::clone(&is_up);
    let gateway = RawServer::start(move |mut stream| {
        let _ = sender.send(());
        if responds.load(Ordering::Acquire) {
            let _ = stream.read(&mut [0; 65_536]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            return None;
        }
        Some(stream)
    });
    let state = TempDir::new();
    let run = || {
        let command = ending("ok", &gateway.url(), Some(&state));
        run_timed(command.variable("METRICS_PUSH_TIMEOUT", "12s"))
    };
    let (_, took) = run();
    assert!(took > Duration::from_secs(10), "the first process did not use its timeout: {took:?}");
    connections.try_iter().for_each(drop);
    let (finished, took) = run();
    assert!(took < LIMIT, "{took:?}");
    assert!(only_line(&finished, &gateway.url()).contains("it is stored in"), "{finished:?}");
    assert_eq!(connections.try_iter().count(), 1);

    is_up.store(true, Ordering::Release);
    let (finished, _) = run();
    assert_eq!(finished.log_lines, Vec::<String>::new());
    let outages = std::fs::read_dir(state.path().join("outages")).unwrap();
    assert_eq!(outages.count(), 0, "a response closes the breaker of all processes");
}
