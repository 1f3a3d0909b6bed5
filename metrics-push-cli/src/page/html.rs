//! The documents: the templates in `templates/`, which escape every value.

use askama::Template;
use metrics_push::__private::escape_lines;

use super::details::Details;
use super::frame::Frame;
use super::listing::Listing;
use super::strip::Stroke;

/// The page of all jobs.
#[derive(Template)]
#[template(path = "overview.html")]
pub(super) struct OverviewDocument {
    pub(super) frame: Frame,
    pub(super) listing: Listing,
}

/// The page of one job.
#[derive(Template)]
#[template(path = "job.html")]
pub(super) struct JobDocument {
    pub(super) frame: Frame,
    pub(super) details: Details,
}

/// Renders a document. Control characters and invisible characters become visible text: labels and errors can contain
/// any text, and a character such as a right-to-left override would change how its surroundings are read.
pub(super) fn render(document: &impl Template) -> Result<String, askama::Error> {
    document.render().map(|html| escape_lines(&html))
}
