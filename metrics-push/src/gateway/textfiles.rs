//! `Textfiles`: removes the files of retired jobs from the directory of a textfile collector.

use std::fmt;
use std::time::Duration;

use super::Removal;
use crate::config::Config;
use crate::error::Error;
use crate::sink::{GroupFile, Textfile, is_textfile};

/// A directory of the textfile collector, to which a sink `textfile://` writes one file per group.
///
/// ```no_run
/// # fn main() -> Result<(), metrics_push::Error> {
/// use metrics_push::{Config, Removal, Textfiles};
/// use std::time::Duration;
///
/// let config = Config::default().url("textfile:///var/lib/node_exporter")?;
/// for directory in Textfiles::from_config(&config)? {
///     for file in directory.prune(Duration::from_secs(30 * 24 * 3_600), Removal::Apply)? {
///         println!("removed {}", file.path.display());
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct Textfiles {
    sink: Textfile,
    timeout: Duration,
}

impl Textfiles {
    /// Returns the directories of a configuration. There are none if it has no such sink, or disables pushing.
    ///
    /// # Errors
    /// `is_config` if the configuration is contradictory.
    pub fn from_config(config: &Config) -> Result<Vec<Self>, Error> {
        let targets = config.targets()?;
        let textfiles = targets.iter().filter(|target| is_textfile(&target.url));
        let open = |target| Ok(Self { sink: Textfile::new(target)?, timeout: config.timeout });
        textfiles.map(open).collect()
    }

    /// Returns the URL of the directory.
    #[must_use]
    pub fn url(&self) -> String {
        self.sink.to_string()
    }

    /// Removes the files of the groups whose last push is older than `age`, and returns them, oldest first. The age is that
    /// of the file, by the clock of this machine. Blocks on the disk.
    ///
    /// # Errors
    /// The reason why the directory could not be read or a file could not be removed.
    pub fn prune(&self, age: Duration, removal: Removal) -> Result<Vec<GroupFile>, Error> {
        match removal {
            Removal::DryRun => self.sink.files_older_than(age),
            Removal::Apply => self.sink.remove_older_than(age, self.timeout),
        }
    }
}

impl fmt::Debug for Textfiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Textfiles").field("url", &self.url()).finish_non_exhaustive()
    }
}
