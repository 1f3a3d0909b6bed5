//! Behaviour of the crates as their users meet it; a module per area.

mod metrics;
mod sites;
