//! `SpoolUsage`: how full the spool's folder is, and the limits that evict records.
//!
//! A usage is counted from a listing of the folder and updated with the changes by this process, so that most requests
//! need no listing. Changes by other processes are visible after at most [`USAGE_TTL`]. A record is evicted only if it has
//! not changed since a listing of at most that age. Ages are by the clock of the file system, which may differ from the
//! clock of the process.

use std::time::{Duration, SystemTime};

use super::record;
use crate::clock::Moment;
use crate::state_dir::{FileEntry, is_checksum_name, temp_target};

/// The file that contains the number of evicted and corrupt records.
pub(super) const DROPPED_FILE: &str = "dropped";

/// Enough for every group of a large scheduler, and few enough to list quickly.
pub(super) const MAX_RECORDS: usize = 4_096;
/// Small compared to any disk.
pub(super) const MAX_BYTES: u64 = 32 * 1024 * 1024;
/// Long enough to repair a gateway after a long weekend.
pub(super) const RECORD_TTL: Duration = Duration::from_secs(7 * 24 * 3_600);

/// Older temporary files belong to processes that died while they were writing.
pub(super) const TEMP_FILE_TTL: Duration = Duration::from_secs(3_600);

/// How many records are evicted until the next listing, at most.
const MAX_KNOWN_RECORDS: usize = 256;

/// A listing of a full folder takes about a thousandth of this time. A gauge that is this old is recent enough.
const USAGE_TTL: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug)]
pub(super) struct SpoolUsage {
    expires_at: Moment,
    /// The records of all sinks.
    all: RecordCount,
    bytes: u64,
    /// The records of the configured sinks.
    pub(super) pending: RecordCount,
    oldest_temp: Option<SystemTime>,
}

/// A record that is to be stored.
#[derive(Debug)]
pub(super) struct NewRecord<'a> {
    pub(super) name: &'a str,
    pub(super) bytes: u64,
    /// The size of the record with this name.
    pub(super) replaced: Option<u64>,
    /// By the clock of the file system.
    pub(super) written_at: SystemTime,
}

/// A usage, with the oldest records after an eviction, which are evicted next. The oldest one is the last.
#[derive(Debug)]
pub(super) struct KnownUsage {
    pub(super) usage: SpoolUsage,
    oldest: Vec<FileEntry>,
}

impl From<SpoolUsage> for KnownUsage {
    fn from(usage: SpoolUsage) -> Self {
        Self { usage, oldest: Vec::new() }
    }
}

impl KnownUsage {
    /// `records` are the records of the usage, oldest first.
    pub(super) fn with_oldest(usage: SpoolUsage, mut records: Vec<FileEntry>) -> Self {
        records.truncate(MAX_KNOWN_RECORDS);
        records.reverse();
        Self { usage, oldest: records }
    }

    pub(super) fn take_oldest(&mut self) -> Option<FileEntry> {
        let oldest = self.oldest.pop()?;
        self.usage.all.oldest = self.oldest.last().map(|next| next.modified);
        Some(oldest)
    }
}

/// The number of records and the time of the oldest one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RecordCount {
    pub(super) records: usize,
    pub(super) oldest: Option<SystemTime>,
}

impl RecordCount {
    fn add(&mut self, modified: SystemTime) {
        self.records += 1;
        self.oldest = Some(self.oldest.map_or(modified, |oldest| oldest.min(modified)));
    }

    fn subtract(&mut self) {
        self.records = self.records.saturating_sub(1);
        if self.records == 0 {
            self.oldest = None;
        }
    }
}

