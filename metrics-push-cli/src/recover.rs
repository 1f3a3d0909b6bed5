//! `metrics-push recover`: delivers spooled requests and reports abandoned runs.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use metrics_push::Recovery;

use crate::context::{self, GatewayArguments};
use crate::failure::{FAILED, Failure};
use crate::humanize::count;
use crate::{spool, terminal};

const HELP: &str = "\
Exit status:
  0
          Nothing is left for the configured gateways.
  1
          Undelivered requests or unreported runs are left.

Examples:
  metrics-push recover --url http://gateway:9091 --from http://gatway:9091
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
    /// First assigns the stored requests and runs for this URL, which was wrong or has changed, to the configured gateway.
    #[arg(long, value_name = "URL", value_parser = context::parse_stored_url)]
    from: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let config = context::config(&arguments.gateways)?;
    let from = arguments.from.as_deref();
    // Fails if no sink is configured.
    context::sinks(&config)?;
    let to = from.map(|_| context::only_sink(&config, "--url").map(str::to_owned)).transpose()?;
    metrics_push::init(config)?;
    if let Some((from, to)) = from.zip(to) {
        spool::move_undelivered(from, &to)?;
    }
    let recovery = metrics_push::recover(arguments.gateways.timeout_or(DEFAULT_TIMEOUT));
    terminal::print(&format!("{}\n{}", summary(&recovery), spool::hints()))?;
    Ok(if recovery.left == 0 { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn summary(recovery: &Recovery) -> String {
    format!(
        "{} delivered, {} reported, {} left.",
        count(recovery.delivered, "outcome"),
        count(recovery.abandoned, "abandoned run"),
        recovery.left,
    )
}
