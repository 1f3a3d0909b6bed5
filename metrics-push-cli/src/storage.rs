//! The arguments of `rules` and `dashboard` that select the storage of the reports.

use clap::{Args, ValueEnum};

use crate::failure::Failure;
use crate::samples::Window;

/// What holds the reports of the jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Storage {
    /// A Pushgateway or the textfile collector, which Prometheus scrapes.
    Groups,
    /// A receiver of remote write, InfluxDB line protocol or OTLP.
    Samples,
}

#[derive(Debug, Args)]
pub(crate) struct StorageArguments {
    /// What holds the reports of the jobs.
    #[arg(long = "for", value_name = "STORAGE", value_enum, default_value_t = Storage::Groups)]
    storage: Storage,
    /// How far the queries on samples look back, at least the longest interval between two runs; 8d by default.
    #[arg(long, value_name = "DURATION")]
    window: Option<Window>,
}

impl StorageArguments {
    /// Returns the window of queries on samples, `None` for groups.
    pub(crate) fn window(&self) -> Result<Option<Window>, Failure> {
        match (self.storage, &self.window) {
            (Storage::Groups, None) => Ok(None),
            (Storage::Groups, Some(_)) => Err(Failure::usage("`--window` needs `--for samples`")),
            (Storage::Samples, window) => Ok(Some(window.clone().unwrap_or_default())),
        }
    }
}
