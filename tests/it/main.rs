//! Integration tests: the behaviour of the crates as their users observe it, one module per area.

mod answers;
mod arbitrary_metrics;
mod attributes;
mod batch;
mod child;
mod contexts;
mod delivery;
mod dependencies;
mod durations;
mod endless_listing;
mod environment;
mod failure_reasons;
mod fake_gateway;
mod flushes;
mod full_pipe;
mod gateway_cleanup;
mod gathering;
mod guide;
mod history;
#[path = "../e2e/http.rs"]
mod http;
mod inherited;
mod journal;
mod lifecycle;
mod links;
mod logging;
mod macro_runtime;
mod metrics;
mod network;
mod outage;
mod packaging;
mod parity;
mod programs;
mod raw_tcp;
mod readme;
mod remote_write;
mod runs;
mod schedules;
mod secrets;
mod signal_defaults;
mod signal_timing;
mod spool;
mod state_dir;
mod supervise;
mod temp_dir;
mod terminal;
mod testing;
mod tidy;
mod wire;

/// The root of the repository.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
