//! `Queue`: the pending requests in the order of their arrival, with at most one in flight per group and route. The
//! endings of the process come first, because the process waits for them. What is only delivered from the disk comes last.
//!
//! It is a data structure without I/O and locks.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use crate::clock::Moment;
use crate::delivery::{DeliveryClass, Receipt, Route};
use crate::labels::GroupingKey;
use crate::push_request::PushRequest;

/// Called with the receipt of a request. It is dropped without a call if the dispatcher drops the request.
pub(crate) type OnSettled = Box<dyn FnOnce(Receipt) + Send>;

/// The id of a route and a group.
pub(super) type QueueKey = (usize, GroupingKey);

/// A request that has not been started.
pub(super) struct Pending {
    pub(super) route: Route,
    /// `None`: only the backlog on disk is delivered.
    pub(super) request: Option<PushRequest>,
    pub(super) deadline: Moment,
    pub(super) class: DeliveryClass,
    pub(super) on_settled: Vec<OnSettled>,
}

impl Pending {
    fn urgency(&self) -> Urgency {
        match (self.class, &self.request) {
            (DeliveryClass::Final, _) => Urgency::Final,
            (_, Some(_)) => Urgency::New,
            (_, None) => Urgency::Backlog,
        }
    }

    fn merge(&mut self, later: Self) {
        self.request = match (self.request.take(), later.request) {
            (Some(request), Some(later)) => Some(request.merged_with(later)),
            (request, later) => later.or(request),
        };
        self.deadline = self.deadline.later_of(later.deadline);
        self.class = self.class.max(later.class);
        self.on_settled.extend(later.on_settled);
    }
}

/// The pending requests and the keys of those in flight.
///
/// Enqueueing and starting a request do not visit all others, because thousands of groups may be pending for an
/// unreachable gateway.
#[derive(Default)]
pub(super) struct Queue {
    pending: BTreeMap<QueueKey, (QueuePlace, Pending)>,
    /// The pending groups of each route, by their place.
    order: BTreeMap<usize, BTreeMap<QueuePlace, GroupingKey>>,
    last_number: u64,
    in_flight: BTreeMap<usize, InFlightGroups>,
}

/// The place of a request in the queue: its urgency and its sequence number.
type QueuePlace = (Urgency, u64);

/// Which requests are started first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Urgency {
    /// A process waits for it.
    Final,
    New,
    /// It is on disk, so it may wait.
    Backlog,
}

/// The groups of a route whose request is in flight.
struct InFlightGroups {
    route: Route,
    groups: BTreeSet<GroupingKey>,
}

impl InFlightGroups {
    fn is_full(&self) -> bool {
        self.groups.len() >= self.route.max_in_flight()
    }
}

/// A sink with requests that are pending or in flight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UnfinishedSink {
    /// The URL without credentials.
    pub(crate) url: String,
    pub(crate) groups: Vec<GroupingKey>,
    /// Outcomes that the sink does not accept are stored on disk.
    pub(crate) has_spool: bool,
}

impl Queue {
    pub(super) fn enqueue(&mut self, group: GroupingKey, pending: Pending) {
        let key = (pending.route.id(), group);
        let (number, pending) = match self.remove(&key) {
            Some(((_, number), mut earlier)) => {
                earlier.merge(pending);
                (number, earlier)
            }
            None => {
                self.last_number += 1;
                (self.last_number, pending)
            }
        };
        let place = (pending.urgency(), number);
        self.order.entry(key.0).or_default().insert(place, key.1.clone());
        self.pending.insert(key, (place, pending));
    }

    /// Starts the first request whose group has none in flight, on a route below its limit.
    pub(super) fn start_next(&mut self) -> Option<(QueueKey, Pending)> {
        let key = self.next_key()?;
        let pending = self.take(&key)?;
        let route = || InFlightGroups { route: pending.route.clone(), groups: BTreeSet::new() };
        self.in_flight.entry(key.0).or_insert_with(route).groups.insert(key.1.clone());
        Some((key, pending))
    }

