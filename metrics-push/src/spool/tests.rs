//! Tests of the spool: failures of each file operation, limits, and processes that share the folder.

use std::sync::atomic::{AtomicI64, AtomicU32};
use std::time::Duration;

use super::record::{EXTENSION, MAX_RECORD_SIZE};
use super::usage::{MAX_BYTES, MAX_RECORDS, RECORD_TTL, TEMP_FILE_TTL};
use super::*;
use crate::clock::Moment;
use crate::push_request::{Families, Verb};
use crate::state_dir::StateDirPath;

/// A state directory for one test, removed on drop.
pub(super) struct TempStateDir(pub(super) PathBuf);

impl TempStateDir {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("metrics-push-spool-{}-{number}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn spool(&self) -> Spool {
        self.spool_for("http://gateway:9091")
    }

    pub(super) fn spool_for(&self, sink: &str) -> Spool {
        Spool::new(
            &Arc::new(StateDir::new(StateDirPath::Configured(self.0.clone()))),
            sink,
            &[sink.to_owned()],
        )
        .unwrap()
    }

    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.join(FOLDER)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| !name.starts_with('.')).collect();
        names.sort();
        names
    }

    fn set_age(&self, name: &str, age: Duration) {
        let path = self.0.join(FOLDER).join(name);
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_modified(Moment::now().wall() - age).unwrap();
    }

    fn folder(&self) -> Arc<Folder> {
        Folder::open(&self.0.join(FOLDER)).unwrap()
    }

    fn record(&self) -> PathBuf {
        let name = self.files().into_iter().find(|name| name.ends_with(EXTENSION)).unwrap();
        self.0.join(FOLDER).join(name)
    }
}

impl Drop for TempStateDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn key(job: &str) -> GroupingKey {
    GroupingKey::new(job).unwrap()
}

