//! `Groups`: the requests for one sink in progress, at most one in flight per group. The later ones are merged.
//!
//! A slow sink costs no memory per message: a group has at most two requests, and each of them the position of its first
//! message. All messages of a group are in one partition, so the later ones are after it.
//!
//! The groups of one route are a lane, so a ring has a lane per shard. A lane has at most as many requests in flight as the
//! route sends at once, and at most as many as the sink processes within [`MAX_QUEUE_TIME`]. Thus a request does not reach its
//! timeout while the sink processes others, and a request that waits here is merged with the later ones. Groups have their
//! turns in the order in which they became ready, however many messages each of them has.
//!
//! It is a data structure without I/O and locks.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::clock::Moment;
use crate::labels::GroupingKey;
use crate::push_request::PushRequest;
use crate::sink::kafka::Position;

/// How long a sink may process the requests of one lane that are in flight. A Pushgateway with many groups processes requests
/// one after the other, each for a tenth of a second. If too many were in flight, they would exceed the timeout of an attempt
/// and would be sent again.
const MAX_QUEUE_TIME: Duration = Duration::from_secs(1);

/// The route of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct LaneId {
    pub(super) route: usize,
    /// The maximum number of requests that the route sends at once.
    pub(super) max_in_flight: usize,
}

#[derive(Debug, Default)]
pub(super) struct Groups {
    groups: HashMap<GroupingKey, PendingGroup>,
    lanes: HashMap<LaneId, Lane>,
    /// The size of the metrics of all requests, in bytes.
    size: usize,
    is_stopped: bool,
}

#[derive(Debug, Default)]
struct Lane {
    in_flight: usize,
    /// The number of requests that the sink has answered.
    answered: usize,
    /// How many requests the sink processes within [`MAX_QUEUE_TIME`]; `None` if it is not known yet.
    capacity: Option<usize>,
    /// The groups with a waiting request and none in flight.
    ready: VecDeque<GroupingKey>,
    /// When the next request may be sent, after one has failed.
    paused_until: Option<Moment>,
}

/// A group with at least one request.
#[derive(Debug)]
struct PendingGroup {
    lane: LaneId,
    in_flight: Option<RelayFlight>,
    waiting: Option<RelayedRequest>,
}

#[derive(Debug)]
struct RelayFlight {
    work: RelayedRequest,
    started_at: Moment,
    /// The requests of the lane that were in flight with this one when it started.
    in_flight: usize,
    /// The requests of the lane that were answered before it started.
    answered_before: usize,
}

/// A request and the messages that it consists of.
#[derive(Debug)]
struct RelayedRequest {
    request: PushRequest,
    /// The position of the first message.
    first: Position,
    messages: u64,
}

impl PendingGroup {
    fn requests(&self) -> impl Iterator<Item = &RelayedRequest> {
        self.in_flight.iter().map(|flight| &flight.work).chain(&self.waiting)
    }

    fn size(&self) -> usize {
        self.requests().map(|work| work.request.size()).sum()
    }
}

impl Lane {
    fn has_turn(&self, id: &LaneId, now: Moment) -> bool {
        let is_paused = self.paused_until.is_some_and(|until| !now.is_at_or_after(until));
        let limit =
            self.capacity.map_or(id.max_in_flight, |capacity| capacity.min(id.max_in_flight));
        self.in_flight < limit && !self.ready.is_empty() && !is_paused
    }

    /// Derives the capacity from the duration of a flight that the sink has answered. A sink that answers in order has processed
    /// the requests that were in flight at its start. A sink that answers in another order may have answered more requests in
    /// this time, so the larger number counts. The capacity increases by at most one, because a single fast response can be an
    /// exception.
    fn measure(&mut self, flight: &RelayFlight, now: Moment) {
        self.answered += 1;
        let processed = flight.in_flight.max(self.answered - flight.answered_before);
        let processed = u32::try_from(processed).unwrap_or(u32::MAX);
        let per_request = now.since(flight.started_at) / processed;
        let capacity = MAX_QUEUE_TIME.as_nanos() / per_request.as_nanos().max(1);
        let capacity = usize::try_from(capacity).unwrap_or(usize::MAX).max(1);
        self.capacity = Some(self.capacity.map_or(capacity, |before| capacity.min(before + 1)));
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
        self.lanes.values().any(|lane| lane.in_flight > 0)
    }

    fn requests(&self) -> impl Iterator<Item = &RelayedRequest> {
        self.groups.values().flat_map(PendingGroup::requests)
    }

