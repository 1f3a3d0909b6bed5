//! `metrics-push delete`, `prune` and `wipe`: one group, those that are old, or all; each shows first, if it is asked to.

use std::process::ExitCode;

use metrics_push::{Config, Gateway, GroupingKey, Removal, StoredGroup};

use crate::arguments::{Delete, Gateways, Prune, Wipe};
use crate::ending::Failure;
use crate::{session, terminal};

pub(crate) fn delete(arguments: &Delete) -> Result<ExitCode, Failure> {
    let config = session::config(&arguments.gateways)?;
    let key = session::key(&config, &arguments.group)?;
    let removal = removal(&config, arguments.dry_run);
    session::each(&session::gateways(&config)?, |gateway| {
        if !holds(gateway, &key)? {
            return terminal::print(&format!("There is no {key} at {}.\n", gateway.url()));
        }
        if removal == Removal::Apply {
            gateway.delete(&key)?;
        }
        tell(removal, &key, gateway)
    })?;
    Ok(ExitCode::SUCCESS)
}

/// A gateway takes the removal of any group, so that a name that is misspelled would seem to have been removed.
fn holds(gateway: &Gateway, key: &GroupingKey) -> Result<bool, Failure> {
    match gateway.metrics() {
        Ok(groups) => Ok(groups.iter().any(|group| key_of(group).is_ok_and(|held| held == *key))),
        Err(error) if error.is_unreachable() || error.is_timeout() => Err(error.into()),
        // Not all that take pushes can list what they hold.
        Err(_) => Ok(true),
    }
}

pub(crate) fn prune(arguments: &Prune) -> Result<ExitCode, Failure> {
    remove(&arguments.gateways, arguments.dry_run, |gateway, removal| {
        gateway.prune(arguments.older_than, removal)
    })
}

pub(crate) fn wipe(arguments: &Wipe) -> Result<ExitCode, Failure> {
    remove(&arguments.gateways, arguments.dry_run, Gateway::wipe)
}

/// What was asked for, by the argument or by the variable.
fn removal(config: &Config, dry_run: bool) -> Removal {
    if dry_run || config.is_dry_run() { Removal::DryRun } else { Removal::Apply }
}

fn remove(
    arguments: &Gateways,
    dry_run: bool,
    task: impl Fn(&Gateway, Removal) -> Result<Vec<StoredGroup>, metrics_push::Error>,
) -> Result<ExitCode, Failure> {
    let config = session::config(arguments)?;
    let removal = removal(&config, dry_run);
    session::each(&session::gateways(&config)?, |gateway| {
        let removed = task(gateway, removal)?;
        for group in &removed {
            tell(removal, &key_of(group)?, gateway)?;
        }
        if removed.is_empty() {
            terminal::print(&format!("There is nothing to remove from {}.\n", gateway.url()))?;
        }
        Ok(())
    })?;
    Ok(ExitCode::SUCCESS)
}

fn tell(removal: Removal, key: &GroupingKey, gateway: &Gateway) -> Result<(), Failure> {
    let verb = match removal {
        Removal::DryRun => "Would remove",
        Removal::Apply => "Removed",
    };
    terminal::print(&format!("{verb} {key} from {}.\n", gateway.url()))
}

fn key_of(group: &StoredGroup) -> Result<GroupingKey, Failure> {
    let job = group.labels.get("job").map_or("", String::as_str);
    let labels = group.labels.iter().filter(|(name, _)| *name != "job");
    let key = labels.fold(GroupingKey::new(job), |key, (name, value)| {
        key.and_then(|key| key.label(name, value))
    });
    Ok(key?)
}
