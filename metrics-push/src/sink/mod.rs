//! Sinks: the destinations of requests. One file for each kind, and one row in `schemes.rs`.

mod acceptance;
mod dry_run;
mod group_states;
mod interface;
mod post;
pub(crate) mod pushgateway;
mod schemes;
mod target;
mod textfile;

#[cfg(test)]
pub(crate) use interface::{Semantics, SendFuture};

pub use acceptance::Acceptance;
pub(crate) use dry_run::DryRun;
pub(crate) use group_states::{GroupState, GroupStates};
pub(crate) use interface::{Accepted, Model, OnFailure, OnRepeat, Query, Rejection, Sink};
pub use pushgateway::GatewayKind;
pub(crate) use schemes::{display_url, is_pushgateway, open};
pub(crate) use target::{Mode, Target};
