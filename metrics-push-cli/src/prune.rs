//! `metrics-push prune`: removes the groups without a recent push, or on the wrong shard.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use metrics_push::parse_duration;

use crate::context::GatewayArguments;
use crate::failure::Failure;
use crate::removal::{self, RemovalArguments};

/// Removes the groups without a recent push, or copies on the wrong shard.
///
/// A gateway never removes groups by itself. Use this for groups of jobs, hosts and tenants that no longer exist. Alerts on
/// them can no longer fire.
///
/// With --misplaced, removes the copies of groups that a change of the shards has left behind. A copy stays if the right
/// shard does not have the group, or has an older one.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    gateways: GatewayArguments,
    /// The minimum age of the last push of a group, such as 30d.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    #[arg(required_unless_present = "misplaced")]
    older_than: Option<Duration>,
    /// Removes copies of groups on shards to which they do not belong, whatever their age.
    #[arg(long, conflicts_with = "older_than")]
    misplaced: bool,
    #[command(flatten)]
    removal: RemovalArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    removal::run(&arguments.gateways, &arguments.removal, |gateway, mode| {
        match arguments.older_than {
            Some(age) => gateway.prune(age, mode),
            None => gateway.prune_misplaced(mode),
        }
    })
}
