//! `metrics-push spool`: lists, shows and drops the undelivered requests in the state directory.

use std::process::ExitCode;
use std::time::SystemTime;

use clap::Args;
use metrics_push::{GroupingKey, SpooledRequest};

use crate::context::{self, GatewayArguments, GroupArguments};
use crate::failure::{FAILED, Failure};
use crate::humanize::duration;
use crate::terminal;

const LIST_HELP: &str = "\
Exit status:
  0
          The spool is empty.
  1
          The spool has undelivered requests.
";

#[derive(Debug, clap::Subcommand)]
pub(crate) enum SpoolCommand {
    List(List),
    Show(Show),
    Drop(Drop),
}

/// Lists the undelivered requests, oldest first.
#[derive(Debug, Args)]
#[command(after_long_help = LIST_HELP)]
pub(crate) struct List {
    #[command(flatten)]
    gateways: GatewayArguments,
}

/// Prints the undelivered metrics of a group in the text format.
#[derive(Debug, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    gateways: GatewayArguments,
    #[command(flatten)]
    group: GroupArguments,
}

/// Drops the undelivered requests of a group: they will not be delivered.
#[derive(Debug, Args)]
pub(crate) struct Drop {
    #[command(flatten)]
    gateways: GatewayArguments,
    #[command(flatten)]
    group: GroupArguments,
    /// Drops the undelivered requests of all groups.
    #[arg(long, conflicts_with_all = ["job", "grouping"])]
    all: bool,
    /// Prints the requests and does not drop them.
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(subcommand: &SpoolCommand) -> Result<ExitCode, Failure> {
    match subcommand {
        SpoolCommand::List(arguments) => list(arguments),
        SpoolCommand::Show(arguments) => show(arguments),
        SpoolCommand::Drop(arguments) => discard(arguments),
    }
}

fn list(arguments: &List) -> Result<ExitCode, Failure> {
    let requests = requests(&arguments.gateways, None)?;
    let text: String = requests.iter().map(line).collect();
    terminal::print(if text.is_empty() { "The spool is empty.\n" } else { &text })?;
    Ok(if requests.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn show(arguments: &Show) -> Result<ExitCode, Failure> {
    let requests = requests(&arguments.gateways, Some(&arguments.group))?;
    require_some(&requests)?;
    for request in &requests {
        terminal::print(&format!("# {}{}", line(request), request.exposition()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn discard(arguments: &Drop) -> Result<ExitCode, Failure> {
    let group = (!arguments.all).then_some(&arguments.group);
    let requests = requests(&arguments.gateways, group)?;
    require_some(&requests)?;
    let verb = if arguments.dry_run { "Would drop" } else { "Dropped" };
    for request in requests {
        let (key, url) = (request.key(), request.url());
        terminal::print(&format!("{verb} the request for {key} on {url}.\n"))?;
        if !arguments.dry_run {
            request.discard();
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns the undelivered requests of a group, or of all groups.
fn requests(
    gateways: &GatewayArguments,
    group: Option<&GroupArguments>,
) -> Result<Vec<SpooledRequest>, Failure> {
    let config = context::config(gateways)?;
    // The library lists the requests of the configured gateways only.
    context::gateways(&config)?;
    let key: Option<GroupingKey> = group.map(|group| context::key(&config, group)).transpose()?;
    metrics_push::init(config)?;
    let is_selected =
        |request: &SpooledRequest| key.as_ref().is_none_or(|key| request.key() == key);
    Ok(metrics_push::spooled_requests().into_iter().filter(is_selected).collect())
}

fn require_some(requests: &[SpooledRequest]) -> Result<(), Failure> {
    if requests.is_empty() {
        return Err(Failure::failed(
            "the spool has no request for this group; run `metrics-push spool list` for a list",
        ));
    }
    Ok(())
}

fn line(request: &SpooledRequest) -> String {
    let age = SystemTime::now().duration_since(request.created_at()).unwrap_or_default();
    let age = duration(age.as_secs_f64());
    format!("{age:>6} ago  {:<6}  {}  {}\n", request.verb().as_str(), request.key(), request.url())
}
