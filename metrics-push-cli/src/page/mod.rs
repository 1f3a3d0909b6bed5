//! `metrics-push page`: writes the page of all jobs, one HTML file: tables, details and the delivery path.
//!
//! It shows the model in [`crate::jobs`] and decides nothing about states. The files here turn the model into texts and
//! drawings; the templates place them.

mod cells;
mod deadline_bar;
mod details;
mod frame;
mod html;
mod listing;
mod policy;
mod rules;
mod runs;
mod sparkline;
mod strip;
mod timeline;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use details::Details;
use frame::Frame;
use html::{JobDocument, OverviewDocument, render};
use listing::{DetailLinks, Listing};

pub(crate) use listing::Filter;
pub(crate) use policy::content_security_policy;

use crate::failure::Failure;
use crate::jobs::Overview;
use crate::source::{Source, SourceArguments};
use crate::terminal;

/// Renders one file with all jobs.
pub(crate) fn file(overview: &Overview) -> Result<String, askama::Error> {
    let listing = Listing::new(overview, &Filter::default(), DetailLinks::Anchors);
    render(&OverviewDocument { frame: Frame::new(overview, None), listing })
}

/// Renders the page of a server, which refreshes itself at an interval in seconds.
pub(crate) fn served(
    overview: &Overview,
    filter: &Filter,
    refresh: u64,
) -> Result<String, askama::Error> {
    let listing = Listing::new(overview, filter, DetailLinks::Pages);
    render(&OverviewDocument { frame: Frame::new(overview, Some(refresh)), listing })
}

/// Renders the page of one job of a server; `None` if no job has this id.
pub(crate) fn job(
    overview: &Overview,
    id: &str,
    refresh: u64,
) -> Option<Result<String, askama::Error>> {
    let job = overview.jobs.iter().find(|job| job.id == id)?;
    let details = Details::new(job, &overview.clock);
    Some(render(&JobDocument { frame: Frame::new(overview, Some(refresh)), details }))
}

/// Writes a page of all jobs to one HTML file, which needs no other file and no server.
///
/// It shows the names, the labels and the errors of all jobs.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    source: SourceArguments,
    /// The file to write; `-` is standard output. An existing file is replaced once the new one is complete.
    #[arg(long, value_name = "FILE")]
    output: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let overview = Source::new(&arguments.source)?.load(|_| true);
    let html = file(&overview)
        .map_err(|error| Failure::failed(format!("cannot render the page: {error}")))?;
    if arguments.output.as_os_str() == "-" {
        terminal::print_painted(&html)?;
    } else {
        replace(&arguments.output, &html).map_err(|error| {
            let path = arguments.output.display();
            Failure::failed(format!(
                "cannot write {path}: {error}; select another file with --output"
            ))
        })?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Replaces a file at once, so that a web server never sends half a page.
pub(crate) fn replace(path: &Path, html: &str) -> std::io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = Path::new(&name);
    let written = std::fs::write(temporary, html).and_then(|()| std::fs::rename(temporary, path));
    written.inspect_err(|_| drop(std::fs::remove_file(temporary)))
}

#[cfg(test)]
mod tests;
