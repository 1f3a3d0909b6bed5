//! `Queue`: the pending requests in the order of their arrival, with at most one in flight per group and route. The
//! endings of the process come first, because the process waits for them. What is only delivered from the disk comes last.
//!
//! It is a data structure without I/O and locks.

use std::collections::{BTreeMap, BTreeSet, HashMap};

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

    pub(super) fn merge(&mut self, later: Self) {
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
    /// The routes that have unfinished requests.
    routes: Vec<RouteQueue>,
    last_number: u64,
}

/// The unfinished requests of one route.
struct RouteQueue {
    route: Route,
    pending: HashMap<GroupingKey, (QueuePlace, Pending)>,
    /// The pending groups by their place.
    order: BTreeMap<QueuePlace, GroupingKey>,
    in_flight: BTreeSet<GroupingKey>,
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

impl RouteQueue {
    fn new(route: Route) -> Self {
        let (pending, order, in_flight) = (HashMap::new(), BTreeMap::new(), BTreeSet::new());
        Self { route, pending, order, in_flight }
    }

    fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.in_flight.is_empty()
    }

    /// Returns the first group that has no request in flight, with its place; `None` if `max` requests are in flight.
    fn next_place(&self, max: usize) -> Option<(&QueuePlace, &GroupingKey)> {
        if self.in_flight.len() >= max {
            return None;
        }
        // This skips at most as many groups as are in flight.
        self.order.iter().find(|(_, group)| !self.in_flight.contains(*group))
    }

    fn start(&mut self, group: GroupingKey) -> Option<Pending> {
        let (_, pending) = self.remove(&group)?;
        self.in_flight.insert(group);
        Some(pending)
    }

    fn remove(&mut self, group: &GroupingKey) -> Option<(QueuePlace, Pending)> {
        let (place, pending) = self.pending.remove(group)?;
        self.order.remove(&place);
        Some((place, pending))
    }

    /// Removes and returns all pending requests in their order.
    fn drain(&mut self) -> Vec<Pending> {
        let order = std::mem::take(&mut self.order).into_values();
        order.filter_map(|group| self.pending.remove(&group)).map(|(_, pending)| pending).collect()
    }

