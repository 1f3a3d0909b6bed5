//! `Textfile`: writes groups to files for the textfile collector of the Prometheus node exporter.
//!
//! Each group is one file. Writers hold the lock of the directory and replace a file by renaming a complete one, so the
//! collector never reads a part of a file. A request is not stored in the spool, because that is on a disk as well.

mod directory;
mod encoding;
mod group_files;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::group_states::{GroupState, GroupStates};
use super::interface::{
    Model, OnFailure, OnRepeat, Query, QueryFuture, Rejection, Semantics, SendFuture, Sink,
};
use super::target::Target;
use crate::blocking::run_blocking_within;
use crate::clock::Moment;
use crate::error::{Error, Kind};
use crate::labels::{GroupingKey, JOB, check_label_name};
use crate::push_request::Payload;
pub use directory::GroupFile;
use group_files::GroupFiles;

const SCHEME: &str = "textfile://";

/// The directory of a textfile collector.
#[derive(Debug)]
pub(crate) struct Textfile {
    files: Arc<GroupFiles>,
    url: String,
}

impl Textfile {
    /// Returns the sink for a target with the scheme `textfile`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub(super) fn open(target: &Target) -> Result<Arc<dyn Sink>, Error> {
        Ok(Arc::new(Self::new(target)?))
    }

    /// Returns the directory of a target with the scheme `textfile`.
    ///
    /// # Errors
    /// `is_config` if the URL has a host, no absolute path or an unknown parameter.
    pub(crate) fn new(target: &Target) -> Result<Self, Error> {
        let url = target.url.as_str().trim();
        let invalid = |what| {
            Error::config(what)
                .at("url", format_args!("{:?}", target.url))
                .remedy("write it as textfile:///directory or textfile:///directory?job_label=name")
        };
        let rest = url.get(SCHEME.len()..).unwrap_or_default();
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        if !path.starts_with('/') {
            return Err(invalid("invalid URL: the path of the directory is not absolute"));
        }
        let job_label = match query.split_once('=') {
            None if query.is_empty() => JOB,
            Some(("job_label", name)) => name,
            _ => return Err(invalid("invalid URL: job_label is the only parameter")),
        };
        check_label_name(job_label).map_err(|error| error.at("url", url))?;
        let files = Arc::new(GroupFiles::new(path, job_label));
        Ok(Self { files, url: format!("{SCHEME}{rest}") })
    }

    /// Returns the files of groups that were pushed to longer ago than `age`. Blocks.
    ///
    /// # Errors
    /// If the directory could not be read.
    pub(crate) fn files_older_than(&self, age: Duration) -> Result<Vec<GroupFile>, Error> {
        self.files.older_than(age).map_err(|error| error.at("url", &self.url))
    }

    /// Removes the files of groups that were pushed to longer ago than `age`, and returns them. Blocks.
    ///
    /// # Errors
    /// If a file could not be removed.
    pub(crate) fn remove_older_than(
        &self,
        age: Duration,
        timeout: Duration,
    ) -> Result<Vec<GroupFile>, Error> {
        let removed = self.files.remove_older_than(age, timeout);
        removed.map_err(|error| error.at("url", &self.url))
    }

    /// Runs an operation on the files on another thread.
    async fn run<T: Send + 'static>(
        &self,
        timeout: Duration,
        operation: impl FnOnce(&GroupFiles) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let files = Arc::clone(&self.files);
        let result = run_blocking_within(timeout, move || operation(&files)).await;
        result
            .unwrap_or_else(|| {
                let error = Error::new(Kind::Timeout, "the disk did not finish in time");
                Err(error.remedy("check the disk of the directory"))
            })
            .map_err(|error| error.at("url", &self.url))
    }
}

impl Sink for Textfile {
    fn semantics(&self) -> Semantics {
        Semantics {
            model: Model::Groups,
            on_repeat: OnRepeat::Idempotent,
            on_failure: OnFailure::Drops,
        }
    }

    fn send<'a>(&'a self, payload: &'a Payload<'a>, timeout: Duration) -> SendFuture<'a> {
        let request = payload.to_request();
        Box::pin(async move {
            let written = self.run(timeout, move |files| files.write(&request, timeout)).await;
            written.map_err(|error| Rejection::Failed(error.at("group", payload.key())))
        })
    }

    fn query(&self) -> Option<&dyn Query> {
        Some(self)
    }
}

impl fmt::Display for Textfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

impl Query for Textfile {
    fn group<'a>(
        &'a self,
        key: &'a GroupingKey,
        _since: Option<Moment>,
        timeout: Duration,
    ) -> QueryFuture<'a, Option<GroupState>> {
        let key = key.clone();
        Box::pin(self.run(timeout, move |files| files.state(&key)))
    }

    fn groups(
        &self,
        keys: BTreeSet<GroupingKey>,
        timeout: Duration,
    ) -> QueryFuture<'_, GroupStates> {
        let started = Moment::now();
        Box::pin(self.run(timeout, move |files| {
            let mut groups = HashMap::new();
            for key in &keys {
                if let Some(state) = files.state(key)? {
                    groups.insert(key.clone(), state);
                }
            }
            Ok(GroupStates { started, asked: keys, is_complete: false, groups })
        }))
    }

    /// A restart of the node exporter removes no file.
    fn started_at(&self, _timeout: Duration) -> QueryFuture<'_, SystemTime> {
        Box::pin(std::future::ready(Ok(SystemTime::UNIX_EPOCH)))
    }

    /// A rejected request leaves no file.
    fn remove_empty_group<'a>(
        &'a self,
        _key: &'a GroupingKey,
        _timeout: Duration,
    ) -> QueryFuture<'a, bool> {
        Box::pin(std::future::ready(Ok(false)))
    }
}
