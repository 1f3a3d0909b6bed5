//! `metrics-push delete`, `prune` and `wipe`: one group, those that are old, or all; each shows first, if it is asked to.

use std::process::ExitCode;

use metrics_push::{Gateway, GroupingKey, Removal, StoredGroup};

use crate::arguments::{Delete, Gateways, Prune, Wipe};
use crate::ending::Failure;
use crate::{session, terminal};

pub(crate) fn delete(arguments: &Delete) -> Result<ExitCode, Failure> {
    let mut config = session::config(&arguments.gateways)?;
    if arguments.dry_run {
        config = config.dry_run();
    }
    let key = session::key(&config, &arguments.group)?;
    session::each(&session::gateways(&config)?, |gateway| {
        gateway.delete(&key)?;
        // A dry run has told already.
        if config.is_dry_run() { Ok(()) } else { tell(Removal::ForGood, &key, gateway) }
    })?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn prune(arguments: &Prune) -> Result<ExitCode, Failure> {
    remove(&arguments.gateways, removal(arguments.dry_run), |gateway, removal| {
        gateway.prune(arguments.older_than, removal)
    })
}

pub(crate) fn wipe(arguments: &Wipe) -> Result<ExitCode, Failure> {
    remove(&arguments.gateways, removal(arguments.dry_run), Gateway::wipe)
}

fn removal(dry_run: bool) -> Removal {
    if dry_run { Removal::DryRun } else { Removal::ForGood }
}

fn remove(
    arguments: &Gateways,
    wanted: Removal,
    task: impl Fn(&Gateway, Removal) -> Result<Vec<StoredGroup>, metrics_push::Error>,
) -> Result<ExitCode, Failure> {
    let config = session::config(arguments)?;
    let removal = if config.is_dry_run() { Removal::DryRun } else { wanted };
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
        Removal::ForGood => "Removed",
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
