//! Behaviour of the crates as their users meet it; a module per area.

mod attributes;
mod contexts;
mod metrics;
mod readme;
mod runs;
mod sites;
mod tidy;
