//! Behaviour of the crates as their users meet it; a module per area.

mod attributes;
mod batch;
mod child;
mod contexts;
mod delivery;
mod dependencies;
mod fake_gateway;
mod families;
mod gateway_cleanup;
mod guide;
#[path = "../e2e/http.rs"]
mod http;
mod journal;
mod lifecycle;
mod links;
mod metrics;
mod network;
mod parity;
mod programs;
mod raw;
mod readme;
mod runs;
mod secrets;
mod signal_defaults;
mod signal_timing;
mod sites;
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