fn families(entries: &[(&str, &str)]) -> Families {
    entries.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

fn add(job: &str, created_at: u64, entries: &[(&str, &str)]) -> PushRequest {
    PushRequest::with_created_at(created_at, Verb::Add, key(job), families(entries))
}

fn body(spool: &Spool, job: &str) -> Option<String> {
    spool.look_up(&key(job)).map(|spooled| spooled.request.body())
}

#[test]
fn look_up_does_not_create_the_folder() {
    let state = TempStateDir::new();
    let spool = state.spool();
    assert!(spool.look_up(&key("a")).is_none() && spool.keys().unwrap().is_empty());
    assert_eq!(spool.stats(), SpoolStats { requests: 0, oldest: None, dropped: 0 });
    assert!(!state.0.exists());
}

#[test]
fn spooled_requests_are_merged_by_age() {
    let state = TempStateDir::new();
    let spool = state.spool();
    spool.store(&add("a", 20, &[("x", "new\n"), ("y", "y\n")])).unwrap();
    spool.store(&add("a", 10, &[("x", "old\n"), ("z", "z\n")])).unwrap();
    assert_eq!(body(&spool, "a").unwrap(), "new\ny\nz\n");
    spool
        .store(&PushRequest::with_created_at(30, Verb::Push, key("a"), families(&[("x", "all\n")])))
        .unwrap();
    assert_eq!(body(&spool, "a").unwrap(), "all\n");
    assert_eq!(spool.stats().requests, 1);
}

#[test]
fn request_merged_with_an_undelivered_one_is_undelivered() {
    use SpoolReason::{Unconfirmed, Undelivered};
    for (reasons, merged) in [
        ([Unconfirmed, Unconfirmed], Unconfirmed),
        ([Unconfirmed, Undelivered], Undelivered),
        ([Undelivered, Unconfirmed], Undelivered),
    ] {
        let state = TempStateDir::new();
        let spool = state.spool();
        for (created_at, reason) in (1..).zip(reasons) {
            spool.store_because(reason, &add("job", created_at, &[("a", "a 1\n")])).unwrap();
        }
        assert_eq!(spool.look_up(&key("job")).unwrap().reason, merged, "{reasons:?}");
    }
}

#[test]
fn record_is_visible_to_another_process() {
    let state = TempStateDir::new();
    state.spool().store(&add("a", 1, &[("x", "1\n")])).unwrap();
    let later = state.spool();
    assert_eq!(later.keys().unwrap(), [key("a")]);
    assert_eq!(body(&later, "a").unwrap(), "1\n");
}

#[test]
fn records_of_another_sink_are_ignored() {
    let state = TempStateDir::new();
    state.spool_for("http://one:9091").store(&add("a", 1, &[("x", "1\n")])).unwrap();
    let other = state.spool_for("http://two:9091");
    assert!(other.keys().unwrap().is_empty() && other.look_up(&key("a")).is_none());
}

#[test]
fn record_that_has_changed_is_not_removed() {
    let state = TempStateDir::new();
    let spool = state.spool();
    spool.store(&add("a", 1, &[("x", "1\n")])).unwrap();
    let seen = spool.look_up(&key("a")).unwrap();
    spool.store(&add("a", 2, &[("y", "2\n")])).unwrap();
    spool.remove(&seen);
    assert_eq!(body(&spool, "a").unwrap(), "1\n2\n");
    spool.remove(&spool.look_up(&key("a")).unwrap());
    assert!(state.files().is_empty(), "{:?}", state.files());
}

#[test]
fn spool_evicts_oldest_first() {
    let now = Moment::now().wall();
    let entry = |age: u64, bytes: u64| FileEntry {
        name: age.to_string(),
        id: 0,
        bytes,
        modified: now - Duration::from_secs(age),
    };
    let evicted = |records: Vec<FileEntry>, bytes: u64| -> Vec<String> {
        let (evicted, _) = select_evicted(records, bytes, now);
        evicted.into_iter().map(|entry| entry.name).collect()
    };
    let many = (0..MAX_RECORDS as u64 + 1).map(|age| entry(age, 1)).collect();
    assert_eq!(evicted(many, 1), ["4096", "4095"]);
    let large = vec![entry(1, MAX_BYTES / 2), entry(3, MAX_BYTES / 4), entry(2, MAX_BYTES / 4)];
    assert_eq!(evicted(large.clone(), MAX_BYTES / 4), ["3"]);
    assert_eq!(evicted(large, MAX_BYTES), ["3", "2", "1"]);
    let week = RECORD_TTL.as_secs();
    assert_eq!(evicted(vec![entry(week - 1, 1), entry(week + 1, 1)], 1), [(week + 1).to_string()]);
    let mut future = entry(0, 1);
    future.modified = now + RECORD_TTL * 2;
    assert!(evicted(vec![future], 1).is_empty());
}

#[test]
fn reports_have_room_in_half_of_the_spool() {
    let state = TempStateDir::new();
    assert!(state.spool().has_room_for_reports());
    state.spool().store(&add("job", 1, &[("x", "1\n")])).unwrap();
    let write = |sink: &str, records: usize| {
        for number in 1..records {
            let name = format!("{}{number:024x}.{EXTENSION}", file_prefix(sink));
            std::fs::write(state.0.join(FOLDER).join(name), "").unwrap();
        }
    };
    write("http://other:9091", MAX_RECORDS);
    write(state.spool().sink(), MAX_RECORDS / 2);
    assert!(state.spool().has_room_for_reports());
    write(state.spool().sink(), MAX_RECORDS / 2 + 2);
    assert!(!state.spool().has_room_for_reports());
}

#[test]
fn evicted_records_are_counted() {
    let state = TempStateDir::new();
    let spool = state.spool();
    spool.store(&add("old", 1, &[("x", "1\n")])).unwrap();
    let long_ago = Moment::now().wall() - RECORD_TTL * 2;
    std::fs::File::options()
        .write(true)
        .open(state.record())
        .unwrap()
        .set_modified(long_ago)
        .unwrap();
    // A new spool, because the usage of the first one has not expired.
    let spool = state.spool();
    spool.store(&add("new", 2, &[("x", "1\n")])).unwrap();
    assert_eq!(spool.keys().unwrap(), [key("new")]);
    let stats = spool.stats();
    assert_eq!((stats.requests, stats.dropped), (1, 1));
}

#[test]
fn usage_is_counted_without_listing_each_time() {
    const REQUESTS: usize = 100;
    let state = TempStateDir::new();
    let mut spool = state.spool();
    let failpoint = Arc::new(AtomicI64::new(i64::MAX));
    let job = |number: usize| format!("job_{number}");
    spool.store(&add("first", 1, &[("x", "1\n")])).unwrap();
    spool.disk.failpoint = Some(Arc::clone(&failpoint));
    let counted = || {
        let stats = spool.stats();
        (stats.requests as usize, stats.oldest.is_some())
    };
    let started = std::time::Instant::now();
    for number in 0..REQUESTS {
        spool.store(&add(&job(number), 1, &[("x", "1\n")])).unwrap();
        spool.store(&add(&job(number), 2, &[("y", "2\n")])).unwrap();
        assert_eq!(counted(), (number + 2, true));
    }
    for number in 0..REQUESTS {
        spool.remove(&spool.look_up(&key(&job(number))).unwrap());
        assert_eq!(counted(), (REQUESTS - number, true));
    }
    // Storing takes eight operations, looking up and removing four, and `stats` reads the number of dropped records.
    let needed = REQUESTS * (2 * 8 + 1) + REQUESTS * (4 + 1);
    let listings = i64::MAX - failpoint.load(Ordering::Relaxed) - needed as i64;
    let max = started.elapsed().as_secs() as i64 + 1;
    assert!((0..=max).contains(&listings), "{listings} listings, at most {max}");
}

/// The folder has thousands of files, so that a listing takes milliseconds.
#[test]
fn full_spool_is_not_listed_for_each_record() {
    const REQUESTS: usize = 100;
    /// Storing takes eight operations. Evicting takes six: it removes the record, and reads and replaces the number of
    /// dropped records.
    const OPERATIONS: usize = 8 + 6;
    let state = TempStateDir::new();
    let mut spool = state.spool();
    spool.store(&add("first", 1, &[("x", "1\n")])).unwrap();
    let record = std::fs::read(state.record()).unwrap();
    for number in 1..MAX_RECORDS {
        let name = format!("{}{number:024x}.{EXTENSION}", file_prefix(spool.sink()));
        std::fs::write(state.0.join(FOLDER).join(name), &record).unwrap();
    }
    spool = state.spool();
    let failpoint = Arc::new(AtomicI64::new(i64::MAX));
    spool.disk.failpoint = Some(Arc::clone(&failpoint));
    let started = std::time::Instant::now();
    let job = |number: usize| format!("job_{number}");
    for number in 0..REQUESTS {
        spool.store(&add(&job(number), 2, &[("x", "1\n")])).unwrap();
    }
    let operations = i64::MAX - failpoint.load(Ordering::Relaxed);
    let listings = operations - (REQUESTS * OPERATIONS) as i64;
    let max = started.elapsed().as_secs() as i64 + 1;
    assert!((0..=max).contains(&listings), "{listings} listings, at most {max}");
    let stats = state.spool().stats();
    assert_eq!((stats.requests as usize, stats.dropped as usize), (MAX_RECORDS, REQUESTS));
    assert!(spool.look_up(&key("first")).is_none(), "the oldest record is evicted first");
    assert!((0..REQUESTS).all(|number| spool.look_up(&key(&job(number))).is_some()));
    // A record that replaces another one evicts none.
    spool.store(&add(&job(0), 3, &[("x", "1\n")])).unwrap();
    assert_eq!(state.spool().stats().dropped as usize, REQUESTS);
}

#[test]
fn records_of_another_process_are_counted_after_the_usage_expires() {
    let state = TempStateDir::new();
    let (spool, other) = (state.spool(), state.spool());
    spool.store(&add("a", 1, &[("x", "1\n")])).unwrap();
    other.store(&add("b", 1, &[("x", "1\n")])).unwrap();
    spool.update_usage(|usage| *usage = usage.expired());
    assert_eq!(spool.stats().requests, 2);
}

#[test]
fn oversized_request_is_reduced_to_its_outcome() {
    let state = TempStateDir::new();
    let spool = state.spool();
    let large = "x".repeat(MAX_RECORD_SIZE);
    spool.store(&add("a", 1, &[("batch_job_info", "info\n"), ("rows", &large)])).unwrap();
    assert_eq!(body(&spool, "a").unwrap(), "info\n");
    assert!(spool.store(&add("b", 1, &[("rows", &large)])).is_err());
}

#[test]
fn corrupt_record_is_removed_and_counted() {
    let state = TempStateDir::new();
    let spool = state.spool();
    spool.store(&add("a", 1, &[("x", "1\n")])).unwrap();
    let whole = std::fs::read(state.record()).unwrap();
    std::fs::write(state.record(), &whole[..whole.len() - 3]).unwrap();
    assert!(spool.look_up(&key("a")).is_none());
    assert_eq!(state.files(), [DROPPED_FILE]);
    assert_eq!(spool.stats().dropped, 1);
}

#[test]
fn foreign_files_are_left_alone() {
    let state = TempStateDir::new();
    let spool = state.spool();
    spool.store(&add("a", 1, &[("x", "1\n")])).unwrap();
    let folder = state.0.join(FOLDER);
    for (name, text) in [
        ("notes", "mine"),
        ("foreign.request", "mine"),
        ("newer.request", "metrics-push request 9 x\n"),
    ] {
        std::fs::write(folder.join(name), text).unwrap();
    }
    assert_eq!(spool.keys().unwrap(), [key("a")]);
    spool.store(&add("b", 1, &[("x", "1\n")])).unwrap();
    assert_eq!(state.files().len(), 5);
}

#[test]
fn temporary_file_of_a_dead_process_is_removed() {
    let state = TempStateDir::new();
    state.spool().store(&add("a", 1, &[("x", "1\n")])).unwrap();
    let record = state.files().remove(0);
    let (dead, alive) = (format!("{record}.7-0.new"), format!("{record}.8-0.new"));
    let foreign = "abc.request.7-0.new".to_owned();
    for name in [&dead, &alive, &foreign] {
        std::fs::write(state.0.join(FOLDER).join(name), "half").unwrap();
    }
    for name in [&dead, &foreign] {
        state.set_age(name, TEMP_FILE_TTL * 2);
    }
    state.spool().store(&add("b", 1, &[("x", "1\n")])).unwrap();
    let files = state.files();
    assert!(files.len() == 4 && files.contains(&alive) && files.contains(&foreign), "{files:?}");
}

#[test]
#[cfg(unix)]
fn record_is_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;

    let state = TempStateDir::new();
    state.spool().store(&add("a", 1, &[("x", "1\n")])).unwrap();
    assert_eq!(std::fs::metadata(state.record()).unwrap().permissions().mode() & 0o777, 0o600);
}

