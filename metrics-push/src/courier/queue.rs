//! Queue: what waits for its turn, in the order it came, one at a time per group. Pure.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

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

#[derive(Default)]
pub(super) struct Queue {
    waiting: BTreeMap<Address, Waiting>,
    /// The order in which addresses came to wait.
    order: VecDeque<Address>,
    in_flight: BTreeSet<Address>,
}

impl Queue {
    pub(super) fn enqueue(&mut self, key: GroupingKey, later: Waiting) {
        match self.waiting.entry((later.route.id(), key)) {
            Entry::Occupied(mut before) => before.get_mut().join(later),
            Entry::Vacant(place) => {
                self.order.push_back(place.key().clone());
                place.insert(later);
            }
        }
    }

    /// Lets the first travel whose address is free, on a route that has room.
    pub(super) fn depart(&mut self) -> Option<(Address, Waiting)> {
        let address = self.order.remove(self.first_to_depart()?)?;
        let waiting = self.waiting.remove(&address)?;
        self.in_flight.insert(address.clone());
        Some((address, waiting))
    }

    fn first_to_depart(&self) -> Option<usize> {
        let mut travelling: BTreeMap<usize, usize> = BTreeMap::new();
        for (route, _) in &self.in_flight {
            *travelling.entry(*route).or_default() += 1;
        }
        let has_room =
            |route: &usize| travelling.get(route).is_none_or(|number| *number < MOST_IN_FLIGHT);
        self.order
            .iter()
            .position(|address| has_room(&address.0) && !self.in_flight.contains(address))
    }

    pub(super) fn is_waiting(&self, address: &Address) -> bool {
        self.waiting.contains_key(address)
    }

    /// What came for an address while a delivery to it is under way.
    pub(super) fn take(&mut self, address: &Address) -> Option<Waiting> {
        let waiting = self.waiting.remove(address)?;
        self.order.retain(|other| other != address);
        Some(waiting)
    }

    pub(super) fn arrived(&mut self, address: &Address) {
        self.in_flight.remove(address);
    }

    /// Empties it of what has not departed.
    pub(super) fn give_up(&mut self) -> impl Iterator<Item = Waiting> + use<> {
        self.order.clear();
        std::mem::take(&mut self.waiting).into_values()
    }

    /// How many groups wait for their turn.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many have not arrived.
    pub(super) fn left(&self) -> usize {
        self.waiting.len() + self.in_flight.len()
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
        assert_eq!(departed.last(), Some(&(free.id(), key(0))));
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
}
