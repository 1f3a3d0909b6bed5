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
    completions, dashboard, delete, exec, help, history, man, prune, push, recover, relay, rules,
    spool, status, wipe,
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
    History(history::Arguments),
    Push(push::Arguments),
    Delete(delete::Arguments),
    Prune(prune::Arguments),
    Wipe(wipe::Arguments),
    Recover(recover::Arguments),
    Relay(relay::Arguments),
    /// Lists, shows, moves and drops the requests and runs in the state directory.
    #[command(subcommand)]
    Spool(spool::SpoolCommand),
    Exec(exec::Arguments),
    Rules(rules::Arguments),
    Dashboard(dashboard::Arguments),
    Completions(completions::Arguments),
    Man(man::Arguments),
}

/// Parses the arguments of the process and runs the subcommand. Invalid arguments end the process, except for `exec`.
pub(crate) fn run() -> Result<ExitCode, Failure> {
    let words: Vec<OsString> = std::env::args_os().collect();
    let command_line = match CommandLine::try_parse_from(&words) {
        Ok(command_line) => command_line,
        Err(error) => {
            let (arguments, problems) =
                exec::parse_valid_options(&CommandLine::command(), &words, error)
                    .unwrap_or_else(|error| without_secrets(error).exit());
            return exec::run(&arguments, problems);
        }
    };
    match command_line.subcommand {
        Subcommand::Status(arguments) => status::run(&arguments),
        Subcommand::History(arguments) => history::run(&arguments),
        Subcommand::Push(arguments) => push::run(&arguments),
        Subcommand::Delete(arguments) => delete::run(&arguments),
        Subcommand::Prune(arguments) => prune::run(&arguments),
        Subcommand::Wipe(arguments) => wipe::run(&arguments),
        Subcommand::Recover(arguments) => recover::run(&arguments),
        Subcommand::Relay(arguments) => relay::run(&arguments),
        Subcommand::Spool(subcommand) => spool::run(&subcommand),
        Subcommand::Exec(arguments) => exec::run(&arguments, Vec::new()),
        Subcommand::Rules(arguments) => rules::run(&arguments),
        Subcommand::Dashboard(arguments) => dashboard::run(&arguments),
        Subcommand::Completions(arguments) => completions::run(&arguments, CommandLine::command()),
        Subcommand::Man(arguments) => man::run(&arguments, CommandLine::command()),
    }
}

/// Replaces the URLs that the error repeats, because they may contain passwords. The cause of an invalid URL shows the URL
/// without its password.
fn without_secrets(mut error: clap::Error) -> clap::Error {
    let text = |error: &clap::Error, kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        _ => String::new(),
    };
    let is_of_url = text(&error, ContextKind::InvalidArg).ends_with("<URL>");
    for kind in [ContextKind::InvalidArg, ContextKind::InvalidSubcommand, ContextKind::InvalidValue]
    {
        let is_url = kind == ContextKind::InvalidValue && is_of_url;
        if is_url || text(&error, kind).contains("://") {
            error.insert(kind, ContextValue::String("…".to_owned()));
        }
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

    #[test]
    fn errors_do_not_repeat_passwords() {
        for arguments in [
            "status --url http://user:hunter2@bad|host",
            "status --urll=http://user:hunter2@host",
            "status --json=http://user:hunter2@host",
            "status http://user:hunter2@host",
            "http://user:hunter2@host",
            "spool http://user:hunter2@host",
            "spool list --url http://user:hunter2@bad|host",
            "spool move --from http://user:hunter2@bad|host",
            "spool move --from http://a --to http://user:hunter2@bad|host",
            "recover --from http://user:hunter2@bad|host",
            "completions http://user:hunter2@host",
        ] {
            let words = arguments.split(' ').map(|word| word.replace('|', " "));
            let words = std::iter::once("metrics-push".to_owned()).chain(words);
            let error = without_secrets(CommandLine::try_parse_from(words).unwrap_err());
            let text = error.to_string();
            assert!(!text.contains("hunter2"), "{arguments}: {text}");
        }
    }
}
