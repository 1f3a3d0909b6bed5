//! `Groups`: the requests in progress, at most one in flight per group. The later ones are merged.
//!
//! A slow sink costs no memory per message: a group has at most two requests, and each of them the position of its first
//! message. All messages of a group are in one partition, so the later ones are after it.
//!
//! It is a data structure without I/O and locks.

use std::collections::{HashMap, VecDeque};

use crate::clock::Moment;
use crate::labels::GroupingKey;
use crate::push_request::PushRequest;
use crate::sink::kafka::Position;

/// A request and the messages that it consists of.
#[derive(Debug)]
struct RelayedRequest {
    request: PushRequest,
    /// The position of the first message.
    first: Position,
    messages: u64,
}

#[derive(Debug, Default)]
pub(super) struct Groups {
    groups: HashMap<GroupingKey, PendingGroup>,
    /// The size of the metrics of all requests, in bytes.
    size: usize,
    is_stopped: bool,
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

    fn requests(&self) -> impl Iterator<Item = &RelayedRequest> {
        self.in_flight.iter().chain(&self.waiting)
    }

    fn size(&self) -> usize {
        self.requests().map(|work| work.request.size()).sum()
    }
}

fn merge(earlier: Option<RelayedRequest>, later: Option<RelayedRequest>) -> Option<RelayedRequest> {
    match (earlier, later) {
        (Some(mut earlier), Some(later)) => {
            earlier.request.merge(later.request);
            earlier.messages += later.messages;
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

    /// Returns the size of the metrics of all requests, in bytes.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Returns the number of messages of all requests.
    pub(super) fn messages(&self) -> u64 {
        self.requests().map(|work| work.messages).sum()
    }

    /// Returns the position of the first message of each request.
    pub(super) fn positions(&self) -> impl Iterator<Item = Position> {
        self.requests().map(|work| work.first)
    }

    pub(super) fn has_in_flight(&self) -> bool {
        self.groups.values().any(|group| group.in_flight.is_some())
    }

    fn requests(&self) -> impl Iterator<Item = &RelayedRequest> {
        self.groups.values().flat_map(PendingGroup::requests)
    }

    /// Adds a request. Returns the one to submit, if the group has none in flight.
    pub(super) fn add(&mut self, request: PushRequest, position: Position) -> Option<PushRequest> {
        self.change(&request.key().clone(), |group| {
            let work = RelayedRequest { request, first: position, messages: 1 };
            group.waiting = merge(group.waiting.take(), Some(work));
        })
    }

    /// Removes the request in flight. Returns the one to submit next.
    pub(super) fn finish(&mut self, key: &GroupingKey) -> Option<PushRequest> {
        self.change(key, |group| group.in_flight = None)
    }

    /// Merges the request in flight with those that wait, to be sent again at `retry_at`.
    pub(super) fn fail(&mut self, key: &GroupingKey, retry_at: Moment) {
        self.change(key, |group| {
            group.waiting = merge(group.in_flight.take(), group.waiting.take());
            group.is_paused = true;
        });
        self.paused.push_back((retry_at, key.clone()));
    }

    /// Changes a group, and starts its next request.
    fn change(
        &mut self,
        key: &GroupingKey,
        change: impl FnOnce(&mut PendingGroup),
    ) -> Option<PushRequest> {
        let group = self.groups.entry(key.clone()).or_default();
        self.size -= group.size();
        change(group);
        self.size += group.size();
        let next = if self.is_stopped { None } else { group.start() };
        if group.requests().next().is_none() {
            self.groups.remove(key);
        }
        next
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

    /// Starts no further requests.
    pub(super) fn stop(&mut self) {
        self.is_stopped = true;
        self.paused.clear();
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
        assert!(groups.positions().eq([position(1), position(2)]) && groups.messages() == 3);
        assert_eq!(names(&groups.finish(&key).unwrap()), ["m2", "m3"]);
        assert!(groups.positions().eq([position(2)]) && groups.messages() == 2);
        assert!(groups.finish(&key).is_none());
        assert_eq!((groups.len(), groups.size()), (0, 0));
    }

    #[test]
    fn size_of_merged_requests_is_that_of_the_newest_values() {
        let mut groups = Groups::default();
        groups.add(add(1), position(1));
        (2..100).for_each(|offset| drop(groups.add(add(2), position(offset))));
        assert_eq!(groups.size(), 2 * "m1 1\n".len());
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
        assert!(groups.positions().eq([position(1)]) && groups.messages() == 3);
    }

    #[test]
    fn stopped_groups_finish_only_what_is_in_flight() {
        let mut groups = Groups::default();
        let key = GroupingKey::new("job").unwrap();
        groups.add(add(1), position(1));
        groups.add(add(2), position(2));
        groups.stop();
        assert!(groups.finish(&key).is_none());
        assert!(groups.positions().eq([position(2)]) && !groups.has_in_flight());
    }
}
