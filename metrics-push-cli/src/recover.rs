//! `metrics-push recover`: delivers spooled requests and reports abandoned runs.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use metrics_push::Recovery;

use crate::context::{self, GatewayArguments};
use crate::failure::{FAILED, Failure};
use crate::terminal;

const HELP: &str = "\
Exit status:
  0
          Every request was delivered.
  1
          Undelivered requests are left.
";

/// The default of `--timeout`. Longer than the default of a job, because no job waits for this subcommand.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// Delivers the undelivered requests in the state directory and reports abandoned runs.
///
/// Each run of a job does the same. Use this subcommand in a timer, or when a gateway is available again and no run is
/// due. The timeout limits the whole subcommand; without --timeout and METRICS_PUSH_TIMEOUT it is 60 s. If a gateway does
/// not respond to the first request, the others for it stay in the state directory.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Arguments {
    #[command(flatten)]
    gateways: GatewayArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let config = context::config(&arguments.gateways)?;
    // Fails if no gateway is configured.
    context::gateways(&config)?;
    metrics_push::init(config)?;
    let recovery = metrics_push::recover(arguments.gateways.timeout_or(DEFAULT_TIMEOUT));
    terminal::print(&format!("{}\n", summary(&recovery)))?;
    Ok(if recovery.left == 0 { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn summary(recovery: &Recovery) -> String {
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
