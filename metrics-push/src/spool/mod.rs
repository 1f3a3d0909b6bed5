//! Spool: requests that wait on disk for a gateway, one record per sink and grouping key.
//!
//! Invariants: a record is whole or not there (written beside its place, synced, renamed); it takes its place, or is
//! removed, under the folder's lock, by one process at a time; reading needs no lock; a record is removed only by whoever has delivered
//! exactly that record. It is bounded in number, bytes and age; what goes for that reason is counted, oldest first.

mod disk;
mod record;
mod retained;
mod stock;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use once_cell::sync::OnceCell;

use crate::clock::Moment;
use crate::error::{Error, Kind};
use crate::labels::GroupingKey;
use crate::log;
use crate::push_request::PushRequest;
use crate::state_dir::StateDir;
use disk::{Disk, Entry, Lock, UNFINISHED};
use record::{Record, Unreadable};
use stock::Stock;

/// How many records wait at most: every group of a large scheduler, and still a folder to look through in no time.
pub(crate) const MOST_RECORDS: usize = 4_096;
/// How many bytes they have together: small beside any disk.
pub(crate) const MOST_BYTES: u64 = 32 * 1024 * 1024;
/// How many bytes one record has: more is left to its outcome alone.
pub(crate) const LARGEST_RECORD: usize = 4 * 1024 * 1024;
/// How long a record waits: a week has the working day on which somebody mends the gateway.
pub(crate) const LONGEST_STAY: Duration = Duration::from_secs(7 * 24 * 3_600);

/// How long a file may be unfinished; after that, whoever was writing it is dead.
const LONGEST_WRITING: Duration = Duration::from_secs(3_600);

/// The folder in the state directory.
const FOLDER: &str = "spool";
/// The extension of a record.
const RECORD: &str = "request";
/// The file that counts what had to go.
const DROPPED: &str = "dropped";

/// The requests that wait for one sink.
pub(crate) struct Spool {
    state_dir: Arc<StateDir>,
    /// The sink's URL without credentials: what a record remembers of it.
    sink: String,
    folder: OnceCell<PathBuf>,
    /// How much is in it, as far as this process knows.
    stock: Mutex<Option<Stock>>,
    /// Where retained are.
    kept: OnceCell<PathBuf>,
    /// For how many more of them there is room, as far as this process knows.
    room_to_keep: AtomicI64,
    disk: Disk,
    has_warned: AtomicBool,
}

/// A request that waits, and what tells its record from a later one in its place.
#[derive(Clone, Debug)]
pub(crate) struct SpoolEntry {
    pub(crate) request: PushRequest,
    checksum: u128,
}

/// What a folder holds, for all sinks together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SpoolStats {
    pub(crate) requests: u32,
    pub(crate) oldest: Option<SystemTime>,
    pub(crate) dropped: u32,
}

impl Spool {
    /// The spool of a sink, if there is a place for it.
    pub(crate) fn new(state_dir: &Arc<StateDir>, sink: &str) -> Option<Self> {
        state_dir.is_on().then(|| Self {
            state_dir: Arc::clone(state_dir),
            sink: sink.to_owned(),
            folder: OnceCell::new(),
            stock: Mutex::default(),
            kept: OnceCell::new(),
            room_to_keep: AtomicI64::new(0),
            disk: Disk::default(),
            has_warned: AtomicBool::new(false),
        })
    }

    /// What waits for this key.
    pub(crate) fn look_up(&self, key: &GroupingKey) -> Option<SpoolEntry> {
        let path = self.existing_folder()?.join(self.name_of(key));
        let record = self.read(&path)?;
        (record.request.key() == key)
            .then_some(SpoolEntry { request: record.request, checksum: record.checksum })
    }

    /// The keys for which something waits.
    pub(crate) fn keys(&self) -> Vec<GroupingKey> {
        let Some(folder) = self.existing_folder() else { return Vec::new() };
        let entries = self.tolerate(self.disk.list(folder)).unwrap_or_default();
        let records = entries.iter().filter(|entry| entry.has_extension(RECORD));
        records.filter_map(|entry| Some(self.read(&entry.path)?.request.key().clone())).collect()
    }

    /// Keeps a request, merged with what waits for its key already. Returns where.
    ///
    /// # Errors
    /// Why it can't be kept.
    pub(crate) fn store(&self, request: &PushRequest) -> Result<&Path, Error> {
        let folder = self.folder.get_or_try_init(|| {
            self.state_dir
                .folder(FOLDER)
                .ok_or_else(|| Error::config("the state directory can't be used"))
        })?;
        self.merge(folder, request).map(|()| folder.as_path()).map_err(|error| {
            Error::new(Kind::Config, "the request can't be kept on disk")
                .at("directory", folder.display())
                .caused_by(error)
        })
    }

