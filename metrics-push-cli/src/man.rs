//! `metrics-push man`: prints a man page.

use std::io;
use std::process::ExitCode;

use clap::{Args, Command};

use crate::failure::Failure;
use crate::{help, terminal};

const HELP: &str = "\
Examples:
  metrics-push man status | man -l -
  metrics-push man > /usr/local/share/man/man1/metrics-push.1
";

/// Prints the man page of the command or of a subcommand.
#[derive(Debug, Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Arguments {
    /// The subcommand, such as status or spool list.
    subcommand: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments, command: Command) -> Result<ExitCode, Failure> {
    // The subcommand `help` has no page.
    let mut root = command.disable_help_subcommand(true);
    // Sets the full names of the subcommands.
    root.build();
    let command = arguments.subcommand.iter().try_fold(&root, |command, name| {
        command.find_subcommand(name).ok_or_else(|| {
            let name = arguments.subcommand.join(" ");
            Failure::usage(format!(
                "unknown subcommand {name:?}; run `metrics-push help` for a list"
            ))
        })
    })?;
    let mut page = Vec::new();
    // Writing to a vector does not fail.
    let _ = render(command, root.get_name(), &mut page);
    terminal::print(&String::from_utf8_lossy(&page))?;
    Ok(ExitCode::SUCCESS)
}

fn render(command: &Command, root: &str, page: &mut Vec<u8>) -> io::Result<()> {
    let version = concat!("metrics-push ", env!("CARGO_PKG_VERSION"));
    let man = clap_mangen::Man::new(command.clone()).source(version).manual("Metrics Push");
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    man.render_options_section(page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(page)?;
    }
    let more = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
    page.extend(help::man_sections(&more).bytes());
    if command.get_name() != root {
        page.extend(
            b".SH \"SEE ALSO\"\n\\fBmetrics\\-push\\fR(1), for the environment variables\n",
        );
    }
    Ok(())
}
