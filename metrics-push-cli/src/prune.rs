//! `metrics-push prune`: removes the groups without a recent push.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use metrics_push::parse_duration;

use crate::context::GatewayArguments;
use crate::failure::Failure;
use crate::removal::{self, RemovalArguments};

/// Removes the groups without a recent push.
///
/// A gateway never removes groups by itself. Use this for groups of jobs, hosts and tenants that no longer exist. Alerts on
/// them can no longer fire.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    gateways: GatewayArguments,
    /// The minimum age of the last push of a group, such as 30d.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    older_than: Duration,
    #[command(flatten)]
    removal: RemovalArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    removal::run(&arguments.gateways, &arguments.removal, |gateway, mode| {
        gateway.prune(arguments.older_than, mode)
    })
}
