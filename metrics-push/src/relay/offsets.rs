//! `Offsets`: how far each partition was read, and up to where all messages are processed.
//!
//! It is a data structure without I/O and locks.

use std::collections::HashMap;

use crate::sink::kafka::Position;

#[derive(Debug, Default)]
pub(super) struct Offsets {
    partitions: HashMap<i32, Partition>,
}

#[derive(Debug, Default)]
struct Partition {
    /// The offset after the last message that was read.
    end: i64,
    committed: Option<i64>,
}

impl Offsets {
    /// Records that a message was read.
    pub(super) fn set_read(&mut self, position: Position) {
        self.partitions.entry(position.partition).or_default().end = position.offset + 1;
    }

    /// Returns the offset of the first message of each partition that is not processed, if it has changed since the last
    /// call. Every message that is not processed is at one of the positions in `unprocessed`, or after it.
    pub(super) fn take_committable(
        &mut self,
        unprocessed: impl IntoIterator<Item = Position>,
    ) -> Vec<Position> {
        let mut next: HashMap<_, _> =
            self.partitions.iter().map(|(number, partition)| (*number, partition.end)).collect();
        for Position { partition, offset } in unprocessed {
            next.entry(partition).and_modify(|next| *next = offset.min(*next));
        }
        let changed = self.partitions.iter_mut().filter_map(|(number, partition)| {
            let offset = next[number];
            let is_new = partition.committed.replace(offset) != Some(offset);
            is_new.then_some(Position { partition: *number, offset })
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
    fn offset_is_committed_only_if_all_earlier_messages_are_processed() {
        let at = |partition, offset| Position { partition, offset };
        let mut offsets = Offsets::default();
        (5..9).for_each(|offset| offsets.set_read(at(1, offset)));
        assert_eq!(offsets.take_committable([at(1, 7), at(1, 5), at(2, 1)]), [at(1, 5)]);
        assert_eq!(offsets.take_committable([at(1, 5)]), []);
        assert_eq!(offsets.take_committable([at(1, 7)]), [at(1, 7)]);
        assert_eq!(offsets.take_committable([]), [at(1, 9)]);
    }
}
