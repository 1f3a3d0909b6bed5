//! Behaviour of the crates as their users meet it; a module per area.

mod child;
mod contexts;
mod lifecycle;
mod metrics;
mod runs;
mod sites;
mod tidy;
