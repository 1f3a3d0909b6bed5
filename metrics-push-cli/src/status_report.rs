//! `StatusReport`: the outputs of `status` and `page` for a program with its own configuration.

use std::io;
use std::path::Path;

use metrics_push::{Config, Error};

use crate::jobs::Overview;
use crate::source::Source;
use crate::{page, status};

/// The state of all jobs at one moment, as `metrics-push status` and `metrics-push page` show it.
///
/// ```
/// use metrics_push::{Config, push_job, testing::FakeGateway};
/// use metrics_push_cli::StatusReport;
///
/// #[push_job]
/// fn import() {}
///
/// let gateway = FakeGateway::start();
/// let config = Config::default().url(gateway.url())?;
/// let scope = config.clone().scope()?;
/// import();
/// metrics_push::flush(std::time::Duration::from_secs(10));
///
/// let report = StatusReport::read(&config)?;
/// assert!(report.table().contains("success  import"));
/// # Ok::<(), metrics_push::Error>(())
/// ```
#[derive(Debug)]
pub struct StatusReport {
    overview: Overview,
}

impl StatusReport {
    /// Reads the groups of the Pushgateways of a configuration, and its state directory. A gateway that does not respond is
    /// part of the report.
    ///
    /// # Errors
    /// `is_config` if the configuration is contradictory.
    pub fn read(config: &Config) -> Result<Self, Error> {
        let source = Source::from_config(config)?;
        let _scope = config.clone().scope()?;
        Ok(Self { overview: source.load(|_| true) })
    }

    /// The table of the jobs, the sentences below it and the summary. If standard output is a terminal, it fits its width and
    /// has colours.
    #[must_use]
    pub fn table(&self) -> String {
        status::text(&self.overview)
    }

    /// Writes the page of all jobs to an HTML file, which needs no other file and no server. An existing file is replaced.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write_page(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let html = page::file(&self.overview).map_err(io::Error::other)?;
        page::replace(path.as_ref(), &html)
    }
}