/// After a failure of any operation, the spool contains the old request, or both merged.
#[test]
fn failed_store_loses_no_stored_request() {
    let mut failures = 0;
    for operation in 0.. {
        let state = TempStateDir::new();
        state.spool().store(&add("a", 1, &[("x", "old\n")])).unwrap();
        state.spool().store(&add("b", 1, &[("x", "other\n")])).unwrap();
        let mut failing = state.spool();
        let failpoint = Arc::new(AtomicI64::new(operation));
        failing.disk.failpoint = Some(Arc::clone(&failpoint));
        let is_stored = failing.store(&add("a", 2, &[("y", "new\n")])).is_ok();
        let has_failed = failpoint.load(Ordering::Relaxed) < 0;
        let later = state.spool();
        let found = body(&later, "a").unwrap();
        assert!(
            found == "old\nnew\n" || (!is_stored && found == "old\n"),
            "operation {operation}: {found}"
        );
        assert_eq!(body(&later, "b").unwrap(), "other\n");
        assert_eq!(later.stats().dropped, 0);
        later.store(&add("a", 3, &[("z", "last\n")])).unwrap();
        assert!(body(&later, "a").unwrap().ends_with("last\n"));
        assert_eq!(state.files().len(), 2, "operation {operation}: {:?}", state.files());
        if !has_failed {
            break;
        }
        failures += 1;
        assert!(!is_stored, "operation {operation} failed without an error");
    }
    assert!(failures >= 8, "only {failures} operations");
}

