//! The page of all jobs as one HTML file: tables, details and the delivery path.
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

use cells::element_id;
use details::Details;
use frame::Frame;
use html::{JobDocument, OverviewDocument, render};
use listing::{DetailLinks, Listing};

pub(crate) use listing::Filter;
pub(crate) use policy::content_security_policy;

use crate::jobs::Overview;

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
    let job = overview.jobs.iter().find(|job| element_id(job) == id)?;
    let details = Details::new(job, &overview.clock);
    Some(render(&JobDocument { frame: Frame::new(overview, Some(refresh)), details }))
}

#[cfg(test)]
mod tests;
