//! Behaviour of the crates as their users meet it; a module per area.

mod arbitrary_metrics;
mod attributes;
mod batch;
mod child;
mod contexts;
mod delivery;
mod dependencies;
mod fake_gateway;
mod group_life;
mod guide;
#[path = "../e2e/http.rs"]
mod http;
mod journal;
mod lifecycle;
mod links;
mod macro_runtime;
mod metrics;
mod moments;
mod network;
mod packaging;
mod parity;
mod place;
mod raw_tcp;
mod readme;
mod runs;
mod secrets;
mod spool;
mod state;
mod supervise;
mod terminal;
mod testing;
mod tidy;
mod wire;
