//! `metrics-push push`: validates metrics in the text format and sends them.

use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use metrics_push::{Error, Exposition};

use crate::context::{self, GatewayArguments, GroupArguments};
use crate::failure::Failure;

const HELP: &str = "\
Exit status:
  0
          Every gateway accepted the metrics.
  1
          A gateway rejected them or did not respond.
  2
          Nothing was sent: correct the argument, the variable or the metrics.

Examples:
  df --output=avail -B1 / | awk 'NR == 2 {print \"free_bytes \" $1}' | metrics-push push --job disk_usage
";

/// Pushes metrics in the text format, from a file or from standard input.
///
/// The metrics are validated first. An error names the line, and the group stays unchanged.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Arguments {
    #[command(flatten)]
    gateways: GatewayArguments,
    #[command(flatten)]
    group: GroupArguments,
    /// Merges the metrics into the group; without it, they replace the group.
    #[arg(long)]
    add: bool,
    /// Prints the request and does not send it.
    #[arg(long)]
    dry_run: bool,
    /// The file to read; standard input if it is `-` or missing.
    file: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let mut config = context::config(&arguments.gateways)?;
    if arguments.dry_run {
        config = config.dry_run();
    }
    let key = context::key(&config, &arguments.group)?;
    let source = arguments.file.as_deref().filter(|file| *file != Path::new("-"));
    let exposition: Exposition = read(source)?
        .parse()
        .map_err(|error: Error| Failure::usage(format!("{}: {error}", describe(source))))?;
    if config.is_disabled() {
        // A script must not fail because metrics are disabled.
        eprintln!("metrics-push: METRICS_PUSH_DISABLED is set; nothing is pushed.");
        return Ok(ExitCode::SUCCESS);
    }
    context::for_each(&context::gateways(&config)?, |gateway| {
        if arguments.add {
            gateway.add(&key, &exposition)
        } else {
            gateway.push(&key, &exposition)
        }?;
        Ok(())
    })?;
    Ok(ExitCode::SUCCESS)
}

fn read(source: Option<&Path>) -> Result<String, Failure> {
    let text = match source {
        Some(file) => std::fs::read_to_string(file),
        None => {
            let mut stdin = std::io::stdin();
            if stdin.is_terminal() {
                eprintln!("metrics-push: Type one metric per line; Ctrl-D ends the input.");
            }
            let mut text = String::new();
            stdin.read_to_string(&mut text).map(|_| text)
        }
    };
    text.map_err(|error| Failure::usage(format!("cannot read {}: {error}", describe(source))))
}

fn describe(source: Option<&Path>) -> String {
    source.map_or("standard input".into(), |file| format!("the file {}", file.display()))
}