    fn unfinished(&self) -> UnfinishedSink {
        let mut groups = self.in_flight.clone();
        groups.extend(self.order.values().cloned());
        UnfinishedSink {
            url: self.route.to_string(),
            groups: groups.into_iter().collect(),
            has_spool: self.route.spool().is_some(),
        }
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
        let id = pending.route.id();
        let position = self.position(id).unwrap_or_else(|| {
            self.routes.push(RouteQueue::new(pending.route.clone()));
            self.routes.len() - 1
        });
        let route = &mut self.routes[position];
        let (number, pending) = match route.remove(&group) {
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
        route.order.insert(place, group.clone());
        route.pending.insert(group, (place, pending));
    }

    fn position(&self, id: usize) -> Option<usize> {
        self.routes.iter().position(|it| it.route.id() == id)
    }

    /// Starts the first request whose group has none in flight, on a route below its limit.
    pub(super) fn start_next(&mut self) -> Option<(QueueKey, Pending)> {
        self.routes.iter_mut().find_map(|route| {
            let group = route.next_place(route.route.in_flight_limit())?.1.clone();
            Some(((route.route.id(), group.clone()), route.start(group)?))
        })
    }

    /// Starts the first group of a route if it has only a backlog. The backlog that the caller has just delivered still
    /// counts as in flight.
    pub(super) fn start_next_backlog(&mut self, id: usize) -> Option<(QueueKey, Pending)> {
        let position = self.position(id)?;
        let route = &mut self.routes[position];
        let (place, group) = route.next_place(route.route.in_flight_limit() + 1)?;
        if place.0 != Urgency::Backlog {
            return None;
        }
        let group = group.clone();
        Some(((id, group.clone()), route.start(group)?))
    }

    pub(super) fn is_pending(&self, (id, group): &QueueKey) -> bool {
        self.position(*id).is_some_and(|route| self.routes[route].pending.contains_key(group))
    }

    /// Removes and returns the pending request of a key, to start it or to merge it into the one in flight.
    pub(super) fn take(&mut self, key: &QueueKey) -> Option<Pending> {
        let (_, pending) = self.change(key, RouteQueue::remove)?;
        Some(pending)
    }

    /// Records that the request of a key is not in flight any more.
    pub(super) fn finish(&mut self, key: &QueueKey) {
        self.change(key, |route, group| Some(route.in_flight.remove(group)));
    }

    /// Changes a route, and removes it if it has no unfinished requests left.
    fn change<T>(
        &mut self,
        (id, group): &QueueKey,
        change: impl FnOnce(&mut RouteQueue, &GroupingKey) -> Option<T>,
    ) -> Option<T> {
        let position = self.position(*id)?;
        let changed = change(&mut self.routes[position], group);
        if self.routes[position].is_empty() {
            self.routes.remove(position);
        }
        changed
    }

    /// Removes and returns all pending requests.
    pub(super) fn drain(&mut self) -> Vec<Pending> {
        let pending = self.routes.iter_mut().flat_map(RouteQueue::drain).collect();
        self.routes.retain(|route| !route.is_empty());
        pending
    }

    /// Returns the number of pending requests.
    pub(super) fn pending_count(&self) -> usize {
        self.routes.iter().map(|route| route.pending.len()).sum()
    }

    /// Returns the number of requests that are pending or in flight.
    pub(super) fn unfinished_count(&self) -> usize {
        self.routes.iter().map(|route| route.pending.len() + route.in_flight.len()).sum()
    }

    /// Returns the sinks that have unfinished requests, with their groups.
    pub(super) fn unfinished(&self) -> Vec<UnfinishedSink> {
        self.routes.iter().map(RouteQueue::unfinished).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::delivery::policy::INITIAL_IN_FLIGHT;
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
        for name in 0..INITIAL_IN_FLIGHT * 3 {
            queue.enqueue(key(name), pending(&full, name));
        }
        queue.enqueue(key(0), pending(&free, 0));
        let started_keys = started(&mut queue);
        assert_eq!(started_keys.len(), INITIAL_IN_FLIGHT + 1);
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
    fn backlog_follows_another_at_the_limit_of_the_route() {
        let (mut queue, route) = (Queue::default(), route());
        for name in 0..INITIAL_IN_FLIGHT + 2 {
            queue.enqueue(key(name), Pending { request: None, ..pending(&route, name) });
        }
        assert_eq!(started(&mut queue).len(), INITIAL_IN_FLIGHT);
        let next = |queue: &mut Queue| queue.start_next_backlog(route.id()).map(|(key, _)| key);
        assert_eq!(next(&mut queue), Some((route.id(), key(INITIAL_IN_FLIGHT))));
        assert_eq!(next(&mut queue), None, "the route is above its limit");
        queue.finish(&(route.id(), key(0)));
        queue.enqueue(key(99), pending(&route, 99));
        assert_eq!(next(&mut queue), None, "a new request is first");
    }

    #[test]
    fn groups_are_started_in_the_order_of_arrival() {
        let (mut queue, route) = (Queue::default(), route());
        let arrivals = [5, 3, 9, 1];
        for name in arrivals {
            queue.enqueue(key(name), pending(&route, name));
        }
        assert!(queue.take(&(route.id(), key(9))).is_some());
        queue.enqueue(key(9), pending(&route, 9));
        assert_eq!(started(&mut queue), [5, 3, 1, 9].map(|name| (route.id(), key(name))));
        for name in arrivals {
            queue.finish(&(route.id(), key(name)));
        }
        assert!(queue.routes.is_empty(), "no state of the route is left");
    }
}
