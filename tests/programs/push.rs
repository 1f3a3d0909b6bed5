//! Pushes a counter once: `push URL TIMEOUT`. Prints an error with its classification, and exits at the end of stdin.
//!
//! This is a separate program, because a process reads its proxy variables and its resolver configuration once.

use std::process::ExitCode;

use metrics_push::prometheus::Counter;
use metrics_push::{Pusher, parse_duration};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [url, timeout] = &arguments[..] else { panic!("usage: push URL TIMEOUT") };
    let counter = Counter::new("rows_total", "Rows.").unwrap();
    let pusher = Pusher::new(url, "remote").unwrap().collector(counter).unwrap();
    let timeout = parse_duration(timeout).unwrap();
    let Err(error) = pusher.map_gateway(|gateway| gateway.timeout(timeout)).push() else {
        return ExitCode::SUCCESS;
    };
    eprintln!(
        "config {}, timeout {}, unreachable {}, retryable {}, status {:?}: {error:?}",
        error.is_config(),
        error.is_timeout(),
        error.is_unreachable(),
        error.is_retryable(),
        error.status(),
    );
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
    ExitCode::FAILURE
}
