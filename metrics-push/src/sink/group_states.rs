//! `GroupStates`: the part of the stored groups that a job needs to compare its requests with them.

use std::collections::{BTreeSet, HashMap};

use crate::clock::Moment;
use crate::labels::GroupingKey;

/// The family that contains the time of the last push to the group that the gateway accepted; 0 if there is none.
pub(super) const PUSH_TIME: &str = "push_time_seconds";

/// The families of one group.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct GroupState {
    /// The name of each family; its value if the family describes runs and has one value.
    pub(super) values: HashMap<String, Option<f64>>,
}

impl GroupState {
    /// Returns the value of a family about runs; `None` if it is missing or has several values.
    pub(crate) fn value(&self, name: &str) -> Option<f64> {
        self.values.get(name).copied().flatten()
    }

    pub(crate) fn has_family(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// Returns the time of the last push to the group that the gateway accepted, in Unix seconds by the gateway's clock.
    pub(crate) fn pushed_at(&self) -> Option<f64> {
        self.value(PUSH_TIME).filter(|seconds| *seconds > 0.0)
    }

    /// Returns true if the gateway rejected every push to the group.
    pub(super) fn has_no_accepted_push(&self) -> bool {
        self.value(PUSH_TIME) == Some(0.0)
    }
}

/// The groups in one response.
#[derive(Debug)]
pub(crate) struct GroupStates {
    /// When the query was sent.
    pub(super) started: Moment,
    pub(super) asked: BTreeSet<GroupingKey>,
    /// Whether all groups fit into memory.
    pub(super) is_complete: bool,
    pub(super) groups: HashMap<GroupingKey, GroupState>,
}

impl GroupStates {
    /// Returns true if a query that was sent at `since` or later shows whether the gateway has this group.
    pub(super) fn is_answer(&self, key: &GroupingKey, since: Option<Moment>) -> bool {
        let is_fresh = since.is_none_or(|since| self.started.is_at_or_after(since));
        is_fresh && (self.is_complete || self.asked.contains(key))
    }

    pub(crate) fn get(&self, key: &GroupingKey) -> Option<&GroupState> {
        self.groups.get(key)
    }
}