    /// Removes what was looked up, unless it has changed since. It has been delivered, or never can be.
    pub(crate) fn remove(&self, spooled: &SpoolEntry) {
        let Some(folder) = self.existing_folder() else { return };
        let path = folder.join(self.name_of(spooled.request.key()));
        let removed = self.disk.lock(folder).and_then(|_lock| {
            let found = self.disk.read(&path)?;
            let is_same = |bytes: &Vec<u8>| {
                record::decode(bytes).is_ok_and(|record| record.checksum == spooled.checksum)
            };
            let Some(bytes) = found.filter(is_same) else { return Ok(()) };
            self.disk.remove(&path)?;
            self.correct_stock(|stock| stock.went(bytes.len() as u64));
            Ok(())
        });
        // It is delivered once more, then; that changes nothing.
        self.tolerate(removed);
    }

    /// How much waits, how long, and how much had to go.
    pub(crate) fn stats(&self) -> SpoolStats {
        let none = SpoolStats { requests: 0, oldest: None, dropped: 0 };
        let Some(folder) = self.existing_folder() else { return none };
        let Some(stock) = self.tolerate(self.stock(folder)) else { return none };
        SpoolStats {
            requests: u32::try_from(stock.records).unwrap_or(u32::MAX),
            oldest: stock.oldest,
            dropped: self.dropped(folder),
        }
    }

    /// How much is in the folder: looks, if that was a while ago.
    fn stock(&self, folder: &Path) -> io::Result<Stock> {
        let mut known = self.lock_stock();
        if let Some(stock) = known.filter(Stock::is_current) {
            return Ok(stock);
        }
        let stock = Stock::of(&self.disk.list(folder)?);
        *known = Some(stock);
        Ok(stock)
    }

    /// Takes into account what this process has changed.
    fn correct_stock(&self, change: impl FnOnce(&mut Stock)) {
        if let Some(stock) = &mut *self.lock_stock() {
            change(stock);
        }
    }

    fn lock_stock(&self) -> MutexGuard<'_, Option<Stock>> {
        self.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the requests are.
    pub(crate) fn folder(&self) -> PathBuf {
        self.existing_folder().map_or_else(|| PathBuf::from(FOLDER), Path::to_owned)
    }

    /// Says so, once, and makes the best of it.
    fn tolerate<T>(&self, result: io::Result<T>) -> Option<T> {
        result.map_err(|error| self.warn(&error)).ok()
    }

    /// Tells why the disk is of no use, the first time.
    pub(crate) fn warn(&self, error: &dyn fmt::Display) {
        if !self.has_warned.swap(true, Ordering::Relaxed) {
            log::warn(format_args!(
                "requests for {} can't wait on disk as they should: {error}",
                self.sink
            ));
        }
    }

    fn existing_folder(&self) -> Option<&Path> {
        let found =
            self.folder.get_or_try_init(|| self.state_dir.existing_folder(FOLDER).ok_or(()));
        found.ok().map(PathBuf::as_path)
    }

    fn name_of(&self, key: &GroupingKey) -> String {
        let path = key.url_path();
        let id = record::checksum_of(&[self.sink.as_bytes(), b"\n", path.as_bytes()]);
        format!("{id:032x}.{RECORD}")
    }

    /// A record of ours for this sink. A broken one is removed: it would be in the way for ever.
    fn read(&self, path: &Path) -> Option<Record> {
        let bytes = self.tolerate(self.disk.read(path))??;
        match record::decode(&bytes) {
            Ok(record) => (record.sink == self.sink).then_some(record),
            Err(Unreadable::Foreign | Unreadable::Newer) => None,
            Err(Unreadable::Torn) => {
                self.warn(&format_args!("{} is damaged, and is removed", path.display()));
                self.tolerate(self.remove_damaged(path, &bytes));
                None
            }
        }
    }

    fn remove_damaged(&self, path: &Path, seen: &[u8]) -> io::Result<()> {
        let Some(folder) = path.parent() else { return Ok(()) };
        let lock = self.disk.lock(folder)?;
        if self.disk.read(path)?.is_some_and(|found| found == seen) {
            self.drop_records(&lock, folder, [path])?;
        }
        Ok(())
    }

    /// Writes first and locks then, so that a hundred jobs that end in the same moment wait for the disk together and
    /// not for each other.
    fn merge(&self, folder: &Path, request: &PushRequest) -> io::Result<()> {
        let path = folder.join(self.name_of(request.key()));
        let seen = self.disk.read(&path)?;
        let mut bytes = self.merged(seen.as_deref(), request)?;
        let mut prepared = self.disk.prepare(&path, &bytes)?;
        let lock = self.disk.lock(folder)?;
        let found = self.disk.read(&path)?;
        if found != seen {
            bytes = self.merged(found.as_deref(), request)?;
            prepared = self.disk.prepare(&path, &bytes)?;
        }
        let length = bytes.len() as u64;
        self.make_room(&lock, folder, &path, length)?;
        self.disk.put(&prepared, &path)?;
        self.correct_stock(|stock| {
            if let Some(replaced) = &found {
                stock.went(replaced.len() as u64);
            }
            stock.came(length, Moment::now().wall());
        });
        drop(lock);
        self.disk.sync_folder(folder)
    }

