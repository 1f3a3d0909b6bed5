//! Stock: how much a folder holds, so that not every request that comes or goes lists thousands of others.
//!
//! It is what a listing said, and what this process has changed since; what others change shows within [`HOLDS`].
//! Nothing is removed by it: whoever finds no room looks again.

use std::time::{Duration, SystemTime};

use super::disk::Entry;
use super::{LONGEST_STAY, MOST_BYTES, MOST_RECORDS, RECORD, is_abandoned};
use crate::clock::Moment;

/// How long a listing is good for: a thousand times as long as a full folder takes to list, and less than anybody
/// notices in a gauge.
const HOLDS: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug)]
pub(super) struct Stock {
    until: Moment,
    pub(super) records: usize,
    bytes: u64,
    pub(super) oldest: Option<SystemTime>,
    /// Whether something has to be cleared away.
    is_littered: bool,
}

impl Stock {
    /// Counts what was listed just now.
    pub(super) fn of(entries: &[Entry]) -> Self {
        let now = Moment::now();
        let is_littered = entries.iter().any(|entry| is_abandoned(entry, now.wall()));
        let until = now.after(HOLDS);
        let mut stock = Self { until, records: 0, bytes: 0, oldest: None, is_littered };
        for record in entries.iter().filter(|entry| entry.has_extension(RECORD)) {
            stock.came(record.bytes, record.modified);
        }
        stock
    }

    #[cfg(test)]
    pub(super) fn outdated(self) -> Self {
        Self { until: Moment::now(), ..self }
    }

    pub(super) fn is_current(&self) -> bool {
        !self.until.remaining().is_zero()
    }

    /// Whether one more fits, and nothing has to go for its age.
    pub(super) fn has_room_for(&self, bytes: u64, now: SystemTime) -> bool {
        let age = |oldest| now.duration_since(oldest).unwrap_or_default();
        !self.is_littered
            && self.records < MOST_RECORDS
            && self.bytes + bytes <= MOST_BYTES
            && self.oldest.is_none_or(|oldest| age(oldest) <= LONGEST_STAY)
    }

    pub(super) fn came(&mut self, bytes: u64, now: SystemTime) {
        self.records += 1;
        self.bytes += bytes;
        self.oldest = Some(self.oldest.map_or(now, |oldest| oldest.min(now)));
    }

    pub(super) fn went(&mut self, bytes: u64) {
        self.records = self.records.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
        if self.records == 0 {
            self.oldest = None;
        }
    }
}
