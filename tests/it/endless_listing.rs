//! A server whose list of groups never ends: a job stays small and within its timeout, and its outcome arrives.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::child::{PanicStrategy, job};
use crate::raw_tcp::RawServer;
use crate::state_dir::StateDir;

const TIMEOUT: Duration = Duration::from_secs(3);
/// The extra time that a busy machine may take.
const SLACK: Duration = Duration::from_secs(4);

/// The start of a response and the text that follows it without an end.
const RESPONSES: [(&str, &str); 6] = [
    (r#"{"data":["#, "0,"),
    (r#"{"data":["#, "{},"),
    (r#"{"data":["#, r#"{"labels":{"job":"x"},"last_push_successful":true},"#),
    (r#"{"data":[{"labels":{"job":""#, "x"),
    (r#"{"data":[{"batch_job_a":"#, "["),
    ("", "<"),
];

/// Reads a request and returns its method and path.
fn read_request(stream: &TcpStream) -> Option<String> {
    let mut reader = BufReader::new(stream);
    let mut request = String::new();
    reader.read_line(&mut request).ok()?;
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        if header.trim().is_empty() {
            break;
        }
        if let Some(value) = header.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let _ = reader.take(length).read_to_end(&mut Vec::new());
    Some(request)
}

#[test]
fn endless_listing_does_not_grow_a_job() {
    for (start, rest) in RESPONSES {
        let is_up = Arc::new(AtomicBool::new(false));
        let (accepted, queried) =
            (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let server = {
            let (is_up, accepted) = (Arc::clone(&is_up), Arc::clone(&accepted));
            let queried = Arc::clone(&queried);
            RawServer::start(move |mut stream| {
                let request = read_request(&stream)?;
                if !is_up.load(Ordering::Relaxed) {
                    return None;
                }
                if request.starts_with("GET /api/v1/metrics") {
                    queried.store(true, Ordering::Relaxed);
                    std::thread::spawn(move || {
                        let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
                        let _ = stream.write_all(format!("{head}{start}").as_bytes());
                        let rest = rest.repeat(64 * 1024 / rest.len());
                        while stream.write_all(rest.as_bytes()).is_ok() {}
                    });
                    return None;
                }
                accepted.store(true, Ordering::Relaxed);
                let _ = stream.write_all(
                    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                );
                None
            })
        };
        let state = StateDir::new();
        let run = || {
            let timeout = format!("{TIMEOUT:?}");
            let job = job(PanicStrategy::Unwind, &["err"]).gateway(&server.url());
            let job = job.variable("METRICS_PUSH_TIMEOUT", timeout);
            let job = job.variable("METRICS_PUSH_STATE_DIR", state.path());
            // The limit makes a larger process abort.
            let limited = job.within(&["sh", "-c", r#"ulimit -v 400000; exec "$@""#, "sh"]);
            let started = Instant::now();
            let finished = limited.run_to_end();
            assert_eq!(finished.status.code(), Some(1), "{start}{rest}: {:?}", finished.stderr);
            let took = started.elapsed();
            assert!(took < TIMEOUT + SLACK, "{start}{rest}: {took:?}");
        };
        // The outcome is stored, so that the next run reads the group.
        run();
        is_up.store(true, Ordering::Relaxed);
        run();
        assert!(queried.load(Ordering::Relaxed), "{start}{rest}");
        assert!(accepted.load(Ordering::Relaxed), "{start}{rest}");
    }
}
