//! Queue: what waits for its turn, in the order it came, one at a time per group. Pure.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use crate::clock::Moment;
use crate::delivery::{Receipt, Route, Urgency};
use crate::labels::GroupingKey;
use crate::parcel::Parcel;
use crate::ticket::Stub;

/// How many parcels travel at once to one sink: enough to hide a slow gateway's latency, too few to flood it. A sink
/// that is dead keeps its own waiting, and nobody else's.
pub(super) const MOST_IN_FLIGHT: usize = 16;

/// A group at the end of a route.
pub(super) type Address = (usize, GroupingKey);

/// A parcel on its way, and everybody who wants to know what becomes of it.
pub(super) struct Waiting {
    pub(super) route: Route,
    /// `None`: what waits on disk is to be delivered, and nothing else.
    pub(super) parcel: Option<Parcel>,
    pub(super) deadline: Moment,
    pub(super) urgency: Urgency,
    pub(super) askers: Vec<Stub<Receipt>>,
}

impl Waiting {
    fn join(&mut self, later: Self) {
        self.parcel = match (self.parcel.take(), later.parcel) {
            (Some(before), Some(later)) => Some(before.then(later)),
            (before, later) => later.or(before),
        };
        self.deadline = self.deadline.later_of(later.deadline);
        self.urgency = self.urgency.max(later.urgency);
        self.askers.extend(later.askers);
    }
}

/// Nothing here looks at everything that waits: a gateway that is dead may keep thousands of groups waiting.
#[derive(Default)]
pub(super) struct Queue {
    waiting: BTreeMap<Address, (u64, Waiting)>,
    /// What waits on each route, by the number it drew when it came.
    order: BTreeMap<usize, BTreeMap<u64, GroupingKey>>,
    next_number: u64,
    in_flight: BTreeMap<usize, BTreeSet<GroupingKey>>,
}

impl Queue {
    pub(super) fn enqueue(&mut self, key: GroupingKey, later: Waiting) {
        let route = later.route.id();
        match self.waiting.entry((route, key.clone())) {
            Entry::Occupied(mut before) => before.get_mut().1.join(later),
            Entry::Vacant(place) => {
                self.next_number += 1;
                self.order.entry(route).or_default().insert(self.next_number, key);
                place.insert((self.next_number, later));
            }
        }
    }

    /// Lets the first travel whose address is free, on a route that has room.
    pub(super) fn depart(&mut self) -> Option<(Address, Waiting)> {
        let address = self.first_to_depart()?;
        let waiting = self.take(&address)?;
        self.in_flight.entry(address.0).or_default().insert(address.1.clone());
        Some((address, waiting))
    }

    fn first_to_depart(&self) -> Option<Address> {
        self.order.iter().find_map(|(route, keys)| {
            let in_flight = self.in_flight.get(route);
            if in_flight.is_some_and(|keys| keys.len() >= MOST_IN_FLIGHT) {
                return None;
            }
            // It passes over no more than are in flight.
            let is_free = |key: &&GroupingKey| in_flight.is_none_or(|keys| !keys.contains(*key));
            Some((*route, keys.values().find(is_free)?.clone()))
        })
    }

    pub(super) fn is_waiting(&self, address: &Address) -> bool {
        self.waiting.contains_key(address)
    }

    /// What waits for an address: to be sent, or to travel along with a delivery that is under way.
    pub(super) fn take(&mut self, address: &Address) -> Option<Waiting> {
        let (number, waiting) = self.waiting.remove(address)?;
        if let Entry::Occupied(mut keys) = self.order.entry(address.0) {
            keys.get_mut().remove(&number);
            if keys.get().is_empty() {
                keys.remove();
            }
        }
        Some(waiting)
    }

    pub(super) fn arrived(&mut self, address: &Address) {
        if let Entry::Occupied(mut keys) = self.in_flight.entry(address.0) {
            keys.get_mut().remove(&address.1);
            if keys.get().is_empty() {
                keys.remove();
            }
        }
    }