    fn next_key(&self) -> Option<QueueKey> {
        self.order.iter().find_map(|(route, groups)| {
            let in_flight = self.in_flight.get(route);
            if in_flight.is_some_and(InFlightGroups::is_full) {
                return None;
            }
            let in_flight = in_flight.map(|in_flight| &in_flight.groups);
            // This skips at most as many groups as are in flight.
            let is_free =
                |group: &&GroupingKey| in_flight.is_none_or(|busy| !busy.contains(*group));
            Some((*route, groups.values().find(is_free)?.clone()))
        })
    }

    pub(super) fn is_pending(&self, key: &QueueKey) -> bool {
        self.pending.contains_key(key)
    }

    /// Removes and returns the pending request of a key, to start it or to merge it into the one in flight.
    pub(super) fn take(&mut self, key: &QueueKey) -> Option<Pending> {
        self.remove(key).map(|(_, pending)| pending)
    }

    fn remove(&mut self, key: &QueueKey) -> Option<(QueuePlace, Pending)> {
        let (place, pending) = self.pending.remove(key)?;
        if let Entry::Occupied(mut groups) = self.order.entry(key.0) {
            groups.get_mut().remove(&place);
            if groups.get().is_empty() {
                groups.remove();
            }
        }
        Some((place, pending))
    }

    /// Records that the request of a key is not in flight any more.
    pub(super) fn finish(&mut self, key: &QueueKey) {
        if let Entry::Occupied(mut in_flight) = self.in_flight.entry(key.0) {
            let groups = &mut in_flight.get_mut().groups;
            groups.remove(&key.1);
            if groups.is_empty() {
                in_flight.remove();
            }
        }
    }

