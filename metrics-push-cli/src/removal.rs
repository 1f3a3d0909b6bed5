//! Shared by `delete`, `prune` and `wipe`: removes groups, or lists them in a dry run.

use std::process::ExitCode;

use clap::Args;
use metrics_push::{Config, Error, Gateway, GroupingKey, Removal, StoredGroup};

use crate::context::{self, GatewayArguments};
use crate::failure::Failure;
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

/// Calls `remove` for each gateway and prints the groups that it returns.
pub(crate) fn run(
    gateways: &GatewayArguments,
    arguments: &RemovalArguments,
    remove: impl Fn(&Gateway, Removal) -> Result<Vec<StoredGroup>, Error>,
) -> Result<ExitCode, Failure> {
    let config = context::config(gateways)?;
    let mode = arguments.mode(&config);
    context::for_each(&context::gateways(&config)?, |gateway| {
        let removed = remove(gateway, mode)?;
        for group in &removed {
            print_removed(mode, &key(group)?, gateway)?;
        }
        if removed.is_empty() {
            terminal::print(&format!("No groups to remove from {}.\n", gateway.url()))?;
        }
        Ok(())
    })?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn print_removed(
    mode: Removal,
    key: &GroupingKey,
    gateway: &Gateway,
) -> Result<(), Failure> {
    let verb = match mode {
        Removal::DryRun => "Would remove",
        Removal::Apply => "Removed",
    };
    terminal::print(&format!("{verb} {key} from {}.\n", gateway.url()))
}

/// Returns the grouping key of a stored group.
pub(crate) fn key(group: &StoredGroup) -> Result<GroupingKey, Failure> {
    let job = group.labels.get("job").map_or("", String::as_str);
    let labels = group.labels.iter().filter(|(name, _)| *name != "job");
    let key = labels.fold(GroupingKey::new(job), |key, (name, value)| {
        key.and_then(|key| key.label(name, value))
    });
    Ok(key?)
}
