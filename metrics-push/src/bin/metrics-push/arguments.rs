//! The grammar of the command line, and the only file that names the parser.
//!
//! What help says beyond arguments is in `manual.rs`.

#![expect(clippy::doc_markdown, reason = "these comments are the command's help, for terminals")]

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, CommandFactory as _, Parser, ValueEnum};
use metrics_push::{Gateway, GroupingKey, parse_duration};

use crate::generate::Shell;
use crate::manual;

pub(crate) use clap::Command;

/// Looks after the batch jobs that report to a Prometheus Pushgateway.
#[derive(Debug, Parser)]
#[command(name = "metrics-push", version, after_long_help = manual::environment())]
struct CommandLine {
    #[command(subcommand)]
    subcommand: Subcommand,
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Subcommand {
    Status(Status),
    Push(Push),
    Delete(Delete),
    Prune(Prune),
    Wipe(Wipe),
    Recover(Recover),
    /// Lists, shows and drops what waits in the state directory for a gateway.
    #[command(subcommand)]
    Spool(Spool),
    Exec(Exec),
    /// Prints the alert rules that go with this version, as one file for Prometheus' rule_files.
    Rules,
    /// Prints the dashboard that goes with this version, to be imported into Grafana.
    Dashboard,
    Completions(Completions),
    Man(Man),
}

/// Shows the gateway's jobs, those that need somebody first.
///
/// On a terminal the table fits its width and has colours; in a pipe every group has one line.
#[derive(Debug, Args)]
#[command(after_long_help = manual::STATUS)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) gateways: Gateways,
    /// Shows only groups of this job.
    #[arg(long, value_name = "NAME")]
    pub(crate) job: Option<String>,
    /// Prints JSON: all that is known, with times in seconds. Its fields stay; others may be added.
    #[arg(long)]
    pub(crate) json: bool,
    /// Whether to use colours.
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Color,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    Always,
    Never,
}

/// Pushes metrics in the text format, from a file or from standard input.
///
/// The metrics are checked before anything is sent: a mistake is named with its line, and the group stays as it is.
#[derive(Debug, Args)]
#[command(after_long_help = manual::PUSH)]
pub(crate) struct Push {
    #[command(flatten)]
    pub(crate) gateways: Gateways,
    #[command(flatten)]
    pub(crate) group: Group,
    /// Keeps what else the group holds; without it, the group is replaced.
    #[arg(long)]
    pub(crate) add: bool,
    /// Shows what would be sent, and sends nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// The file to read; standard input, if it is `-` or missing.
    pub(crate) file: Option<PathBuf>,
}

