//! `Spool`: stores undelivered requests on disk, one record per sink and grouping key.
//!
//! Invariants:
//! - A record is complete or absent, because it is written to a temporary file, synced and renamed.
//! - Records are written and removed under the lock of the folder. Reading needs no lock.
//! - A record is removed if exactly this record was delivered or rejected, if it is corrupt, or if it is evicted.
//! - The number, size and age of records are limited. The oldest records are evicted first.
//! - Evicted and corrupt records are counted.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod outage;
mod placement;
mod record;
mod sent_series;
mod sink_file;
mod sink_state;
mod usage;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use crate::checksum::checksum_of;
use crate::error::{Error, Kind};
use crate::labels::GroupingKey;
use crate::log;
use crate::push_request::PushRequest;
use crate::state_dir::{Disk, FileEntry, FileRoom, Folder, FolderLock, StateDir};
use crate::sync::Mutex;
pub(crate) use placement::Placement;
pub(crate) use record::SpoolReason;
use record::{DecodeError, Record};
pub(crate) use sent_series::{RequestOrigin, SentBefore};
use usage::{
    DROPPED_FILE, KnownUsage, NewRecord, SpoolUsage, is_abandoned, is_record, is_temp,
    select_evicted,
};

/// The folder in the state directory.
const FOLDER: &str = "spool";
/// A process holds the lock only for a few file operations. If it holds the lock this long, it is probably stopped.
const LOCK_TIMEOUT: Duration = Duration::from_secs(3);
/// A number needs fewer bytes.
const MAX_DROPPED_FILE_SIZE: u64 = 64;

/// The spool of one sink. All sinks share the folder.
pub(crate) struct Spool {
    state_dir: Arc<StateDir>,
    /// The sink's URL without credentials, which each record contains.
    sink: String,
    /// The URL of the server whose state is stored: that of the sink, or of one of its shards.
    server: String,
    /// The start of the file names of the configured sinks, which the gauges count.
    configured: Vec<String>,
    shared: Arc<SharedState>,
    disk: Disk,
}

/// What the spools of several sinks share, because all sinks share the folder.
#[derive(Debug, Default)]
struct SharedState {
    /// The last known usage of the folder.
    usage: Mutex<Option<KnownUsage>>,
    placement_room: FileRoom,
    series_room: FileRoom,
    has_warned: AtomicBool,
}

/// A spooled request, the name and the size of its file, and the first line of its record.
#[derive(Clone, Debug)]
pub(crate) struct SpoolEntry {
    pub(crate) request: PushRequest,
    pub(crate) reason: SpoolReason,
    name: String,
    size: u64,
    head: String,
}

/// The requests for the configured sinks, and the number of records of all sinks that were dropped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SpoolStats {
    pub(crate) requests: u32,
    pub(crate) oldest: Option<SystemTime>,
    pub(crate) dropped: u32,
}

impl Spool {
    /// Returns the spool of a sink, one of the configured ones; `None` if there is no state directory.
    pub(crate) fn new(
        state_dir: &Arc<StateDir>,
        sink: &str,
        configured: &[String],
    ) -> Option<Self> {
        state_dir.is_enabled().then(|| Self {
            state_dir: Arc::clone(state_dir),
            sink: sink.to_owned(),
            server: sink.to_owned(),
            configured: configured.iter().map(|sink| file_prefix(sink)).collect(),
            shared: Arc::default(),
            disk: Disk::default(),
        })
    }

    /// Returns the same spool, which stores the state of another server.
    pub(crate) fn for_server(&self, url: &str) -> Self {
        Self { server: url.to_owned(), ..self.for_sink(&self.sink) }
    }

    /// Returns the spool of another sink in the same state directory.
    pub(crate) fn for_sink(&self, sink: &str) -> Self {
        Self {
            state_dir: Arc::clone(&self.state_dir),
            sink: sink.to_owned(),
            server: sink.to_owned(),
            configured: self.configured.clone(),
            shared: Arc::clone(&self.shared),
            disk: self.disk.clone(),
        }
    }

    /// Returns the spooled requests of all sinks, each with the spool of its sink.
    pub(crate) fn entries_of_all_sinks(state_dir: &Arc<StateDir>) -> Vec<(Arc<Self>, SpoolEntry)> {
        let Some(reader) = Self::new(state_dir, "all gateways", &[]) else { return Vec::new() };
        let mut spools: HashMap<String, Arc<Self>> = HashMap::new();
        let with_spool = |(sink, entry): (String, SpoolEntry)| {
            let spool = match spools.get(&sink) {
                Some(spool) => Arc::clone(spool),
                None => Arc::new(Self::new(state_dir, &sink, &[])?),
            };
            spools.insert(sink, Arc::clone(&spool));
            Some((spool, entry))
        };
        reader.records(&is_record).into_iter().flatten().filter_map(with_spool).collect()
    }

