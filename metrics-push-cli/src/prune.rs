//! `metrics-push prune`: removes the groups without a recent push, also in textfile directories, or on the wrong shard.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use metrics_push::{Gateway, GroupFile, Removal, Textfiles, parse_duration};

use crate::context::{self, GatewayArguments};
use crate::failure::Failure;
use crate::humanize::{count, time, unix_seconds};
use crate::removal::{self, RemovalArguments};
use crate::terminal;

/// Removes the groups without a recent push, or copies on the wrong shard.
///
/// A gateway never removes groups by itself, and a textfile collector removes no files. Use this for groups of jobs, hosts
/// and tenants that no longer exist. Alerts on them can no longer fire.
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
    let Some(age) = arguments.older_than else {
        let misplaced = |gateway: &Gateway, mode| gateway.prune_misplaced(mode);
        return removal::run(&arguments.gateways, &arguments.removal, misplaced);
    };
    let config = context::config(&arguments.gateways)?;
    let mode = arguments.removal.mode(&config);
    let directories = Textfiles::from_config(&config)?;
    let urls: Vec<_> = directories.iter().map(Textfiles::url).collect();
    let gateways = context::gateways_beside(&config, &urls)?;
    for directory in &directories {
        prune_files(directory, age, mode)?;
    }
    removal::run_for(&gateways, mode, |gateway, mode| gateway.prune(age, mode))
}

/// Removes the files of a directory and prints them, oldest first.
fn prune_files(directory: &Textfiles, age: Duration, mode: Removal) -> Result<(), Failure> {
    let line = |file: &GroupFile| {
        let written_at = time(unix_seconds(file.written_at));
        format!("  {}  last push {written_at}\n", file.path.display())
    };
    let removed = directory.prune(age, mode)?;
    let lines: String = removed.iter().map(line).collect();
    let number = count(removed.len(), "file");
    let summary = format!("{} {number} from {}.\n", removal::verb(mode), directory.url());
    terminal::print(&format!("{lines}{summary}"))
}
