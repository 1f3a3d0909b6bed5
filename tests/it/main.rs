//! Behaviour of the crates as their users meet it; a module per area.

mod attributes;
mod child;
mod contexts;
mod delivery;
mod fake_gateway;
#[path = "../e2e/http.rs"]
mod http;
mod journal;
mod lifecycle;
mod metrics;
mod place;
mod readme;
mod runs;
mod sites;
mod state;
mod testing;
mod tidy;
