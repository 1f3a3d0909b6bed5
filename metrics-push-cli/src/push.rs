//! `metrics-push push`: validates metrics in the text format and sends them.

use std::io::{self, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use metrics_push::Exposition;

use crate::context::{self, GatewayArguments, GroupArguments};
use crate::failure::Failure;

/// The name that selects standard input.
const STDIN: &str = "-";

const HELP: &str = "\
Exit status:
  0
          Every gateway accepted the metrics, or --spool has stored them.
  1
          A gateway rejected them or did not respond.
  2
          Nothing was sent: correct the argument, the variable or the metrics.

Examples:
  df --output=avail -B1 / | awk 'NR == 2 {print \"free_bytes \" $1}' | metrics-push push --job disk_usage
  metrics-push push --job node_checks --spool /var/lib/checks/*.prom
";

/// Pushes metrics in the text format, from files or from standard input.
///
/// The metrics are validated first. An error names the file and the line, and the group stays unchanged.
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
    /// Stores the metrics in the state directory if a gateway does not respond; the next run of a job, or
    /// `metrics-push recover`, delivers them.
    #[arg(long)]
    spool: bool,
    /// Prints the request and does not send it.
    #[arg(long)]
    dry_run: bool,
    /// The files to read, as one push; standard input for `-`, or if there are none.
    files: Vec<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let mut config = context::config(&arguments.gateways)?;
    if arguments.dry_run {
        config = config.dry_run();
    }
    let key = context::key(&config, &arguments.group)?;
    let exposition = read_all(&arguments.files)?;
    if config.is_disabled() {
        // A script must not fail because metrics are disabled.
        eprintln!("metrics-push: METRICS_PUSH_DISABLED is set; nothing is pushed.");
        return Ok(ExitCode::SUCCESS);
    }
    let mut gateways = context::gateways(&config)?;
    if arguments.spool {
        gateways =
            gateways.into_iter().map(|gateway| gateway.spool(&config)).collect::<Result<_, _>>()?;
    }
    context::for_each(&gateways, |gateway| {
        if arguments.add {
            gateway.add(&key, &exposition)
        } else {
            gateway.push(&key, &exposition)
        }?;
        Ok(())
    })?;
    Ok(ExitCode::SUCCESS)
}

fn read_all(files: &[PathBuf]) -> Result<Exposition, Failure> {
    let stdin = [PathBuf::from(STDIN)];
    let sources = if files.is_empty() { &stdin[..] } else { files };
    sources.iter().try_fold(Exposition::default(), |exposition, source| {
        let text = read(source).map_err(|error| {
            Failure::usage(format!("cannot read {}: {error}", describe(source)))
        })?;
        let added = exposition.with(&text);
        added.map_err(|error| Failure::usage(format!("{}: {error}", describe(source))))
    })
}

fn read(source: &Path) -> io::Result<Vec<u8>> {
    if source != Path::new(STDIN) {
        return std::fs::read(source);
    }
    let mut stdin = io::stdin();
    if stdin.is_terminal() {
        eprintln!("metrics-push: Type one metric per line; Ctrl-D ends the input.");
    }
    let mut text = Vec::new();
    stdin.read_to_end(&mut text).map(|_| text)
}

fn describe(source: &Path) -> String {
    if source == Path::new(STDIN) {
        return "standard input".into();
    }
    format!("the file {}", source.display())
}
