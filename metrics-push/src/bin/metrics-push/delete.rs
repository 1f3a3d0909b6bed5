//! `metrics-push delete`: one group, removed.

use std::process::ExitCode;

use crate::arguments::Delete;
use crate::ending::Failure;
use crate::{session, terminal};

pub(crate) fn run(arguments: &Delete) -> Result<ExitCode, Failure> {
    let mut config = session::config(&arguments.gateways)?;
    if arguments.dry_run {
        config = config.dry_run();
    }
    let key = session::key(&config, &arguments.group)?;
    session::each(&session::gateways(&config)?, |gateway| {
        gateway.delete(&key)?;
        if arguments.dry_run {
            return Ok(());
        }
        terminal::print(&format!("Removed {key} from {}.\n", gateway.url()))
    })?;
    Ok(ExitCode::SUCCESS)
}
