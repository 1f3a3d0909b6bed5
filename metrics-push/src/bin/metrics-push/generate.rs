//! `metrics-push completions` and `metrics-push man`: what the grammar knows, in other forms.

use std::process::ExitCode;

use crate::arguments::{self, Completions, Man};
use crate::ending::Failure;
use crate::terminal;

pub(crate) use clap_complete::Shell;

pub(crate) fn completions(arguments: &Completions) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    let name = "metrics-push";
    clap_complete::generate(arguments.shell, &mut arguments::grammar(), name, &mut script);
    terminal::print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn man_page(arguments: &Man) -> Result<ExitCode, Failure> {
    let mut grammar = arguments::grammar();
    // Subcommands learn their full names when the grammar is complete.
    grammar.build();
    let page = match &arguments.subcommand {
        None => grammar,
        Some(name) => grammar.find_subcommand(name).cloned().ok_or_else(|| {
            Failure::misused(format!(
                "there is no subcommand {name:?}; metrics-push help lists them"
            ))
        })?,
    };
    let mut text = Vec::new();
    // Writing to memory does not fail.
    let _ = clap_mangen::Man::new(page).render(&mut text);
    terminal::print(&String::from_utf8_lossy(&text))?;
    Ok(ExitCode::SUCCESS)
}