#[test]
fn failed_removal_does_not_lose_the_record() {
    for operation in 0.. {
        let state = TempStateDir::new();
        state.spool().store(&add("a", 1, &[("x", "1\n")])).unwrap();
        let mut failing = state.spool();
        let failpoint = Arc::new(AtomicI64::new(operation));
        failing.disk.failpoint = Some(Arc::clone(&failpoint));
        if let Some(seen) = failing.look_up(&key("a")) {
            failing.remove(&seen);
        }
        let found = body(&state.spool(), "a");
        if failpoint.load(Ordering::Relaxed) >= 0 {
            assert_eq!((found, operation), (None, 4));
            break;
        }
        assert_eq!(found.as_deref(), Some("1\n"), "operation {operation}");
    }
}

#[test]
fn concurrent_stores_lose_no_request() {
    const THREADS: usize = 4;
    const REQUESTS: usize = 40;
    let state = TempStateDir::new();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let state = &state;
            scope.spawn(move || {
                // A second spool has a second lock, like another process.
                let spool = state.spool();
                for number in 0..REQUESTS {
                    let name = format!("{thread}_{number}");
                    spool.store(&add("shared", 1, &[(&name, "1\n")])).unwrap();
                }
            });
        }
    });
    let found = state.spool().look_up(&key("shared")).unwrap();
    assert_eq!(found.request.families().len(), THREADS * REQUESTS);
}

