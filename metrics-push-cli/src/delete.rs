//! `metrics-push delete`: removes one group.

use std::process::ExitCode;

use clap::Args;
use metrics_push::{Gateway, GroupingKey, Removal, StoredGroup};

use crate::context::{self, GatewayArguments, GroupArguments};
use crate::failure::{FAILED, Failure};
use crate::humanize::count;
use crate::removal::{self, RemovalArguments};
use crate::terminal;

const HELP: &str = "\
Exit status:
  0
          The group was removed.
  1
          No gateway has this group, or a gateway did not remove it.
";

/// The maximum number of groups that are listed if the selected group does not exist.
const MAX_LISTED_GROUPS: usize = 10;

/// Removes one group with all its metrics.
///
/// Alerts on the job can no longer fire. Use this for retired jobs, not at the end of a run. A group has exactly the labels
/// that are given here: a job with further labels is another group.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
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
    let mut is_found = false;
    context::for_each(&context::gateways(&config)?, |gateway| {
        let groups = groups(gateway)?;
        let has_key = |group: &StoredGroup| {
            context::key_with(&group.labels).is_some_and(|stored| stored == key)
        };
        if let Some(groups) = groups.filter(|groups| !groups.iter().any(has_key)) {
            return terminal::print(&missing(&key, gateway, &groups));
        }
        if mode == Removal::Apply {
            gateway.delete(&key)?;
        }
        is_found = true;
        terminal::print(&format!("  {key}\n{}", removal::summary(mode, 1, gateway)))
    })?;
    Ok(if is_found { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

/// Returns the groups of a gateway; `None` if it does not list them, like some servers that accept pushes.
///
/// A gateway accepts the deletion of any group. Without the list, a misspelled name would be reported as removed.
fn groups(gateway: &Gateway) -> Result<Option<Vec<StoredGroup>>, Failure> {
    match gateway.metrics() {
        Ok(groups) => Ok(Some(groups)),
        Err(error) if error.is_unreachable() || error.is_timeout() => Err(error.into()),
        Err(_) => Ok(None),
    }
}

/// Returns the message for a group that does not exist. It lists the groups of the same job; all groups if there are none.
fn missing(key: &GroupingKey, gateway: &Gateway, groups: &[StoredGroup]) -> String {
    let is_of_job =
        |group: &&StoredGroup| group.labels.get("job").is_some_and(|job| job == key.job());
    let of_job: Vec<_> = groups.iter().filter(is_of_job).collect();
    let (owner, listed) = if of_job.is_empty() {
        ("the gateway", groups.iter().collect())
    } else {
        ("the job", of_job)
    };
    let mut lines: Vec<_> = listed.iter().map(|group| removal::describe(group)).collect();
    lines.sort();
    let mut text = format!(
        "No group {key} on {}, so nothing is removed; {owner} has {}.\n",
        gateway.url(),
        count(lines.len(), "group")
    );
    text.extend(lines.iter().take(MAX_LISTED_GROUPS).flat_map(|line| ["  ", line, "\n"]));
    if lines.len() > MAX_LISTED_GROUPS {
        text.push_str("  For all groups, run `metrics-push status`.\n");
    }
    text
}
