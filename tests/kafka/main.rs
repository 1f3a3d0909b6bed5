//! Tests with brokers of Kafka: the mock cluster of librdkafka, which runs in the process of a test and injects faults.
//!
//! The feature `kafka` enables these tests.

mod broker_proxy;
#[expect(dead_code, reason = "some functions are used by the other tests only")]
#[path = "../it/child.rs"]
mod child;
mod cluster;
mod compaction;
#[path = "../e2e/faketime.rs"]
mod faketime;
mod faults;
#[path = "../e2e/http.rs"]
mod http;
mod kills;
#[expect(dead_code, reason = "some functions are used by the other tests only")]
#[path = "../e2e/listener.rs"]
mod listener;
mod messages;
#[path = "../it/programs.rs"]
mod programs;
#[expect(dead_code, reason = "some functions are used by the other tests only")]
#[path = "../e2e/real.rs"]
mod real;
mod relay;
mod relay_faults;
mod relay_kills;
mod relay_process;
mod security;
#[path = "../it/signal_defaults.rs"]
mod signal_defaults;
#[expect(dead_code, reason = "some functions are used by the other tests only")]
#[path = "../it/state_dir.rs"]
mod state_dir;
mod tls_proxy;
mod wait;
mod writer;

/// The root of the repository.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
