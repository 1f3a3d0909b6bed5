//! The command line: one variant and one file for each subcommand.
//!
//! `completions` and `man` are generated from the command line. They receive it as an argument, so that no file of a
//! subcommand imports this one.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory as _, Parser};

use crate::failure::Failure;
use crate::{
    assets, completions, delete, exec, help, man, prune, push, recover, spool, status, wipe,
};

/// Inspects and maintains the metrics that batch jobs push to a Prometheus Pushgateway.
#[derive(Debug, Parser)]
#[command(name = "metrics-push", version, after_long_help = help::environment())]
struct CommandLine {
    #[command(subcommand)]
    subcommand: Subcommand,
}

#[derive(Debug, clap::Subcommand)]
enum Subcommand {
    Status(status::Arguments),
    Push(push::Arguments),
    Delete(delete::Arguments),
    Prune(prune::Arguments),
    Wipe(wipe::Arguments),
    Recover(recover::Arguments),
    /// Lists, shows, moves and drops what is stored in the state directory.
    #[command(subcommand)]
    Spool(spool::SpoolCommand),
    Exec(exec::Arguments),
    /// Prints the alert rules of this version as one file for Prometheus' rule_files.
    Rules,
    /// Prints the dashboard of this version, to import into Grafana.
    Dashboard,
    Completions(completions::Arguments),
    Man(man::Arguments),
}

/// Parses the arguments of the process and runs the subcommand. Invalid arguments end the process, except for `exec`.
pub(crate) fn run() -> Result<ExitCode, Failure> {
    let words: Vec<OsString> = std::env::args_os().collect();
    let command_line = match CommandLine::try_parse_from(&words) {
        Ok(command_line) => command_line,
        Err(error) => {
            let (arguments, mistakes) =
                exec::parse_valid_options(&CommandLine::command(), &words, error)
                    .unwrap_or_else(|error| without_value(error).exit());
            return exec::run(&arguments, mistakes);
        }
    };
    match command_line.subcommand {
        Subcommand::Status(arguments) => status::run(&arguments),
        Subcommand::Push(arguments) => push::run(&arguments),
        Subcommand::Delete(arguments) => delete::run(&arguments),
        Subcommand::Prune(arguments) => prune::run(&arguments),
        Subcommand::Wipe(arguments) => wipe::run(&arguments),
        Subcommand::Recover(arguments) => recover::run(&arguments),
        Subcommand::Spool(subcommand) => spool::run(&subcommand),
        Subcommand::Exec(arguments) => exec::run(&arguments, Vec::new()),
        Subcommand::Rules => assets::print_rules(),
        Subcommand::Dashboard => assets::print_dashboard(),
        Subcommand::Completions(arguments) => completions::run(&arguments, CommandLine::command()),
        Subcommand::Man(arguments) => man::run(&arguments, CommandLine::command()),
    }
}

/// Removes an invalid value from an error: a URL may contain a password, and the message of its parser repeats the rest.
fn without_value(mut error: clap::Error) -> clap::Error {
    if error.kind() == clap::error::ErrorKind::ValueValidation {
        error.insert(ContextKind::InvalidValue, ContextValue::String("…".into()));
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }
}