    /// Adds the request of a message.
    pub(super) fn add(&mut self, request: PushRequest, position: Position, lane: LaneId) {
        let key = request.key().clone();
        let is_new = !self.groups.contains_key(&key);
        let new_group = || PendingGroup { lane, in_flight: None, waiting: None };
        let group = self.groups.entry(key.clone()).or_insert_with(new_group);
        let size = group.size();
        let work = RelayedRequest { request, first: position, messages: 1 };
        group.waiting = merge(group.waiting.take(), Some(work));
        self.size = self.size - size + group.size();
        if is_new {
            self.lanes.entry(group.lane).or_default().ready.push_back(key);
        }
    }

    /// Starts the next request; `None` if none is ready, or none may be sent yet.
    pub(super) fn start_next(&mut self, now: Moment) -> Option<PushRequest> {
        if self.is_stopped {
            return None;
        }
        let (_, lane) = self.lanes.iter_mut().find(|(id, lane)| lane.has_turn(id, now))?;
        let group = self.groups.get_mut(&lane.ready.pop_front()?)?;
        let work = group.waiting.take()?;
        let request = work.request.clone();
        lane.in_flight += 1;
        group.in_flight = Some(RelayFlight {
            work,
            started_at: now,
            in_flight: lane.in_flight,
            answered_before: lane.answered,
        });
        Some(request)
    }

    /// Removes the request in flight of a group.
    pub(super) fn finish(&mut self, key: &GroupingKey, now: Moment) {
        self.end_flight(key, now, None);
    }

    /// Merges the request in flight with those that wait. It is sent again after the other groups of its lane, and none of
    /// them before `retry_at`. The next ones are sent one after the other until the sink answers.
    pub(super) fn fail(&mut self, key: &GroupingKey, now: Moment, retry_at: Moment) {
        self.end_flight(key, now, Some(retry_at));
    }

    /// Ends the flight of a request, which is sent again if there is a `retry_at`.
    fn end_flight(&mut self, key: &GroupingKey, now: Moment, retry_at: Option<Moment>) {
        let Some(group) = self.groups.get_mut(key) else { return };
        let size = group.size();
        let Some(flight) = group.in_flight.take() else { return };
        let lane = self.lanes.entry(group.lane).or_default();
        lane.in_flight -= 1;
        if retry_at.is_none() {
            lane.measure(&flight, now);
        } else {
            (lane.paused_until, lane.capacity) = (retry_at, Some(1));
            group.waiting = merge(Some(flight.work), group.waiting.take());
        }
        self.size = self.size - size + group.size();
        if group.waiting.is_some() {
            lane.ready.push_back(key.clone());
        } else {
            self.groups.remove(key);
        }
    }

