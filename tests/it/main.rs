//! Behaviour of the crates as their users meet it; a module per area.

mod delivery;
mod metrics;
mod place;
mod tidy;
