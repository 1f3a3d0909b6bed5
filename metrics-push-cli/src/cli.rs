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
    completions, dashboard, delete, exec, help, history, man, page, prune, push, recover, relay,
    rules, serve, spool, status, wipe,
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
    Page(page::Arguments),
    Serve(serve::Arguments),
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

/// The command line with `exec` as the only subcommand. Each run of a job starts this program, and building the other
/// subcommands takes longer than parsing the arguments of `exec`.
#[derive(Debug, Parser)]
enum JobCommandLine {
    Exec(exec::Arguments),
}

/// Parses the arguments of the process and runs the subcommand. Invalid arguments end the process, except for `exec`.
pub(crate) fn run() -> Result<ExitCode, Failure> {
    let words: Vec<OsString> = std::env::args_os().collect();
    if let Some(arguments) = parse_exec(&words) {
        return exec::run(&arguments, Vec::new());
    }
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
        Subcommand::Page(arguments) => page::run(&arguments),
        Subcommand::Serve(arguments) => serve::run(&arguments),
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

/// Returns the arguments of `exec`; `None` for another subcommand, for invalid arguments and if the help is requested.
fn parse_exec(words: &[OsString]) -> Option<exec::Arguments> {
    words.get(1).filter(|word| *word == "exec")?;
    let JobCommandLine::Exec(arguments) = JobCommandLine::try_parse_from(words).ok()?;
    Some(arguments)
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
    fn exec_is_parsed_without_the_other_subcommands() {
        for (arguments, is_exec) in [
            ("exec -- true --help", true),
            ("exec --job backup --every 24h --grouping shard=2 backup --all", true),
            ("exec --url http://gateway --max-runtime 1h --kill --ok-exit-code 3,4 -- true", true),
            ("exec --every soon -- true", false),
            ("exec --help", false),
            ("exec", false),
            ("status", false),
            ("", false),
        ] {
            let words = format!("metrics-push {arguments}");
            let words: Vec<OsString> = words.split_whitespace().map(OsString::from).collect();
            let expected = match CommandLine::try_parse_from(&words) {
                Ok(CommandLine { subcommand: Subcommand::Exec(arguments) }) => Some(arguments),
                _ => None,
            };
            let parsed = parse_exec(&words);
            assert_eq!(parsed.is_some(), is_exec, "{arguments}");
            assert_eq!(format!("{parsed:?}"), format!("{expected:?}"));
        }
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