#[test]
fn store_fails_while_another_process_holds_the_lock() {
    let state = TempStateDir::new();
    let spool = state.spool();
    spool.store(&add("a", 1, &[("x", "1\n")])).unwrap();
    let lock = spool.disk.lock(&state.folder(), LOCK_TIMEOUT).unwrap();
    let error = spool.store(&add("a", 2, &[("y", "2\n")])).unwrap_err();
    assert!(format!("{error:?}").contains("another process holds the lock"), "{error:?}");
    assert_eq!(body(&spool, "a").unwrap(), "1\n", "reading needs no lock");
    drop(lock);
    spool.store(&add("a", 2, &[("y", "2\n")])).unwrap();
}

/// Another process could have planted files in place of those of the spool.
#[test]
#[cfg(unix)]
fn irregular_files_do_not_stop_the_spool() {
    let state = TempStateDir::new();
    state.spool().store(&add("a", 1, &[("x", "1\n")])).unwrap();
    let (record, folder) = (state.record(), state.0.join(FOLDER));
    let make_fifo = |path: &std::path::Path| {
        std::fs::remove_file(path).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    };
    let make_large = |path: &std::path::Path| {
        std::fs::File::create(path).unwrap().set_len(1 << 32).unwrap();
    };
    for replace in [&make_fifo as &dyn Fn(&std::path::Path), &make_large] {
        replace(&record);
        let spool = state.spool();
        assert!(spool.look_up(&key("a")).is_none() && spool.keys().unwrap().is_empty());
        spool.store(&add("a", 1, &[("x", "2\n")])).unwrap();
        assert_eq!(body(&spool, "a").unwrap(), "2\n");
        std::fs::write(folder.join(DROPPED_FILE), "7").unwrap();
        replace(&folder.join(DROPPED_FILE));
        assert_eq!(state.spool().stats().dropped, 0);
        std::fs::remove_file(folder.join(DROPPED_FILE)).unwrap();
    }
    make_fifo(&folder.join(".lock"));
    assert!(state.spool().store(&add("a", 2, &[("x", "3\n")])).is_err());
    assert_eq!(body(&state.spool(), "a").unwrap(), "2\n");
}

#[test]
fn foreign_files_are_not_evicted() {
    let state = TempStateDir::new();
    state.spool().store(&add("old", 1, &[("x", "1\n")])).unwrap();
    let own = state.files().remove(0);
    let (named, other) = (format!("{:032x}.{EXTENSION}", 1), format!("notes.{EXTENSION}"));
    for name in [&named, &other] {
        std::fs::write(state.0.join(FOLDER).join(name), "notes of a user").unwrap();
    }
    for name in [&own, &named, &other] {
        state.set_age(name, RECORD_TTL * 2);
    }
    state.spool().store(&add("new", 1, &[("x", "1\n")])).unwrap();
    let files = state.files();
    assert!(files.contains(&named) && files.contains(&other), "{files:?}");
    assert!(!files.contains(&own), "{files:?}");
    assert_eq!(state.spool().stats().dropped, 1);
}

#[test]
fn many_foreign_files_are_not_counted_as_records() {
    let state = TempStateDir::new();
    state.spool().store(&add("a", 1, &[("x", "1\n")])).unwrap();
    for number in 0..5_000 {
        let name = format!("{number}.{EXTENSION}");
        std::fs::write(state.0.join(FOLDER).join(name), "notes of a user").unwrap();
    }
    let spool = state.spool();
    spool.store(&add("b", 1, &[("x", "1\n")])).unwrap();
    assert_eq!((spool.stats().requests, spool.keys().unwrap().len()), (2, 2));
}

#[test]
fn ages_are_by_the_clock_of_the_file_system() {
    let usage = |name: &str, modified| {
        let name = name.to_owned();
        SpoolUsage::count([FileEntry { name, id: 0, bytes: 1, modified }].iter(), |_| true)
    };
    let temp = format!("{:032x}.{EXTENSION}.7-0.new", 1);
    // The clock of the file system is a day behind that of the process.
    let now = Moment::now().wall() - Duration::from_secs(24 * 3_600);
    let new = NewRecord { name: "", bytes: 1, replaced: None, written_at: now };
    assert!(usage(&temp, now).has_room_for(&new));
    assert!(!usage(&temp, now - TEMP_FILE_TTL * 2).has_room_for(&new));
    let record = format!("{:032x}.{EXTENSION}", 1);
    assert!(usage(&record, now - RECORD_TTL).has_room_for(&new));
    assert!(!usage(&record, now - RECORD_TTL * 2).has_room_for(&new));
}
