//! `Offsets`: which messages of each partition are processed, and up to where all are.
//!
//! It is a data structure without I/O and locks.

use std::collections::{BTreeSet, HashMap};

use crate::sink::kafka::Position;

#[derive(Debug, Default)]
pub(super) struct Offsets {
    partitions: HashMap<i32, Partition>,
}

#[derive(Debug, Default)]
struct Partition {
    unsettled: BTreeSet<i64>,
    /// The offset after the last message that was read.
    end: i64,
    committed: Option<i64>,
}

impl Partition {
    /// Returns the offset of the first message that is not processed.
    fn next(&self) -> i64 {
        self.unsettled.first().copied().unwrap_or(self.end)
    }
}

impl Offsets {
    /// Records that a message was read.
    pub(super) fn start(&mut self, position: Position) {
        let partition = self.partitions.entry(position.partition).or_default();
        partition.unsettled.insert(position.offset);
        partition.end = position.offset + 1;
    }

    /// Records that a message is processed.
    pub(super) fn settle(&mut self, position: Position) {
        if let Some(partition) = self.partitions.get_mut(&position.partition) {
            partition.unsettled.remove(&position.offset);
        }
    }

    /// Returns the number of messages that are read and not processed.
    pub(super) fn unsettled(&self) -> usize {
        self.partitions.values().map(|partition| partition.unsettled.len()).sum()
    }

    /// Returns the offset of the next message of each partition in which it has changed since the last call.
    pub(super) fn take_committable(&mut self) -> Vec<Position> {
        let changed = self.partitions.iter_mut().filter_map(|(number, partition)| {
            let next = partition.next();
            let is_new = partition.committed.replace(next) != Some(next);
            is_new.then_some(Position { partition: *number, offset: next })
        });
        changed.collect()
    }

    pub(super) fn clear(&mut self) {
        self.partitions.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offset_is_committed_only_if_all_earlier_ones_are_settled() {
        let at = |offset| Position { partition: 1, offset };
        let mut offsets = Offsets::default();
        (5..9).for_each(|offset| offsets.start(at(offset)));
        offsets.settle(at(6));
        assert_eq!(offsets.take_committable(), [at(5)]);
        assert_eq!(offsets.take_committable(), []);
        offsets.settle(at(5));
        assert_eq!(offsets.take_committable(), [at(7)]);
        offsets.settle(at(8));
        offsets.settle(at(7));
        assert_eq!((offsets.take_committable(), offsets.unsettled()), (vec![at(9)], 0));
    }
}
