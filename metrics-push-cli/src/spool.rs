//! `metrics-push spool`: lists, shows, moves and drops the requests and runs in the state directory.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::Args;
use metrics_push::{GroupingKey, SpooledRequest, UnreportedRun};

use crate::context::{self, GatewayArguments, GroupArguments};
use crate::failure::{FAILED, Failure};
use crate::humanize::{count, time, unix_seconds};
use crate::terminal;

const LIST_HELP: &str = "\
Exit status:
  0
          Nothing is stored.
  1
          Undelivered requests or unreported runs are stored.
";

const MOVE_HELP: &str = "\
Examples:
  metrics-push spool move --from http://gatway:9091 --to http://gateway:9091
";

#[derive(Debug, clap::Subcommand)]
pub(crate) enum SpoolCommand {
    List(List),
    Show(Show),
    Move(Move),
    Drop(Drop),
}

/// Lists the undelivered requests and the unreported runs of dead processes, for all gateways, oldest first.
///
/// A request or run for a gateway that is not configured is marked: no run delivers it. `metrics-push recover --from URL`
/// delivers it to the configured gateway.
#[derive(Debug, Args)]
#[command(after_long_help = LIST_HELP)]
pub(crate) struct List {
    #[command(flatten)]
    filter: UrlFilter,
}

/// Prints the undelivered metrics of a group in the text format.
#[derive(Debug, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    filter: UrlFilter,
    #[command(flatten)]
    group: GroupArguments,
}

/// Assigns the stored requests and runs of one gateway to another one. Sends nothing.
///
/// The next run for the other gateway delivers them, and so does `metrics-push recover`.
#[derive(Debug, Args)]
#[command(after_long_help = MOVE_HELP)]
pub(crate) struct Move {
    /// The URL of the gateway for which they are stored, as `metrics-push spool list` prints it.
    #[arg(long, value_name = "URL", value_parser = context::parse_stored_url)]
    from: String,
    /// The URL of the other gateway; by default the configured one.
    #[arg(long, value_name = "URL", value_parser = context::parse_stored_url)]
    to: Option<String>,
}

/// Drops the stored requests and runs of a group: they will not be delivered.
#[derive(Debug, Args)]
pub(crate) struct Drop {
    #[command(flatten)]
    filter: UrlFilter,
    #[command(flatten)]
    group: GroupArguments,
    /// Drops the stored requests and runs of all groups.
    #[arg(long, conflicts_with_all = ["job", "grouping"])]
    all: bool,
    /// Prints the requests and runs, and does not drop them.
    #[arg(long)]
    dry_run: bool,
}

/// The argument that selects a gateway.
#[derive(Debug, Args)]
struct UrlFilter {
    /// Selects the stored requests and runs for the gateway at this URL; by default for all gateways.
    #[arg(long, value_parser = context::parse_stored_url)]
    url: Option<String>,
}

pub(crate) fn run(subcommand: &SpoolCommand) -> Result<ExitCode, Failure> {
    match subcommand {
        SpoolCommand::List(arguments) => list(arguments),
        SpoolCommand::Show(arguments) => show(arguments),
        SpoolCommand::Move(arguments) => relocate(arguments),
        SpoolCommand::Drop(arguments) => discard(arguments),
    }
}

fn list(arguments: &List) -> Result<ExitCode, Failure> {
    let stored = Stored::read(&arguments.filter, None)?;
    if stored.is_empty() {
        let is_filtered = arguments.filter.url.is_some();
        terminal::print(if is_filtered {
            "The spool has nothing for this URL.\n"
        } else {
            "The spool is empty.\n"
        })?;
        return Ok(ExitCode::SUCCESS);
    }
    let requests = stored.requests.iter().map(request_line);
    let lines: String = requests.chain(stored.runs.iter().map(run_line)).collect();
    terminal::print(&format!("{lines}{}", stored.hints()))?;
    Ok(ExitCode::from(FAILED))
}