    /// Removes and returns all pending requests.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Pending> + use<> {
        self.order.clear();
        std::mem::take(&mut self.pending).into_values().map(|(_, pending)| pending)
    }

    /// Returns the number of pending requests.
    pub(super) fn pending_count(&self) -> usize {
        self.pending.len()
    }

    /// Returns the number of requests that are pending or in flight.
    pub(super) fn unfinished_count(&self) -> usize {
        self.pending.len() + self.in_flight.values().map(|it| it.groups.len()).sum::<usize>()
    }

    /// Returns the sinks that have unfinished requests, with their groups.
    pub(super) fn unfinished(&self) -> Vec<UnfinishedSink> {
        let mut keys: BTreeMap<usize, (&Route, BTreeSet<&GroupingKey>)> = BTreeMap::new();
        for (id, InFlightGroups { route, groups }) in &self.in_flight {
            keys.entry(*id).or_insert_with(|| (route, BTreeSet::new())).1.extend(groups);
        }
        for ((id, group), (_, pending)) in &self.pending {
            keys.entry(*id).or_insert_with(|| (&pending.route, BTreeSet::new())).1.insert(group);
        }
        let describe = |(route, groups): (&Route, BTreeSet<&GroupingKey>)| UnfinishedSink {
            url: route.to_string(),
            groups: groups.into_iter().cloned().collect(),
            has_spool: route.spool().is_some(),
        };
        keys.into_values().map(describe).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::delivery::policy::MAX_IN_FLIGHT;
    use crate::push_request::Families;
    use crate::sink::DryRun;

    fn route() -> Route {
        Route::direct(std::sync::Arc::new(DryRun::new("nowhere")))
    }

    fn key(name: usize) -> GroupingKey {
        GroupingKey::new(format!("job_{name}")).unwrap()
    }

    fn pending(route: &Route, name: usize) -> Pending {
        Pending {
            route: route.clone(),
            request: Some(PushRequest::add(key(name), Families::default())),
            deadline: Moment::now().after(Duration::from_secs(1)),
            class: DeliveryClass::Spooled,
            on_settled: Vec::new(),
        }
    }

    fn started(queue: &mut Queue) -> Vec<QueueKey> {
        std::iter::from_fn(|| queue.start_next()).map(|(key, _)| key).collect()
    }

    #[test]
    fn queue_starts_one_request_per_group() {
        let (mut queue, route) = (Queue::default(), route());
        queue.enqueue(key(1), pending(&route, 1));
        let first = started(&mut queue).remove(0);
        queue.enqueue(key(1), pending(&route, 1));
        queue.enqueue(key(2), pending(&route, 2));
        assert_eq!(started(&mut queue), [(route.id(), key(2))]);
        assert_eq!((queue.pending_count(), queue.unfinished_count()), (1, 3));
        queue.finish(&first);
        assert_eq!(started(&mut queue), [first]);
    }

    #[test]
    fn pending_requests_for_one_group_are_merged() {
        let (mut queue, route) = (Queue::default(), route());
        for name in [1, 2, 1, 1] {
            queue.enqueue(key(name), pending(&route, name));
        }
        assert_eq!(started(&mut queue), [1, 2].map(|name| (route.id(), key(name))));
    }

    #[test]
    fn full_route_does_not_delay_another() {
        let (mut queue, full, free) = (Queue::default(), route(), route());
        for name in 0..MAX_IN_FLIGHT * 3 {
            queue.enqueue(key(name), pending(&full, name));
        }
        queue.enqueue(key(0), pending(&free, 0));
        let started_keys = started(&mut queue);
        assert_eq!(started_keys.len(), MAX_IN_FLIGHT + 1);
        assert!(started_keys.contains(&(free.id(), key(0))));
    }

    #[test]
    fn taken_request_is_not_started_again() {
        let (mut queue, route) = (Queue::default(), route());
        queue.enqueue(key(1), pending(&route, 1));
        let first = started(&mut queue).remove(0);
        queue.enqueue(key(1), pending(&route, 1));
        assert!(queue.take(&first).is_some() && queue.take(&first).is_none());
        queue.finish(&first);
        assert!(queue.start_next().is_none() && queue.unfinished_count() == 0);
    }

    #[test]
    fn unfinished_sink_has_each_group_once() {
        let (mut queue, route) = (Queue::default(), route());
        queue.enqueue(key(1), pending(&route, 1));
        assert_eq!(started(&mut queue).len(), 1);
        for name in [1, 2] {
            queue.enqueue(key(name), pending(&route, name));
        }
        let unfinished = queue.unfinished();
        assert_eq!(unfinished.len(), 1);
        assert_eq!(unfinished[0].groups, [key(1), key(2)]);
        assert!(!unfinished[0].has_spool);
    }

    #[test]
    fn final_request_is_started_before_earlier_ones() {
        let (mut queue, route) = (Queue::default(), route());
        for name in [1, 2, 3] {
            queue.enqueue(key(name), pending(&route, name));
        }
        for name in [4, 2] {
            let class = DeliveryClass::Final;
            queue.enqueue(key(name), Pending { class, ..pending(&route, name) });
        }
        assert_eq!(started(&mut queue), [2, 4, 1, 3].map(|name| (route.id(), key(name))));
    }

    #[test]
    fn backlog_is_started_after_later_requests() {
        let (mut queue, route) = (Queue::default(), route());
        for name in [1, 2] {
            queue.enqueue(key(name), Pending { request: None, ..pending(&route, name) });
        }
        for name in [3, 2] {
            queue.enqueue(key(name), pending(&route, name));
        }
        assert_eq!(started(&mut queue), [2, 3, 1].map(|name| (route.id(), key(name))));
    }

    #[test]
    fn groups_are_started_in_the_order_of_arrival() {
        let (mut queue, route) = (Queue::default(), route());
        let arrivals = [5, 3, 9, 1, 7];
        for name in arrivals {
            queue.enqueue(key(name), pending(&route, name));
        }
        assert!(queue.take(&(route.id(), key(9))).is_some());
        queue.enqueue(key(9), pending(&route, 9));
        assert_eq!(started(&mut queue), [5, 3, 1, 7, 9].map(|name| (route.id(), key(name))));
        for name in arrivals {
            queue.finish(&(route.id(), key(name)));
        }
        assert!(
            queue.order.is_empty() && queue.in_flight.is_empty(),
            "no state of the route is left"
        );
    }
}
