//! `metrics-push wipe`: removes all groups of a gateway.

use std::process::ExitCode;

use clap::{ArgGroup, Args};
use metrics_push::Gateway;

use crate::context::GatewayArguments;
use crate::failure::Failure;
use crate::removal::{self, RemovalArguments};

/// Removes all groups of a gateway.
///
/// The gateway must run with --web.enable-admin-api.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("how").required(true).args(["dry_run", "yes"]))]
pub(crate) struct Arguments {
    #[command(flatten)]
    gateways: GatewayArguments,
    #[command(flatten)]
    removal: RemovalArguments,
    /// Removes the groups.
    #[arg(long)]
    yes: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    removal::run(&arguments.gateways, &arguments.removal, Gateway::wipe)
}