impl SpoolUsage {
    /// Counts a listing that was made just now.
    pub(super) fn count<'a>(
        entries: impl Iterator<Item = &'a FileEntry> + Clone,
        is_configured: impl Fn(&str) -> bool,
    ) -> Self {
        let temps = entries.clone().filter(|entry| is_temp(&entry.name));
        let mut usage = Self {
            expires_at: Moment::now().after(USAGE_TTL),
            all: RecordCount::default(),
            bytes: 0,
            pending: RecordCount::default(),
            oldest_temp: temps.map(|entry| entry.modified).min(),
        };
        for entry in entries.filter(|entry| is_record(&entry.name)) {
            usage.all.add(entry.modified);
            usage.bytes += entry.bytes;
            if is_configured(&entry.name) {
                usage.pending.add(entry.modified);
            }
        }
        usage
    }

    #[cfg(test)]
    pub(super) fn expired(self) -> Self {
        Self { expires_at: Moment::now(), ..self }
    }

    pub(super) fn is_current(&self) -> bool {
        !self.expires_at.remaining().is_zero()
    }

    /// Returns true if a new record fits and no file is abandoned or expired.
    pub(super) fn has_room_for(&self, new: &NewRecord<'_>) -> bool {
        let is_within = |oldest: Option<SystemTime>, limit| {
            let age = |oldest| new.written_at.duration_since(oldest).unwrap_or_default();
            oldest.is_none_or(|oldest| age(oldest) <= limit)
        };
        self.all.records < MAX_RECORDS + usize::from(new.replaced.is_some())
            && self.bytes + new.bytes <= MAX_BYTES + new.replaced.unwrap_or_default()
            && is_within(self.all.oldest, RECORD_TTL)
            && is_within(self.oldest_temp, TEMP_FILE_TTL)
    }

    /// Returns true if at most half of the spool is used for the configured sinks. Records of others do not count, because
    /// they stay until they expire.
    pub(super) fn has_room_for_reports(&self) -> bool {
        self.pending.records <= MAX_RECORDS / 2
    }

    /// Adds a record of a configured sink.
    pub(super) fn add(&mut self, bytes: u64, modified: SystemTime) {
        self.bytes += bytes;
        self.all.add(modified);
        self.pending.add(modified);
    }

    /// Subtracts a record of any sink.
    pub(super) fn subtract_evicted(&mut self, record: &FileEntry, is_configured: bool) {
        self.bytes = self.bytes.saturating_sub(record.bytes);
        self.all.records = self.all.records.saturating_sub(1);
        if is_configured {
            self.pending.subtract();
        }
    }

    /// Subtracts a record of a configured sink.
    pub(super) fn subtract(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_sub(bytes);
        self.all.subtract();
        self.pending.subtract();
    }
}

/// Returns true if a file with this name is a record.
pub(super) fn is_record(name: &str) -> bool {
    is_checksum_name(name, record::EXTENSION)
}

/// Returns true if a file with this name is a temporary file.
pub(super) fn is_temp(name: &str) -> bool {
    temp_target(name).is_some_and(|target| is_record(target) || target == DROPPED_FILE)
}

/// Returns true if the file is a temporary file of a process that died.
pub(super) fn is_abandoned(entry: &FileEntry, now: SystemTime) -> bool {
    is_temp(&entry.name) && entry.age(now) > TEMP_FILE_TTL
}

/// Splits records into those to evict so that a record of this size fits, and the others, oldest first. The expired records
/// are evicted, and then the oldest ones.
pub(super) fn select_evicted(
    mut records: Vec<FileEntry>,
    bytes: u64,
    now: SystemTime,
) -> (Vec<FileEntry>, Vec<FileEntry>) {
    FileEntry::sort_by_age(&mut records);
    let mut remaining = records.len();
    let mut total: u64 = records.iter().map(|entry| entry.bytes).sum();
    let evicted = records.iter().take_while(|entry| {
        let is_evicted =
            entry.age(now) > RECORD_TTL || remaining >= MAX_RECORDS || total + bytes > MAX_BYTES;
        remaining -= 1;
        total -= entry.bytes;
        is_evicted
    });
    let others = records.split_off(evicted.count());
    (records, others)
}