fn show(arguments: &Show) -> Result<ExitCode, Failure> {
    let stored = Stored::read(&arguments.filter, Some(&arguments.group))?;
    stored.require_some()?;
    for request in &stored.requests {
        terminal::print(&format!("# {}{}", request_line(request), request.exposition()))?;
    }
    for run in &stored.runs {
        terminal::print(&format!("# {}", run_line(run)))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn relocate(arguments: &Move) -> Result<ExitCode, Failure> {
    let config = context::config(&GatewayArguments::default())?;
    let to = match &arguments.to {
        Some(to) => to.clone(),
        None => context::only_sink(&config, "--to")?.to_owned(),
    };
    metrics_push::init(config)?;
    move_undelivered(&arguments.from, &to)?;
    Ok(ExitCode::SUCCESS)
}

/// Moves the stored requests and runs for `from` and prints their number. Fails with the other URLs if there are none.
pub(crate) fn move_undelivered(from: &str, to: &str) -> Result<(), Failure> {
    if from == to {
        return Ok(());
    }
    let moved = metrics_push::move_undelivered(from, to)?;
    if moved == 0 {
        let stored = Stored::read_all();
        let urls: Vec<_> = stored.urls().into_keys().collect();
        let others = match &urls[..] {
            [] => "the spool is empty".to_owned(),
            urls => format!("use one of these URLs: {}", urls.join(", ")),
        };
        return Err(Failure::failed(format!("nothing is stored for {from}; {others}")));
    }
    terminal::print(&format!("Moved {} from {from} to {to}.\n", count(moved, "outcome")))
}

fn discard(arguments: &Drop) -> Result<ExitCode, Failure> {
    let group = (!arguments.all).then_some(&arguments.group);
    let stored = Stored::read(&arguments.filter, group)?;
    stored.require_some()?;
    let verb = if arguments.dry_run { "Would drop" } else { "Dropped" };
    for request in stored.requests {
        let line = format!("{verb} the request for {} on {}.\n", request.key(), request.url());
        if !arguments.dry_run {
            request.discard();
        }
        terminal::print(&line)?;
    }
    for run in stored.runs {
        let line = format!("{verb} the run of {} on {}.\n", run.key(), run.urls().join(", "));
        if !arguments.dry_run {
            run.discard()?;
        }
        terminal::print(&line)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Returns a line for each URL that is not configured and that stored requests or runs have.
pub(crate) fn hints() -> String {
    Stored::read_all().hints()
}

/// The undelivered requests and unreported runs in the state directory.
struct Stored {
    requests: Vec<SpooledRequest>,
    runs: Vec<UnreportedRun>,
}

impl Stored {
    /// Reads the requests and runs for a gateway and a group, or for all.
    fn read(filter: &UrlFilter, group: Option<&GroupArguments>) -> Result<Self, Failure> {
        let config = context::config(&GatewayArguments::default())?;
        let key: Option<GroupingKey> =
            group.map(|group| context::key(&config, group)).transpose()?;
        metrics_push::init(config)?;
        let has_key = |stored: &GroupingKey| key.as_ref().is_none_or(|key| stored == key);
        let has_url = |stored: &str| filter.url.as_ref().is_none_or(|url| stored == url);
        let mut all = Self::read_all();
        all.requests.retain(|request| has_key(request.key()) && has_url(request.url()));
        all.runs.retain(|run| has_key(run.key()) && run.urls().iter().any(|url| has_url(url)));
        Ok(all)
    }

    fn read_all() -> Self {
        let requests = metrics_push::spooled_requests();
        Self { requests, runs: metrics_push::unreported_runs() }
    }

    fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.runs.is_empty()
    }

    fn require_some(&self) -> Result<(), Failure> {
        if self.is_empty() {
            return Err(Failure::failed(
                "no stored request or run matches; run `metrics-push spool list` for a list",
            ));
        }
        Ok(())
    }

    /// Returns the number of requests and runs for each URL.
    fn urls(&self) -> BTreeMap<String, usize> {
        self.count_urls(|_| true)
    }

    fn count_urls(&self, is_counted: impl Fn(bool) -> bool) -> BTreeMap<String, usize> {
        let requests = self.requests.iter().filter(|request| is_counted(request.is_configured()));
        let runs = self.runs.iter().filter(|run| is_counted(run.is_configured()));
        let urls = requests.map(|request| request.url().to_owned());
        let mut counts = BTreeMap::new();
        for url in urls.chain(runs.flat_map(|run| run.urls().iter().cloned())) {
            *counts.entry(url).or_default() += 1;
        }
        counts
    }

    /// Returns a line for each URL that is not configured.
    fn hints(&self) -> String {
        // A run for several URLs is not configured if one of them is not.
        let configured = metrics_push::gateway_urls();
        let urls = self.count_urls(|is_configured| !is_configured).into_iter();
        let urls = urls.filter(|(url, _)| !configured.contains(url));
        let hints = urls.map(|(url, number)| {
            format!(
                "{} for {url}, which is not configured; run `metrics-push recover --from {url}` to deliver to the \
                 configured gateway.\n",
                count(number, "outcome")
            )
        });
        hints.collect()
    }
}

fn request_line(request: &SpooledRequest) -> String {
    let what = format!("{} request", request.verb().as_str());
    line(request.created_at(), &what, request.key(), request.url())
}

fn run_line(run: &UnreportedRun) -> String {
    let outcome = run.outcome().unwrap_or(metrics_push::Outcome::Abandoned);
    line(run.started_at(), &format!("{outcome} run"), run.key(), &run.urls().join(", "))
}

fn line(at: SystemTime, what: &str, key: &GroupingKey, url: &str) -> String {
    format!("{}  {what:<13}  {key}  {url}\n", time(unix_seconds(at)))
}
