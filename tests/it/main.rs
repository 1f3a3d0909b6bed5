//! Behaviour of the crates as their users meet it; a module per area.

mod attributes;
mod batch;
mod child;
mod contexts;
mod delivery;
mod dependencies;
mod fake_gateway;
mod families;
mod group_life;
mod guide;
#[path = "../e2e/http.rs"]
mod http;
mod journal;
mod lifecycle;
mod links;
mod metrics;
mod moments;
mod network;
mod packaging;
mod parity;
mod place;
mod raw;
mod readme;
mod runs;
mod secrets;
mod sites;
mod spool;
mod state;
mod supervise;
mod terminal;
mod testing;
mod tidy;
mod wire;
