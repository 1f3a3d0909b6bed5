//! `GroupsReader`: collects all groups of a listing, for programs that show or remove groups.

use std::collections::BTreeMap;

use super::listing::Visitor;
use super::query_api::{StoredFamily, StoredGroup, parse_family, parse_labels};
use crate::error::Error;

/// The maximum size of a family in the response. A larger one is skipped.
const MAX_FAMILY_SIZE: usize = 16 * 1024 * 1024;

/// The maximum number of metrics, families and groups that are read. 20,000 groups of jobs have less than that. Each takes
/// up to 1 KiB of memory.
const MAX_METRICS: usize = 1_600_000;

/// Reads all groups of a listing. A group without valid labels is skipped. So is a family or a metric that is not
/// understood, such as one that a newer gateway adds.
#[derive(Debug, Default)]
pub(super) struct GroupsReader {
    groups: Vec<StoredGroup>,
    labels: Option<BTreeMap<String, String>>,
    last_push_successful: Option<bool>,
    families: BTreeMap<String, StoredFamily>,
    metrics: usize,
}

impl GroupsReader {
    pub(super) fn into_groups(self) -> Vec<StoredGroup> {
        self.groups
    }
}

impl Visitor for GroupsReader {
    fn max_size(&self, _name: &str) -> usize {
        MAX_FAMILY_SIZE
    }

    fn member(&mut self, name: String, value: &[u8]) -> Result<(), Error> {
        if name == "labels"
            && let Some(labels) = parse_labels(value)
        {
            self.labels = Some(labels);
        } else if name == "last_push_successful" {
            self.last_push_successful = Some(value == b"true");
        } else if let Some(family) = parse_family(value) {
            self.metrics += family.metrics.len() + 1;
            self.families.insert(name, family);
        }
        if self.metrics > MAX_METRICS { Err(too_many_metrics()) } else { Ok(()) }
    }

    fn end_group(&mut self) -> Result<(), Error> {
        let families = std::mem::take(&mut self.families);
        let last_push_successful = self.last_push_successful.take().unwrap_or(true);
        if let Some(labels) = self.labels.take() {
            self.metrics += 1;
            self.groups.push(StoredGroup { labels, last_push_successful, families });
        }
        Ok(())
    }
}

fn too_many_metrics() -> Error {
    Error::config("the gateway stores more metrics than this program reads")
        .at("maximum", MAX_METRICS)
        .remedy("delete groups that no job uses any more")
}
