//! `metrics-push completions` and `metrics-push man`: what the grammar knows, in other forms.

use std::io;
use std::process::ExitCode;

use crate::arguments::{self, Command, Completions, Man};
use crate::ending::Failure;
use crate::{manual, terminal};

pub(crate) use clap_complete::Shell;

const NAME: &str = "metrics-push";

pub(crate) fn completions(arguments: &Completions) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut arguments::grammar(), NAME, &mut script);
    let script = String::from_utf8_lossy(&script);
    // For bash, the generator spells the hyphen of the name in two ways, and then finds no subcommand.
    terminal::print(&script.replace("metrics__subcmd__push", "metrics__push"))?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn man_page(arguments: &Man) -> Result<ExitCode, Failure> {
    // There is no page of the subcommand that prints help.
    let mut grammar = arguments::grammar().disable_help_subcommand(true);
    // Subcommands learn their full names when the grammar is complete.
    grammar.build();
    let command = arguments.subcommand.iter().try_fold(&grammar, |command, name| {
        command.find_subcommand(name).ok_or_else(|| {
            let name = arguments.subcommand.join(" ");
            Failure::misused(format!(
                "there is no subcommand {name:?}; metrics-push help lists them"
            ))
        })
    })?;
    let mut page = Vec::new();
    // Writing to memory does not fail.
    let _ = render(command, &mut page);
    terminal::print(&String::from_utf8_lossy(&page))?;
    Ok(ExitCode::SUCCESS)
}

fn render(command: &Command, page: &mut Vec<u8>) -> io::Result<()> {
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
    page.extend(manual::sections(&more).bytes());
    if command.get_name() != NAME {
        page.extend(
            b".SH \"SEE ALSO\"\n\\fBmetrics\\-push\\fR(1), for the variables of the environment\n",
        );
    }
    Ok(())
}
