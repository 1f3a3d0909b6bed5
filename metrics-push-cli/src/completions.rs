//! `metrics-push completions`: prints a completion script for a shell.

use std::process::ExitCode;

use clap::{Args, Command};
use clap_complete::Shell;

use crate::failure::Failure;
use crate::terminal;

const HELP: &str = "\
Examples:
  metrics-push completions bash > /etc/bash_completion.d/metrics-push
  metrics-push completions zsh > /usr/local/share/zsh/site-functions/_metrics-push
  metrics-push completions fish > ~/.config/fish/completions/metrics-push.fish
";

/// Prints a completion script for a shell.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Arguments {
    shell: Shell,
}

pub(crate) fn run(arguments: &Arguments, mut command: Command) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "metrics-push", &mut script);
    let script = String::from_utf8_lossy(&script);
    // The generator for bash escapes the hyphen of the name in two different ways, so that subcommands are not found.
    terminal::print(&script.replace("metrics__subcmd__push", "metrics__push"))?;
    Ok(ExitCode::SUCCESS)
}