/// Removes one group, with everything it holds.
///
/// Alerts on the job can't fire any more: this is for jobs that have been retired, not for the end of a run.
#[derive(Debug, Args)]
pub(crate) struct Delete {
    #[command(flatten)]
    pub(crate) gateways: Gateways,
    #[command(flatten)]
    pub(crate) group: Group,
    /// Shows what would be removed, and removes nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Removes the groups to which nothing has been pushed for long.
///
/// A gateway forgets nothing by itself: this is for groups of jobs, hosts and tenants that are no more. Their alerts go
/// with them.
#[derive(Debug, Args)]
pub(crate) struct Prune {
    #[command(flatten)]
    pub(crate) gateways: Gateways,
    /// How long ago the last push must have been, such as 30d.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) older_than: Duration,
    /// Shows what would be removed, and removes nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Removes everything a gateway holds, of every job.
///
/// The gateway must have been started with --web.enable-admin-api.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("how").required(true).args(["dry_run", "yes"]))]
pub(crate) struct Wipe {
    #[command(flatten)]
    pub(crate) gateways: Gateways,
    /// Shows what would be removed, and removes nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Removes it.
    #[arg(long)]
    pub(crate) yes: bool,
}

/// Delivers what waits in the state directory, and reports runs whose process died.
///
/// Each run does this on its way; this is for a timer, or for when a gateway is back and no run is due.
#[derive(Debug, Args)]
#[command(after_long_help = manual::RECOVER)]
pub(crate) struct Recover {
    #[command(flatten)]
    pub(crate) gateways: Gateways,
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Spool {
    List(SpoolList),
    Show(SpoolShow),
    Drop(SpoolDrop),
}

/// Lists what waits, oldest first.
#[derive(Debug, Args)]
#[command(after_long_help = manual::SPOOL_LIST)]
pub(crate) struct SpoolList {
    #[command(flatten)]
    pub(crate) gateways: Gateways,
}

/// Shows what waits for a group, in the text format.
#[derive(Debug, Args)]
pub(crate) struct SpoolShow {
    #[command(flatten)]
    pub(crate) gateways: Gateways,
    #[command(flatten)]
    pub(crate) group: Group,
}

/// Gives up what waits for a group: it will not be delivered.
#[derive(Debug, Args)]
pub(crate) struct SpoolDrop {
    #[command(flatten)]
    pub(crate) gateways: Gateways,
    #[command(flatten)]
    pub(crate) group: Group,
    /// Gives up everything that waits, for all groups.
    #[arg(long, conflicts_with_all = ["job", "grouping"])]
    pub(crate) all: bool,
    /// Shows what would be given up, and keeps it.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Runs a command as a run of a job: its end is reported, whatever it is.
///
/// Exit codes, signals, kills and the kernel's out-of-memory killer are told apart. Signals are passed on to the command.
/// Its input and output are its own, and if no gateway is configured, it is run and nothing else.
#[derive(Debug, Args)]
#[command(after_long_help = manual::EXEC)]
pub(crate) struct Exec {
    #[command(flatten)]
    pub(crate) gateways: Gateways,
    #[command(flatten)]
    pub(crate) group: Group,
    /// How often a success is expected, such as 24h: twice this is the deadline that alert rules use.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) every: Option<Duration>,
    /// How long a run may take before it counts as lost.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) max_runtime: Option<Duration>,
    /// Ends the command when it has taken that long: with TERM, and with KILL if that does not help.
    #[arg(long, requires = "max_runtime")]
    pub(crate) kill: bool,
    /// The command and its arguments, after -- if one of them could be meant for this command.
    #[arg(required = true, trailing_var_arg = true)]
    pub(crate) command: Vec<OsString>,
}

/// Prints the completions for a shell.
#[derive(Debug, Args)]
#[command(after_long_help = manual::COMPLETIONS)]
pub(crate) struct Completions {
    pub(crate) shell: Shell,
}

/// Prints the man page of the command, or of a subcommand.
#[derive(Debug, Args)]
#[command(after_long_help = manual::MAN)]
pub(crate) struct Man {
    /// The subcommand, such as status or spool list.
    pub(crate) subcommand: Vec<String>,
}

/// Which gateways, and how long to wait for them.
#[derive(Debug, Args)]
pub(crate) struct Gateways {
    /// The gateway to use, in place of METRICS_PUSH_URL.
    #[arg(long, value_parser = parse_url)]
    pub(crate) url: Option<String>,
    /// How long a request may take, in place of METRICS_PUSH_TIMEOUT.
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) timeout: Option<Duration>,
}

/// Which group.
#[derive(Debug, Args)]
pub(crate) struct Group {
    /// The job, in place of METRICS_PUSH_JOB.
    #[arg(long, value_name = "NAME")]
    pub(crate) job: Option<String>,
    /// A grouping label besides those of METRICS_PUSH_GROUPING and METRICS_PUSH_INSTANCE; an empty value takes one of
    /// them away.
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_label)]
    pub(crate) grouping: Vec<(String, String)>,
}

pub(crate) fn parse() -> Subcommand {
    CommandLine::parse().subcommand
}

/// The whole grammar, for what is generated from it.
pub(crate) fn grammar() -> Command {
    CommandLine::command()
}

fn parse_url(text: &str) -> Result<String, metrics_push::Error> {
    Gateway::new(text).map(|_| text.to_owned())
}

fn parse_label(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as name=value")?;
    let key = GroupingKey::new("any").and_then(|key| key.label(name, value));
    key.map(|_| (name.to_owned(), value.to_owned())).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_is_consistent() {
        grammar().debug_assert();
    }

    #[test]
    fn labels_are_checked_where_they_are_given() {
        assert_eq!(parse_label("a=b=c").unwrap(), ("a".to_owned(), "b=c".to_owned()));
        assert!(parse_label("a").unwrap_err().contains("name=value"));
        assert!(parse_label("a-b=c").unwrap_err().contains("underscores"));
        assert!(parse_label("job=c").unwrap_err().contains("\"job\""));
    }
}
