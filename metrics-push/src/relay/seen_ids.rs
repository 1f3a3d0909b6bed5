//! `SeenIds`: the ids of the last messages, to skip the repeated ones.

use std::collections::{HashSet, VecDeque};

/// The number of ids: those of half a minute at 100,000 runs a minute. A producer repeats a message within seconds. The report
/// of a run whose process was killed is repeated when the next process starts.
const MAX_IDS: usize = 131_072;

#[derive(Debug, Default)]
pub(super) struct SeenIds {
    ids: HashSet<u128>,
    order: VecDeque<u128>,
}

impl SeenIds {
    /// Adds an id. Returns false if it is there already.
    pub(super) fn insert(&mut self, id: u128) -> bool {
        if !self.ids.insert(id) {
            return false;
        }
        self.order.push_back(id);
        if self.order.len() > MAX_IDS
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oldest_id_is_forgotten_first() {
        let mut seen = SeenIds::default();
        assert!(seen.insert(0) && !seen.insert(0));
        (1..=u128::try_from(MAX_IDS).unwrap()).for_each(|id| assert!(seen.insert(id)));
        assert!(!seen.insert(1) && seen.insert(0));
        assert_eq!((seen.ids.len(), seen.order.len()), (MAX_IDS, MAX_IDS));
    }
}
