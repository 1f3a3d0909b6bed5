//! Shared by `delete`, `prune` and `wipe`: removes groups, or lists them in a dry run.

use std::process::ExitCode;

use clap::Args;
use metrics_push::{Config, Error, Gateway, Removal, StoredGroup};

use crate::context::{self, GatewayArguments};
use crate::failure::Failure;
use crate::humanize::{count, time};
use crate::terminal;

/// The argument that turns a removal into a list.
#[derive(Debug, Args)]
pub(crate) struct RemovalArguments {
    /// Prints the groups and does not remove them.
    #[arg(long)]
    dry_run: bool,
}

impl RemovalArguments {
    /// Returns `DryRun` if the argument or the variable is set.
    pub(crate) fn mode(&self, config: &Config) -> Removal {
        if self.dry_run || config.is_dry_run() { Removal::DryRun } else { Removal::Apply }
    }
}

/// Calls `remove` for each gateway and prints the groups that it returns, oldest first.
pub(crate) fn run(
    gateways: &GatewayArguments,
    arguments: &RemovalArguments,
    remove: impl Fn(&Gateway, Removal) -> Result<Vec<StoredGroup>, Error>,
) -> Result<ExitCode, Failure> {
    let config = context::config(gateways)?;
    run_for(&context::gateways(&config)?, arguments.mode(&config), remove)
}

/// Calls `remove` for each of these gateways, like [`run`].
pub(crate) fn run_for(
    gateways: &[Gateway],
    mode: Removal,
    remove: impl Fn(&Gateway, Removal) -> Result<Vec<StoredGroup>, Error>,
) -> Result<ExitCode, Failure> {
    context::for_each(gateways, |gateway| {
        let mut removed = remove(gateway, mode)?;
        removed.sort_by(|a, b| pushed_at(a).total_cmp(&pushed_at(b)));
        let lines: String =
            removed.iter().map(|group| format!("  {}\n", describe(group))).collect();
        terminal::print(&format!("{lines}{}", summary(mode, removed.len(), gateway)))
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Returns the line about the number of groups.
pub(crate) fn summary(mode: Removal, number: usize, gateway: &Gateway) -> String {
    format!("{} {} from {}.\n", verb(mode), count(number, "group"), gateway.url())
}

/// Returns the verb for the removed groups or files.
pub(crate) fn verb(mode: Removal) -> &'static str {
    match mode {
        Removal::DryRun => "Would remove",
        Removal::Apply => "Removed",
    }
}

/// Describes a group with the time of its last push.
pub(crate) fn describe(group: &StoredGroup) -> String {
    let key = context::key_with(&group.labels);
    let name = key.map_or_else(|| format!("{:?}", group.labels), |key| key.to_string());
    match group.pushed_at() {
        Some(pushed_at) => format!("{name}  last push {}", time(pushed_at)),
        None => format!("{name}  no accepted push"),
    }
}

fn pushed_at(group: &StoredGroup) -> f64 {
    group.pushed_at().unwrap_or_default()
}
