//! Behaviour of the crates as their users meet it; a module per area.

mod attributes;
mod batch;
mod contexts;
mod delivery;
mod group_life;
mod metrics;
mod place;
mod readme;
mod runs;
mod secrets;
mod sites;
mod spool;
mod tidy;
