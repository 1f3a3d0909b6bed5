//! Behaviour of the crates as their users meet it; a module per area.

mod attributes;
mod child;
mod contexts;
mod journal;
mod lifecycle;
mod metrics;
mod parity;
mod readme;
mod runs;
mod sites;
mod state;
mod tidy;
