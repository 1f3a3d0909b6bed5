//! `Groups`: the requests in progress, at most one in flight per group. The later ones are merged.
//!
//! It is a data structure without I/O and locks.

use std::collections::{HashMap, VecDeque};

use crate::clock::Moment;
use crate::labels::GroupingKey;
use crate::push_request::PushRequest;
use crate::sink::kafka::Position;

/// A request and the messages that it consists of.
#[derive(Clone, Debug)]
pub(super) struct RelayedRequest {
    pub(super) request: PushRequest,
    pub(super) positions: Vec<Position>,
}

#[derive(Debug, Default)]
pub(super) struct Groups {
    groups: HashMap<GroupingKey, PendingGroup>,
    /// The groups that are paused, with the ends of the pauses in ascending order: all pauses have the same length.
    paused: VecDeque<(Moment, GroupingKey)>,
}

/// A group with at least one request.
#[derive(Debug, Default)]
struct PendingGroup {
    in_flight: Option<RelayedRequest>,
    waiting: Option<RelayedRequest>,
    /// True if a request has failed and is not sent again yet.
    is_paused: bool,
}

impl PendingGroup {
    /// Starts the waiting request, if nothing is in flight and the group is not paused.
    fn start(&mut self) -> Option<PushRequest> {
        if self.in_flight.is_some() || self.is_paused {
            return None;
        }
        self.in_flight = self.waiting.take();
        self.in_flight.as_ref().map(|work| work.request.clone())
    }
}

fn merge(earlier: Option<RelayedRequest>, later: Option<RelayedRequest>) -> Option<RelayedRequest> {
    match (earlier, later) {
        (Some(mut earlier), Some(later)) => {
            earlier.request.merge(later.request);
            earlier.positions.extend(later.positions);
            Some(earlier)
        }
        (earlier, later) => earlier.or(later),
    }
}

impl Groups {
    /// Returns the number of groups in progress.
    pub(super) fn len(&self) -> usize {
        self.groups.len()
    }

    pub(super) fn has_in_flight(&self) -> bool {
        self.groups.values().any(|group| group.in_flight.is_some())
    }

    /// Adds a request. Returns the one to submit, if the group has none in flight.
    pub(super) fn add(&mut self, request: PushRequest, position: Position) -> Option<PushRequest> {
        let group = self.groups.entry(request.key().clone()).or_default();
        let work = RelayedRequest { request, positions: vec![position] };
        group.waiting = merge(group.waiting.take(), Some(work));
        group.start()
    }

    /// Removes the request in flight. Returns it, and the one to submit next.
    pub(super) fn finish(&mut self, key: &GroupingKey) -> (Vec<Position>, Option<PushRequest>) {
        let Some(group) = self.groups.get_mut(key) else { return (Vec::new(), None) };
        let finished = group.in_flight.take().map(|work| work.positions).unwrap_or_default();
        let next = group.start();
        if next.is_none() && group.waiting.is_none() {
            self.groups.remove(key);
        }
        (finished, next)
    }

    /// Merges the request in flight with those that wait, to be sent again at `retry_at`.
    pub(super) fn fail(&mut self, key: &GroupingKey, retry_at: Moment) {
        let Some(group) = self.groups.get_mut(key) else { return };
        group.waiting = merge(group.in_flight.take(), group.waiting.take());
        group.is_paused = true;
        self.paused.push_back((retry_at, key.clone()));
    }

    /// Starts the requests whose pause is over, and returns them.
    pub(super) fn take_due(&mut self, now: Moment) -> Vec<PushRequest> {
        let count = self.paused.partition_point(|(retry_at, _)| now.is_at_or_after(*retry_at));
        let due = self.paused.drain(..count).filter_map(|(_, key)| {
            let group = self.groups.get_mut(&key)?;
            group.is_paused = false;
            group.start()
        });
        due.collect()
    }

    /// Drops the requests that are not in flight.
    pub(super) fn drop_waiting(&mut self) {
        self.paused.clear();
        self.groups.retain(|_, group| {
            (group.waiting, group.is_paused) = (None, false);
            group.in_flight.is_some()
        });
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::push_request::Families;

    fn add(value: u32) -> PushRequest {
        let families: Families = [(format!("m{value}"), format!("m{value} 1\n"))].into();
        PushRequest::add(GroupingKey::new("job").unwrap(), families)
    }

    fn position(offset: i64) -> Position {
        Position { partition: 0, offset }
    }

    fn names(request: &PushRequest) -> Vec<&str> {
        request.families().keys().map(String::as_str).collect()
    }

    #[test]
    fn requests_of_a_group_are_merged_while_one_is_in_flight() {
        let mut groups = Groups::default();
        let key = GroupingKey::new("job").unwrap();
        assert_eq!(names(&groups.add(add(1), position(1)).unwrap()), ["m1"]);
        assert!(groups.add(add(2), position(2)).is_none());
        assert!(groups.add(add(3), position(3)).is_none());
        let (finished, next) = groups.finish(&key);
        assert_eq!((finished, names(&next.unwrap())), (vec![position(1)], vec!["m2", "m3"]));
        let (finished, next) = groups.finish(&key);
        assert_eq!((finished.len(), next.is_none(), groups.len()), (2, true, 0));
    }

    #[test]
    fn failed_request_is_sent_again_before_the_later_ones() {
        let mut groups = Groups::default();
        let key = GroupingKey::new("job").unwrap();
        groups.add(add(1), position(1));
        groups.add(add(2), position(2));
        let now = Moment::now();
        groups.fail(&key, now.after(Duration::from_secs(1)));
        assert!(groups.add(add(3), position(3)).is_none(), "the pause is not over");
        assert!(groups.take_due(now).is_empty());
        let due = groups.take_due(now.after(Duration::from_secs(2)));
        assert_eq!(names(&due[0]), ["m1", "m2", "m3"]);
        assert_eq!(groups.finish(&key).0.len(), 3);
    }

    #[test]
    fn dropped_requests_are_not_finished() {
        let mut groups = Groups::default();
        let key = GroupingKey::new("job").unwrap();
        groups.add(add(1), position(1));
        groups.add(add(2), position(2));
        groups.drop_waiting();
        assert_eq!(groups.finish(&key).0, [position(1)]);
        assert_eq!(groups.len(), 0);
    }
}