    /// The record of a request, and of what waits in its place.
    fn merged(&self, found: Option<&[u8]>, request: &PushRequest) -> io::Result<Vec<u8>> {
        let before = found.and_then(|bytes| record::decode(bytes).ok());
        match before {
            Some(record) if record.request.key() == request.key() => {
                fitting(&self.sink, &in_order(record.request, request.clone()))
            }
            _ => fitting(&self.sink, request),
        }
    }

    /// Removes what is unfinished, what is too old, and then the oldest, until there is room for one more.
    fn make_room(&self, lock: &Lock, folder: &Path, path: &Path, bytes: u64) -> io::Result<()> {
        let now = Moment::now().wall();
        let has_room = |stock: Stock| stock.has_room_for(bytes, now);
        if self.lock_stock().filter(Stock::is_current).is_some_and(has_room) {
            return Ok(());
        }
        let entries = self.disk.list(folder)?;
        // If something has to go, whoever asks next looks again.
        let stock = Some(Stock::of(&entries)).filter(|stock| has_room(*stock));
        *self.lock_stock() = stock;
        if stock.is_some() {
            return Ok(());
        }
        let (unfinished, others): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|entry| entry.has_extension(UNFINISHED));
        for entry in unfinished.iter().filter(|entry| is_abandoned(entry, now)) {
            self.disk.remove(&entry.path)?;
        }
        let records = others.into_iter().filter(|e| e.has_extension(RECORD) && e.path != path);
        let surplus = surplus(records.collect(), bytes, now);
        self.drop_records(lock, folder, surplus.iter().map(|entry| entry.path.as_path()))
    }

    /// Removes records for good, and counts them.
    fn drop_records<'a>(
        &self,
        _lock: &Lock,
        folder: &Path,
        paths: impl IntoIterator<Item = &'a Path>,
    ) -> io::Result<()> {
        let mut dropped = 0;
        for path in paths {
            self.disk.remove(path)?;
            dropped += 1;
        }
        if dropped > 0 {
            let total = self.dropped(folder).saturating_add(dropped);
            let path = folder.join(DROPPED);
            let prepared = self.disk.prepare(&path, total.to_string().as_bytes())?;
            self.disk.put(&prepared, &path)?;
        }
        Ok(())
    }

    fn dropped(&self, folder: &Path) -> u32 {
        let bytes = self.disk.read(&folder.join(DROPPED)).ok().flatten();
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        text.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }
}

impl fmt::Debug for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spool").field("sink", &self.sink).finish_non_exhaustive()
    }
}

/// Two requests as one, whichever of them was brought first.
fn in_order(one: PushRequest, other: PushRequest) -> PushRequest {
    if one.created_at() <= other.created_at() {
        one.merged_with(other)
    } else {
        other.merged_with(one)
    }
}

/// The record of a request, or of its outcome alone if it is too large.
fn fitting(sink: &str, request: &PushRequest) -> io::Result<Vec<u8>> {
    let whole = record::encode(sink, request);
    if whole.len() <= LARGEST_RECORD {
        return Ok(whole);
    }
    let alone = request.outcome_only().map(|request| record::encode(sink, &request));
    alone
        .filter(|record| record.len() <= LARGEST_RECORD)
        .ok_or_else(|| io::Error::other(format!("it has more than {LARGEST_RECORD} bytes")))
}

/// Whether a file was left unfinished by a process that died.
fn is_abandoned(entry: &Entry, now: SystemTime) -> bool {
    entry.has_extension(UNFINISHED) && entry.age(now) > LONGEST_WRITING
}

/// What has to go so that one more of this size fits: all that is too old, then the oldest.
fn surplus(mut records: Vec<Entry>, bytes: u64, now: SystemTime) -> Vec<Entry> {
    records.sort_by_key(|entry| entry.modified);
    let mut left = records.len();
    let mut total: u64 = records.iter().map(|entry| entry.bytes).sum();
    let goes = records.into_iter().take_while(|entry| {
        let goes =
            entry.age(now) > LONGEST_STAY || left >= MOST_RECORDS || total + bytes > MOST_BYTES;
        left -= 1;
        total -= entry.bytes;
        goes
    });
    goes.collect()
}

#[cfg(test)]
mod tests;
