//! Pushes series with the `prometheus` crate once for each line it reads, and prints the duration in milliseconds.
//! `push.rs` starts it.
//!
//! `prometheus-push URL SERIES`

use std::collections::HashMap;
use std::time::Instant;

use prometheus::{GaugeVec, Opts, Registry, push_metrics};

fn main() {
    let [url, series]: [String; 2] =
        std::env::args().skip(1).collect::<Vec<_>>().try_into().expect("a URL and a number");
    let opts = Opts::new("some_gauge_seconds", "A gauge.");
    let gauge = GaugeVec::new(opts, &["service", "payment"]).expect("valid names");
    for number in 0..series.parse().expect("a number") {
        let service = format!("service{number}");
        gauge.with_label_values(&[service.as_str(), "card"]).set(f64::from(number) * 1.37);
    }
    let registry = Registry::new();
    registry.register(Box::new(gauge)).expect("an empty registry");
    for line in std::io::stdin().lines() {
        line.expect("stdin is readable");
        let started = Instant::now();
        push_metrics("prometheus", HashMap::<String, String>::new(), &url, registry.gather(), None)
            .expect("the gateway accepts the push");
        println!("{}", started.elapsed().as_secs_f64() * 1e3);
    }
}