    /// Starts no further requests.
    pub(super) fn stop(&mut self) {
        self.is_stopped = true;
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push_request::Families;

    fn key(job: &str) -> GroupingKey {
        GroupingKey::new(job).unwrap()
    }

    fn lane(route: usize) -> LaneId {
        LaneId { route, max_in_flight: 2 }
    }

    /// Adds a message of the group `job` with the family `m<offset>`.
    fn add(groups: &mut Groups, job: &str, offset: i64, route: usize) {
        let families: Families = [(format!("m{offset}"), format!("m{offset} 1\n"))].into();
        let position = Position { partition: 0, offset };
        groups.add(PushRequest::add(key(job), families), position, lane(route));
    }

    /// Starts requests until none may be sent, and returns their families.
    fn start(groups: &mut Groups, now: Moment) -> Vec<String> {
        let next = || groups.start_next(now);
        let families =
            |it: PushRequest| it.families().keys().cloned().collect::<Vec<_>>().join(" ");
        std::iter::from_fn(next).map(families).collect()
    }

    fn offsets(groups: &Groups) -> Vec<i64> {
        let mut offsets: Vec<_> = groups.positions().map(|position| position.offset).collect();
        offsets.sort_unstable();
        offsets
    }

    #[test]
    fn requests_of_a_group_are_merged_while_one_is_in_flight() {
        let (mut groups, now) = (Groups::default(), Moment::now());
        add(&mut groups, "a", 1, 1);
        assert_eq!(start(&mut groups, now), ["m1"]);
        add(&mut groups, "a", 2, 1);
        add(&mut groups, "a", 3, 1);
        assert_eq!(start(&mut groups, now), [""; 0]);
        assert_eq!((offsets(&groups), groups.messages()), (vec![1, 2], 3));
        groups.finish(&key("a"), now);
        assert_eq!(start(&mut groups, now), ["m2 m3"]);
        assert_eq!((offsets(&groups), groups.messages()), (vec![2], 2));
        groups.finish(&key("a"), now);
        assert_eq!((groups.len(), groups.size(), groups.has_in_flight()), (0, 0, false));
    }

    #[test]
    fn requests_are_merged_while_their_lane_is_full() {
        let (mut groups, now) = (Groups::default(), Moment::now());
        for (offset, job) in (1..).zip(["a", "b", "c", "d", "c"]) {
            add(&mut groups, job, offset, 1);
        }
        add(&mut groups, "e", 6, 2);
        let mut started = start(&mut groups, now);
        started.sort();
        assert_eq!(started, ["m1", "m2", "m6"], "another lane is not full");
        add(&mut groups, "a", 7, 1);
        groups.finish(&key("a"), now);
        assert_eq!(start(&mut groups, now), ["m3 m5"]);
        groups.finish(&key("b"), now);
        groups.finish(&key("c"), now);
        assert_eq!(start(&mut groups, now), ["m4", "m7"]);
    }

    #[test]
    fn size_of_merged_requests_is_that_of_the_newest_values() {
        let mut groups = Groups::default();
        (0..100).for_each(|_| add(&mut groups, "a", 1, 1));
        assert_eq!(groups.size(), "m1 1\n".len());
    }

    #[test]
    fn failed_request_is_sent_again_with_the_later_ones_after_a_pause() {
        let (mut groups, now) = (Groups::default(), Moment::now());
        add(&mut groups, "a", 1, 1);
        add(&mut groups, "b", 2, 1);
        assert_eq!(start(&mut groups, now).len(), 2);
        add(&mut groups, "a", 3, 1);
        groups.fail(&key("a"), now, now.after(Duration::from_secs(1)));
        groups.finish(&key("b"), now);
        add(&mut groups, "c", 4, 1);
        assert_eq!(start(&mut groups, now), [""; 0], "the lane is paused");
        assert_eq!((offsets(&groups), groups.messages()), (vec![1, 4], 3));
        assert_eq!(start(&mut groups, now.after(Duration::from_secs(2))), ["m1 m3", "m4"]);
    }

    /// Returns groups of one lane, each with one message. At most 16 requests are in flight.
    fn wide_lane(count: i64) -> Groups {
        let mut groups = Groups::default();
        let wide = LaneId { route: 1, max_in_flight: 16 };
        for offset in 0..count {
            let position = Position { partition: 0, offset };
            let families = [(format!("m{offset}"), String::from("m 1\n"))].into();
            groups.add(PushRequest::add(key(&offset.to_string()), families), position, wide);
        }
        groups
    }

    #[test]
    fn responses_in_reverse_order_show_the_same_capacity() {
        let (mut groups, mut now) = (wide_lane(32), Moment::now());
        let mut first: Vec<_> =
            std::iter::from_fn(|| groups.start_next(now)).map(|it| it.key().clone()).collect();
        assert_eq!(first.len(), 16);
        while let Some(key) = first.pop() {
            now = now.after(Duration::from_millis(250));
            groups.finish(&key, now);
        }
        assert_eq!(start(&mut groups, now).len(), 4);
    }

    #[test]
    fn slow_sink_gets_only_requests_that_it_processes_in_time() {
        let (mut groups, mut now) = (wide_lane(100), Moment::now());
        let mut sink = VecDeque::new();
        // Processes the oldest request.
        let mut process = |groups: &mut Groups, duration: Duration| {
            let next = || groups.start_next(now);
            sink.extend(std::iter::from_fn(next).map(|request| request.key().clone()));
            now = now.after(duration);
            groups.finish(&sink.pop_front().unwrap(), now);
            sink.len() + 1
        };
        let slow = Duration::from_millis(250);
        let counts: Vec<_> = (0..30).map(|_| process(&mut groups, slow)).collect();
        assert_eq!((counts[0], &counts[12..]), (16, &[4; 18][..]));
        let fast = Duration::from_millis(1);
        let counts: Vec<_> = (0..20).map(|_| process(&mut groups, fast)).collect();
        assert_eq!((&counts[..3], counts[19]), (&[4, 5, 6][..], 16));
    }

    #[test]
    fn stopped_groups_finish_only_what_is_in_flight() {
        let (mut groups, now) = (Groups::default(), Moment::now());
        add(&mut groups, "a", 1, 1);
        assert_eq!(start(&mut groups, now), ["m1"]);
        add(&mut groups, "a", 2, 1);
        groups.stop();
        groups.finish(&key("a"), now);
        assert_eq!(start(&mut groups, now), [""; 0]);
        assert_eq!((offsets(&groups), groups.has_in_flight()), (vec![2], false));
    }
}
