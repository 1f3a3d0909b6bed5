//! `metrics-push delete`: removes one group.

use std::process::ExitCode;

use clap::Args;
use metrics_push::{Gateway, GroupingKey, Removal};

use crate::context::{self, GatewayArguments, GroupArguments};
use crate::failure::Failure;
use crate::removal::{self, RemovalArguments};
use crate::terminal;

/// Removes one group with all its metrics.
///
/// Alerts on the job can no longer fire. Use this for retired jobs, not at the end of a run.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    gateways: GatewayArguments,
    #[command(flatten)]
    group: GroupArguments,
    #[command(flatten)]
    removal: RemovalArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let config = context::config(&arguments.gateways)?;
    let key = context::key(&config, &arguments.group)?;
    let mode = arguments.removal.mode(&config);
    context::for_each(&context::gateways(&config)?, |gateway| {
        if !has_group(gateway, &key)? {
            return terminal::print(&format!("No group {key} on {}.\n", gateway.url()));
        }
        if mode == Removal::Apply {
            gateway.delete(&key)?;
        }
        removal::print_removed(mode, &key, gateway)
    })?;
    Ok(ExitCode::SUCCESS)
}

/// A gateway accepts the deletion of any group. Without this check, a misspelled name would be reported as removed.
fn has_group(gateway: &Gateway, key: &GroupingKey) -> Result<bool, Failure> {
    match gateway.metrics() {
        Ok(groups) => {
            Ok(groups.iter().any(|group| removal::key(group).is_ok_and(|stored| stored == *key)))
        }
        Err(error) if error.is_unreachable() || error.is_timeout() => Err(error.into()),
        // Some servers accept pushes and do not list groups.
        Err(_) => Ok(true),
    }
}