    /// Empties it of what has not departed.
    pub(super) fn give_up(&mut self) -> impl Iterator<Item = Waiting> + use<> {
        self.order.clear();
        std::mem::take(&mut self.waiting).into_values().map(|(_, waiting)| waiting)
    }

    /// How many groups wait for their turn.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many have not arrived.
    pub(super) fn left(&self) -> usize {
        self.waiting.len() + self.in_flight.values().map(BTreeSet::len).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::parcel::Families;
    use crate::sink::Sink;

    fn route() -> Route {
        Route::direct(Sink::DryRun("nowhere".into()))
    }

    fn key(name: usize) -> GroupingKey {
        GroupingKey::new(format!("job_{name}")).unwrap()
    }

    fn waiting(route: &Route, name: usize) -> Waiting {
        Waiting {
            route: route.clone(),
            parcel: Some(Parcel::add(key(name), Families::default())),
            deadline: Moment::now().after(Duration::from_secs(1)),
            urgency: Urgency::Outcome,
            askers: Vec::new(),
        }
    }

    fn departures(queue: &mut Queue) -> Vec<Address> {
        std::iter::from_fn(|| queue.depart()).map(|(address, _)| address).collect()
    }

    #[test]
    fn one_at_a_time_travels_to_a_group() {
        let (mut queue, route) = (Queue::default(), route());
        queue.enqueue(key(1), waiting(&route, 1));
        let address = departures(&mut queue).remove(0);
        queue.enqueue(key(1), waiting(&route, 1));
        queue.enqueue(key(2), waiting(&route, 2));
        assert_eq!(departures(&mut queue), [(route.id(), key(2))]);
        assert_eq!((queue.waiting(), queue.left()), (1, 3));
        queue.arrived(&address);
        assert_eq!(departures(&mut queue), [address]);
    }

    #[test]
    fn what_comes_for_a_group_that_waits_takes_no_further_place() {
        let (mut queue, route) = (Queue::default(), route());
        for name in [1, 2, 1, 1] {
            queue.enqueue(key(name), waiting(&route, name));
        }
        assert_eq!(departures(&mut queue), [1, 2].map(|name| (route.id(), key(name))));
    }

    #[test]
    fn a_crowded_route_holds_up_no_other() {
        let (mut queue, crowded, free) = (Queue::default(), route(), route());
        for name in 0..MOST_IN_FLIGHT * 3 {
            queue.enqueue(key(name), waiting(&crowded, name));
        }
        queue.enqueue(key(0), waiting(&free, 0));
        let departed = departures(&mut queue);
        assert_eq!(departed.len(), MOST_IN_FLIGHT + 1);
        assert!(departed.contains(&(free.id(), key(0))));
    }

    #[test]
    fn what_is_taken_along_does_not_travel_again() {
        let (mut queue, route) = (Queue::default(), route());
        queue.enqueue(key(1), waiting(&route, 1));
        let address = departures(&mut queue).remove(0);
        queue.enqueue(key(1), waiting(&route, 1));
        assert!(queue.take(&address).is_some() && queue.take(&address).is_none());
        queue.arrived(&address);
        assert!(queue.depart().is_none() && queue.left() == 0);
    }

    #[test]
    fn groups_travel_in_the_order_they_came_in() {
        let (mut queue, route) = (Queue::default(), route());
        let came = [5, 3, 9, 1, 7];
        for name in came {
            queue.enqueue(key(name), waiting(&route, name));
        }
        assert!(queue.take(&(route.id(), key(9))).is_some());
        queue.enqueue(key(9), waiting(&route, 9));
        assert_eq!(departures(&mut queue), [5, 3, 1, 7, 9].map(|name| (route.id(), key(name))));
        for name in came {
            queue.arrived(&(route.id(), key(name)));
        }
        assert!(queue.order.is_empty() && queue.in_flight.is_empty(), "nothing of a route is left");
    }
}
