//! Behaviour of the crates as their users meet it; a module per area.

mod child;
mod contexts;
mod journal;
mod lifecycle;
mod metrics;
mod runs;
mod sites;
mod state;
mod supervise;
mod tidy;
