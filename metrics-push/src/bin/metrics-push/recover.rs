//! `metrics-push recover`: what waits on disk, delivered; runs whose process died, reported.

use std::process::ExitCode;
use std::time::Duration;

use metrics_push::Recovery;

use crate::arguments::Recover;
use crate::ending::{FAILED, Failure};
use crate::{session, terminal};

/// How long to try, unless arguments say otherwise: nobody's job waits for this.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn run(arguments: &Recover) -> Result<ExitCode, Failure> {
    let config = session::config(&arguments.gateways)?;
    // Without a gateway nothing could be delivered, and nobody told.
    session::gateways(&config)?;
    metrics_push::init(config)?;
    let recovery = metrics_push::recover(arguments.gateways.timeout.unwrap_or(PATIENCE));
    terminal::print(&format!("{}\n", sentence(&recovery)))?;
    Ok(if recovery.left == 0 { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn sentence(recovery: &Recovery) -> String {
    let count = |number: usize, one: &str, many: &str| match number {
        1 => format!("1 {one}"),
        _ => format!("{number} {many}"),
    };
    format!(
        "{} delivered, {} reported, {} left.",
        count(recovery.delivered, "outcome", "outcomes"),
        count(recovery.abandoned, "abandoned run", "abandoned runs"),
        recovery.left,
    )
}