    /// Returns the same spool with a disk whose first operation fails.
    #[cfg(test)]
    pub(crate) fn failing_once(mut self) -> Self {
        self.disk.failpoint = Some(Arc::default());
        self
    }

    /// Returns the sink's URL without credentials.
    pub(crate) fn sink(&self) -> &str {
        &self.sink
    }

    /// Returns the spooled request for this key.
    pub(crate) fn look_up(&self, key: &GroupingKey) -> Option<SpoolEntry> {
        let (sink, entry) = self.read_entry(&self.existing_folder()?, &self.file_name(key))?;
        (sink == self.sink && entry.request.key() == key).then_some(entry)
    }

    /// Returns the keys of all spooled requests of this sink; `None` if the folder cannot be listed.
    pub(crate) fn keys(&self) -> Option<Vec<GroupingKey>> {
        let prefix = file_prefix(&self.sink);
        let files = self.files(&|name| is_record(name) && name.starts_with(&prefix))?;
        let key = |(folder, name): (Arc<Folder>, String)| {
            self.read(&folder, &name, |bytes| {
                let (sink, key) = record::decode_key(bytes)?;
                Ok((sink == self.sink).then_some(key))
            })
        };
        Some(files.filter_map(key).flatten().collect())
    }

    /// Reads the records in the accepted files, one at a time. Returns each with its sink; `None` if the folder cannot be
    /// listed.
    fn records<'s>(
        &'s self,
        is_accepted: &dyn Fn(&str) -> bool,
    ) -> Option<impl Iterator<Item = (String, SpoolEntry)> + use<'s>> {
        let files = self.files(is_accepted)?;
        Some(files.filter_map(|(folder, name)| self.read_entry(&folder, &name)))
    }

    /// Returns the names of the accepted files, each with the folder; `None` if the folder cannot be listed.
    fn files(
        &self,
        is_accepted: &dyn Fn(&str) -> bool,
    ) -> Option<impl Iterator<Item = (Arc<Folder>, String)> + use<>> {
        let folder = self.existing_folder();
        let files = match &folder {
            Some(folder) => self.ok_or_warn(self.disk.list(folder, is_accepted))?,
            None => Vec::new(),
        };
        let with_folder = move |file: FileEntry| Some((Arc::clone(folder.as_ref()?), file.name));
        Some(files.into_iter().filter_map(with_folder))
    }

    /// Stores an undelivered request, merged with the spooled request for the same key. Returns the path of the folder.
    ///
    /// # Errors
    /// If the request could not be stored.
    pub(crate) fn store(&self, request: &PushRequest) -> Result<PathBuf, Error> {
        self.store_because(SpoolReason::Undelivered, request)
    }

    /// Stores a request for this reason, like [`store`](Self::store). What is merged with an undelivered request is
    /// undelivered.
    ///
    /// # Errors
    /// If the request could not be stored.
    pub(crate) fn store_because(
        &self,
        reason: SpoolReason,
        request: &PushRequest,
    ) -> Result<PathBuf, Error> {
        let folder = self
            .state_dir
            .folder(FOLDER)
            .ok_or_else(|| Error::config("cannot use the state directory"))?;
        let path = folder.path().to_owned();
        self.merge(&folder, reason, request).map(|()| path).map_err(|error| {
            Error::new(Kind::Config, "cannot store the request on disk")
                .at("directory", folder.path().display())
                .caused_by(error)
        })
    }

    /// Stores a request and returns its entry; `None` if that failed.
    pub(crate) fn store_and_look_up(&self, request: &PushRequest) -> Option<SpoolEntry> {
        self.store(request).ok()?;
        self.look_up(request.key())
    }

    /// Removes a request that was delivered or rejected, unless its record has changed since it was looked up.
    pub(crate) fn remove(&self, spooled: &SpoolEntry) {
        let Some(folder) = self.existing_folder() else { return };
        let name = &spooled.name;
        let removed = self.disk.lock(&folder, LOCK_TIMEOUT).and_then(|_lock| {
            let start = self.disk.read_start(&folder, name, spooled.head.len() as u64)?;
            if start.is_some_and(|start| start == spooled.head.as_bytes()) {
                self.disk.remove(&folder, name)?;
                self.update_usage(|usage| usage.subtract(spooled.size));
            }
            Ok(())
        });
        // After a failure, the request is delivered again. Only an aggregating gateway counts it twice.
        self.ok_or_warn(removed);
    }

    /// Stores a request in the spool of another sink and removes it from this one. If the process dies in between, both
    /// have it.
    ///
    /// # Errors
    /// If the request could not be stored.
    pub(crate) fn move_to(&self, other: &Self, entry: &SpoolEntry) -> Result<(), Error> {
        other.store_because(entry.reason, &entry.request)?;
        self.remove(entry);
        Ok(())
    }

    /// Moves the requests for the sinks that `is_earlier` accepts to this one. Blocks.
    pub(crate) fn adopt(&self, is_earlier: impl Fn(&str) -> bool) {
        let own = file_prefix(&self.sink);
        let others = self.records(&|name| is_record(name) && !name.starts_with(&own));
        for (_, entry) in others.into_iter().flatten().filter(|(sink, _)| is_earlier(sink)) {
            // A request that cannot be moved stays where it is.
            if self.store(&entry.request).is_ok() {
                self.remove(&entry);
            }
        }
    }

    pub(crate) fn stats(&self) -> SpoolStats {
        let empty = SpoolStats { requests: 0, oldest: None, dropped: 0 };
        let Some(folder) = self.existing_folder() else { return empty };
        let Some(usage) = self.ok_or_warn(self.current_usage(&folder)) else { return empty };
        SpoolStats {
            requests: u32::try_from(usage.pending.records).unwrap_or(u32::MAX),
            oldest: usage.pending.oldest,
            dropped: self.dropped(&folder),
        }
    }

    /// Returns true if reports of runs may be stored that are in a journal as well. Otherwise they would evict outcomes that
    /// are only in the spool.
    pub(crate) fn has_room_for_reports(&self) -> bool {
        let Some(folder) = self.existing_folder() else { return true };
        let usage = self.ok_or_warn(self.current_usage(&folder));
        usage.is_some_and(|usage| usage.has_room_for_reports())
    }

    /// Returns the last known usage of the folder. Lists the folder if that usage has expired.
    fn current_usage(&self, folder: &Folder) -> io::Result<SpoolUsage> {
        let mut known = self.shared.usage.lock();
        if let Some(usage) = known.as_ref().map(|known| known.usage).filter(SpoolUsage::is_current)
        {
            return Ok(usage);
        }
        let usage = self.count(self.list(folder)?.iter());
        *known = Some(KnownUsage::from(usage));
        Ok(usage)
    }

    fn count<'a>(&self, entries: impl Iterator<Item = &'a FileEntry> + Clone) -> SpoolUsage {
        SpoolUsage::count(entries, |name| self.is_configured(name))
    }

    fn is_configured(&self, name: &str) -> bool {
        self.configured.iter().any(|prefix| name.starts_with(prefix))
    }

    /// Applies a change by this process to the last known usage.
    fn update_usage(&self, change: impl FnOnce(&mut SpoolUsage)) {
        if let Some(known) = &mut *self.shared.usage.lock() {
            change(&mut known.usage);
        }
    }

    /// Returns the path of the folder, or only its name if it does not exist.
    pub(crate) fn folder(&self) -> PathBuf {
        let folder = self.existing_folder();
        folder.map_or_else(|| PathBuf::from(FOLDER), |folder| folder.path().to_owned())
    }

    fn ok_or_warn<T>(&self, result: io::Result<T>) -> Option<T> {
        result.map_err(|error| self.warn(&error)).ok()
    }

    /// Logs a problem, unless this spool has already logged one.
    pub(crate) fn warn(&self, problem: &dyn fmt::Display) {
        if !self.shared.has_warned.swap(true, Ordering::Relaxed) {
            log::warn(format_args!("the spool for {} has a problem: {problem}", self.sink));
        }
    }

    fn existing_folder(&self) -> Option<Arc<Folder>> {
        self.state_dir.existing_folder(FOLDER)
    }

    /// Lists the records and the temporary files.
    fn list(&self, folder: &Folder) -> io::Result<Vec<FileEntry>> {
        self.disk.list(folder, &|name| is_record(name) || is_temp(name))
    }

    fn read_record(&self, folder: &Folder, name: &str) -> io::Result<Option<Vec<u8>>> {
        self.disk.read(folder, name, record::MAX_RECORD_SIZE as u64)
    }

    fn file_name(&self, key: &GroupingKey) -> String {
        let path = key.url_path();
        let id = checksum_of(&[self.sink.as_bytes(), b"\n", path.as_bytes()]);
        format!("{}{:024x}.{}", file_prefix(&self.sink), id >> 32, record::EXTENSION)
    }

    /// Reads a record and returns it with its sink; `None` if there is none.
    fn read_entry(&self, folder: &Arc<Folder>, name: &str) -> Option<(String, SpoolEntry)> {
        self.read(folder, name, |bytes| {
            let Record { sink, reason, request, head } = record::decode(bytes)?;
            let (name, size) = (name.to_owned(), bytes.len() as u64);
            Ok((sink, SpoolEntry { request, reason, name, size, head }))
        })
    }

    /// Reads and decodes a record; `None` if there is none. Removes a corrupt record, which would otherwise stay until it
    /// expires.
    fn read<T>(
        &self,
        folder: &Arc<Folder>,
        name: &str,
        decode: impl FnOnce(&[u8]) -> Result<T, DecodeError>,
    ) -> Option<T> {
        let bytes = match self.read_record(folder, name) {
            Ok(bytes) => bytes?,
            Err(error) => {
                self.warn(&format_args!(
                    "cannot read {name} in {}: {error}",
                    folder.path().display()
                ));
                return None;
            }
        };
        match decode(&bytes) {
            Ok(decoded) => Some(decoded),
            Err(DecodeError::Foreign | DecodeError::NewerVersion) => None,
            Err(DecodeError::Corrupt) => {
                let path = folder.path().join(name);
                self.warn(&format_args!("removed the corrupt record {}", path.display()));
                self.ok_or_warn(self.remove_corrupt(folder, name, &bytes));
                None
            }
        }
    }

    /// Removes a corrupt record if it has not changed since it was read.
    fn remove_corrupt(&self, folder: &Arc<Folder>, name: &str, seen: &[u8]) -> io::Result<()> {
        let lock = self.disk.lock(folder, LOCK_TIMEOUT)?;
        if self.read_record(folder, name)?.is_some_and(|found| found == seen) {
            self.drop_records(&lock, folder, [name])?;
        }
        Ok(())
    }

    /// Merges a request into the record of its key.
    ///
    /// The temporary file is written before the folder is locked, so that jobs that finish at the same time sync their
    /// files concurrently.
    fn merge(
        &self,
        folder: &Arc<Folder>,
        reason: SpoolReason,
        request: &PushRequest,
    ) -> io::Result<()> {
        let name = self.file_name(request.key());
        let seen = self.read_for_merge(folder, &name)?;
        let mut bytes = self.encode_merged(seen.as_deref(), reason, request)?;
        let mut temp = self.disk.write_temp(folder, &name, &bytes)?;
        let lock = self.disk.lock(folder, LOCK_TIMEOUT)?;
        let found = self.read_for_merge(folder, &name)?;
        if found != seen {
            bytes = self.encode_merged(found.as_deref(), reason, request)?;
            temp = self.disk.write_temp(folder, &name, &bytes)?;
        }
        let length = bytes.len() as u64;
        let replaced = found.as_ref().map(|replaced| replaced.len() as u64);
        let written_at = temp.written_at();
        let new = NewRecord { name: &name, bytes: length, replaced, written_at };
        self.make_room(&lock, folder, &new)?;
        self.disk.rename(temp, &name)?;
        self.update_usage(|usage| {
            if let Some(replaced) = replaced {
                usage.subtract(replaced);
            }
            usage.add(length, written_at);
        });
        drop(lock);
        self.disk.sync_folder(folder)
    }

    /// Reads the existing record of a key. What cannot be a record, such as a FIFO, is replaced like a corrupt record.
    fn read_for_merge(&self, folder: &Folder, name: &str) -> io::Result<Option<Vec<u8>>> {
        match self.read_record(folder, name) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(None),
            read => read,
        }
    }

    /// Encodes a request, merged with the existing record of its key.
    fn encode_merged(
        &self,
        found: Option<&[u8]>,
        reason: SpoolReason,
        request: &PushRequest,
    ) -> io::Result<Vec<u8>> {
        let spooled = found.and_then(|bytes| record::decode(bytes).ok());
        match spooled {
            Some(record) if record.request.key() == request.key() => {
                let both = [reason, record.reason];
                let is_undelivered = both.contains(&SpoolReason::Undelivered);
                let reason = if is_undelivered { SpoolReason::Undelivered } else { reason };
                let merged = merge_by_age(record.request, request.clone());
                record::encode_within_limit(&self.sink, reason, &merged)
            }
            _ => record::encode_within_limit(&self.sink, reason, request),
        }
    }

    /// Removes abandoned files and expired records, and then the oldest records, until a new record fits.
    fn make_room(
        &self,
        lock: &FolderLock,
        folder: &Arc<Folder>,
        new: &NewRecord<'_>,
    ) -> io::Result<()> {
        let mut known = self.shared.usage.lock();
        if let Some(known) = known.as_mut().filter(|known| known.usage.is_current())
            && self.evict_known(lock, folder, known, new)?
        {
            return Ok(());
        }
        let entries = self.list(folder)?;
        let usage = self.count(entries.iter());
        if usage.has_room_for(new) {
            *known = Some(KnownUsage::from(usage));
            return Ok(());
        }
        let (temps, records): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|entry| is_temp(&entry.name));
        let (abandoned, temps): (Vec<_>, Vec<_>) =
            temps.into_iter().partition(|entry| is_abandoned(entry, new.written_at));
        for entry in abandoned {
            self.disk.remove(folder, &entry.name)?;
        }
        let (replaced, others): (Vec<_>, Vec<_>) =
            records.into_iter().partition(|entry| entry.name == new.name);
        let (evicted, others) = select_evicted(others, new.bytes, new.written_at);
        let own = evicted.iter().filter(|entry| is_own(folder, entry));
        self.drop_records(lock, folder, own.map(|entry| entry.name.as_str()))?;
        let usage = self.count(replaced.iter().chain(&others).chain(&temps));
        *known = Some(KnownUsage::with_oldest(usage, others));
        Ok(())
    }

    /// Evicts the oldest records of the last listing until a new record fits, so that a full folder is not listed for each
    /// record. Returns false if that is not enough.
    fn evict_known(
        &self,
        lock: &FolderLock,
        folder: &Arc<Folder>,
        known: &mut KnownUsage,
        new: &NewRecord<'_>,
    ) -> io::Result<bool> {
        let mut evicted = Vec::new();
        while !known.usage.has_room_for(new) {
            let Some(oldest) = known.take_oldest() else { break };
            // It may have been replaced or removed since.
            let is_unchanged = folder.entry(&oldest.name).as_ref() == Some(&oldest);
            if is_unchanged && oldest.name != new.name && is_own(folder, &oldest) {
                known.usage.subtract_evicted(&oldest, self.is_configured(&oldest.name));
                evicted.push(oldest.name);
            }
        }
        self.drop_records(lock, folder, evicted.iter().map(String::as_str))?;
        Ok(known.usage.has_room_for(new))
    }

    /// Removes records that were not delivered, and counts them.
    fn drop_records<'a>(
        &self,
        _lock: &FolderLock,
        folder: &Arc<Folder>,
        names: impl IntoIterator<Item = &'a str>,
    ) -> io::Result<()> {
        let mut dropped = 0;
        for name in names {
            self.disk.remove(folder, name)?;
            dropped += 1;
        }
        if dropped > 0 {
            let total = self.dropped(folder).saturating_add(dropped);
            let temp = self.disk.write_temp(folder, DROPPED_FILE, total.to_string().as_bytes())?;
            self.disk.rename(temp, DROPPED_FILE)?;
        }
        Ok(())
    }

    /// Returns the number of evicted and corrupt records.
    fn dropped(&self, folder: &Folder) -> u32 {
        let bytes = self.disk.read(folder, DROPPED_FILE, MAX_DROPPED_FILE_SIZE).ok().flatten();
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        text.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }
}

impl fmt::Debug for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spool").field("sink", &self.sink).finish_non_exhaustive()
    }
}

/// Returns true if the content of a file is that of a record.
fn is_own(folder: &Folder, entry: &FileEntry) -> bool {
    let start = folder.read_start(&entry.name, record::MAX_HEAD_SIZE);
    matches!(start, Ok(Some(start)) if record::decode(&start) != Err(DecodeError::Foreign))
}

/// Returns the start of the names of a sink's records, so that a listing shows how many there are.
fn file_prefix(sink: &str) -> String {
    format!("{:08x}", checksum_of(&[sink.as_bytes()]) >> 96)
}

/// Merges two requests in the order in which they were created.
fn merge_by_age(one: PushRequest, other: PushRequest) -> PushRequest {
    if one.created_at() <= other.created_at() {
        one.merged_with(other)
    } else {
        other.merged_with(one)
    }
}

#[cfg(test)]
mod tests;
