//! The spool under fire: every file operation fails once, every bound is reached, processes meet.

use std::sync::atomic::{AtomicI64, AtomicU32};

use super::*;
use crate::push_request::{Families, Verb};

/// A state directory of this test's own, removed when it ends.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("metrics-push-spool-{}-{number}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    fn spool(&self) -> Spool {
        self.spool_for("http://gateway:9091")
    }

    fn spool_for(&self, sink: &str) -> Spool {
        Spool::new(&Arc::new(StateDir::new(Some(self.0.clone()))), sink).unwrap()
    }

    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.join(FOLDER)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| !name.starts_with('.')).collect();
        names.sort();
        names
    }

    fn record(&self) -> PathBuf {
        let name = self.files().into_iter().find(|name| name.ends_with(RECORD)).unwrap();
        self.0.join(FOLDER).join(name)
    }
}

impl Drop for Place {
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

fn add(job: &str, made: u64, entries: &[(&str, &str)]) -> PushRequest {
    PushRequest::with_created_at(made, Verb::Add, key(job), families(entries))
}

fn body(spool: &Spool, job: &str) -> Option<String> {
    spool.look_up(&key(job)).map(|spooled| spooled.request.body())
}

#[test]
fn nothing_is_made_to_find_that_nothing_waits() {
    let place = Place::new();
    let spool = place.spool();
    assert!(spool.look_up(&key("a")).is_none() && spool.keys().is_empty());
    assert_eq!(spool.stats(), SpoolStats { requests: 0, oldest: None, dropped: 0 });
    assert!(!place.0.exists());
}

#[test]
fn what_waits_is_merged_by_age_and_not_by_arrival() {
    let place = Place::new();
    let spool = place.spool();
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
fn another_process_finds_what_this_one_kept() {
    let place = Place::new();
    place.spool().store(&add("a", 1, &[("x", "1\n")])).unwrap();
    let later = place.spool();
    assert_eq!(later.keys(), [key("a")]);
    assert_eq!(body(&later, "a").unwrap(), "1\n");
}

#[test]
fn parcels_for_another_sink_are_left_to_those_who_know_it() {
    let place = Place::new();
    place.spool_for("http://one:9091").store(&add("a", 1, &[("x", "1\n")])).unwrap();
    let other = place.spool_for("http://two:9091");
    assert!(other.keys().is_empty() && other.look_up(&key("a")).is_none());
}

#[test]
fn what_has_changed_since_it_was_looked_up_stays() {
    let place = Place::new();
    let spool = place.spool();
    spool.store(&add("a", 1, &[("x", "1\n")])).unwrap();
    let seen = spool.look_up(&key("a")).unwrap();
    spool.store(&add("a", 2, &[("y", "2\n")])).unwrap();
    spool.remove(&seen);
    assert_eq!(body(&spool, "a").unwrap(), "1\n2\n");
    spool.remove(&spool.look_up(&key("a")).unwrap());
    assert!(place.files().is_empty(), "{:?}", place.files());
}

#[test]
fn the_oldest_go_first_when_there_are_too_many() {
    let now = Moment::now().wall();
    let entry = |age: u64, bytes: u64| Entry {
        path: PathBuf::from(age.to_string()),
        bytes,
        modified: now - Duration::from_secs(age),
    };
    let gone = |records: Vec<Entry>, bytes: u64| -> Vec<String> {
        let gone = surplus(records, bytes, now);
        gone.iter().map(|entry| entry.path.display().to_string()).collect()
    };
    let many = (0..MOST_RECORDS as u64 + 1).map(|age| entry(age, 1)).collect();
    assert_eq!(gone(many, 1), ["4096", "4095"]);
    let large = vec![entry(1, MOST_BYTES / 2), entry(3, MOST_BYTES / 4), entry(2, MOST_BYTES / 4)];
    assert_eq!(gone(large.clone(), MOST_BYTES / 4), ["3"]);
    assert_eq!(gone(large, MOST_BYTES), ["3", "2", "1"]);
    let week = LONGEST_STAY.as_secs();
    assert_eq!(gone(vec![entry(week - 1, 1), entry(week + 1, 1)], 1), [(week + 1).to_string()]);
    let mut future = entry(0, 1);
    future.modified = now + LONGEST_STAY * 2;
    assert!(gone(vec![future], 1).is_empty());
}

#[test]
fn what_had_to_go_is_counted() {
    let place = Place::new();
    let spool = place.spool();
    spool.store(&add("old", 1, &[("x", "1\n")])).unwrap();
    let long_ago = Moment::now().wall() - LONGEST_STAY * 2;
    std::fs::File::options()
        .write(true)
        .open(place.record())
        .unwrap()
        .set_modified(long_ago)
        .unwrap();
    // Another one, which has not looked yet: what others do is seen a moment later.
    let spool = place.spool();
    spool.store(&add("new", 2, &[("x", "1\n")])).unwrap();
    assert_eq!(spool.keys(), [key("new")]);
    let stats = spool.stats();
    assert_eq!((stats.requests, stats.dropped), (1, 1));
}

#[test]
fn many_that_come_and_go_are_counted_without_looking_each_time() {
    const PARCELS: usize = 100;
    let place = Place::new();
    let mut spool = place.spool();
    let fuse = Arc::new(AtomicI64::new(i64::MAX));
    let job = |number: usize| format!("job_{number}");
    spool.store(&add("first", 1, &[("x", "1\n")])).unwrap();
    spool.disk.fuse = Some(Arc::clone(&fuse));
    let counted = || {
        let stats = spool.stats();
        (stats.requests as usize, stats.oldest.is_some())
    };
    let started = std::time::Instant::now();
    for number in 0..PARCELS {
        spool.store(&add(&job(number), 1, &[("x", "1\n")])).unwrap();
        spool.store(&add(&job(number), 2, &[("y", "2\n")])).unwrap();
        assert_eq!(counted(), (number + 2, true));
    }
    for number in 0..PARCELS {
        spool.remove(&spool.look_up(&key(&job(number))).unwrap());
        assert_eq!(counted(), (PARCELS - number, true));
    }
    // Keeping is eight operations, looking up and removing four, and a stats reads what was dropped.
    let needed = PARCELS * (2 * 8 + 1) + PARCELS * (4 + 1);
    let looks = i64::MAX - fuse.load(Ordering::Relaxed) - needed as i64;
    let most = started.elapsed().as_secs() as i64 + 1;
    assert!((0..=most).contains(&looks), "{looks} looks, of {most}");
}

#[test]
fn what_others_keep_is_counted_a_moment_later() {
    let place = Place::new();
    let (spool, other) = (place.spool(), place.spool());
    spool.store(&add("a", 1, &[("x", "1\n")])).unwrap();
    other.store(&add("b", 1, &[("x", "1\n")])).unwrap();
    // As if its moment had passed.
    spool.correct_stock(|stock| *stock = stock.outdated());
    assert_eq!(spool.stats().requests, 2);
}

#[test]
fn a_parcel_that_is_too_large_leaves_its_outcome() {
    let place = Place::new();
    let spool = place.spool();
    let large = "x".repeat(LARGEST_RECORD);
    spool.store(&add("a", 1, &[("batch_job_info", "info\n"), ("rows", &large)])).unwrap();
    assert_eq!(body(&spool, "a").unwrap(), "info\n");
    assert!(spool.store(&add("b", 1, &[("rows", &large)])).is_err());
}

#[test]
fn a_damaged_record_is_removed_and_counted() {
    let place = Place::new();
    let spool = place.spool();
    spool.store(&add("a", 1, &[("x", "1\n")])).unwrap();
    let whole = std::fs::read(place.record()).unwrap();
    std::fs::write(place.record(), &whole[..whole.len() - 3]).unwrap();
    assert!(spool.look_up(&key("a")).is_none());
    assert_eq!(place.files(), [DROPPED]);
    assert_eq!(spool.stats().dropped, 1);
}

#[test]
fn files_of_others_are_left_alone() {
    let place = Place::new();
    let spool = place.spool();
    spool.store(&add("a", 1, &[("x", "1\n")])).unwrap();
    let folder = place.0.join(FOLDER);
    for (name, text) in [
        ("notes", "mine"),
        ("foreign.request", "mine"),
        ("newer.request", "metrics-push request 9 x\n"),
    ] {
        std::fs::write(folder.join(name), text).unwrap();
    }
    assert_eq!(spool.keys(), [key("a")]);
    spool.store(&add("b", 1, &[("x", "1\n")])).unwrap();
    assert_eq!(place.files().len(), 5);
}

#[test]
fn what_a_dead_process_left_unfinished_is_cleared_away() {
    let place = Place::new();
    place.spool().store(&add("a", 1, &[("x", "1\n")])).unwrap();
    let (dead, alive) = ("abc.request.7-0.new", "abc.request.8-0.new");
    for name in [dead, alive] {
        std::fs::write(place.0.join(FOLDER).join(name), "half").unwrap();
    }
    let file = std::fs::File::options().write(true).open(place.0.join(FOLDER).join(dead)).unwrap();
    file.set_modified(Moment::now().wall() - LONGEST_WRITING * 2).unwrap();
    place.spool().store(&add("b", 1, &[("x", "1\n")])).unwrap();
    let files = place.files();
    assert!(files.len() == 3 && files.contains(&alive.to_owned()), "{files:?}");
}

#[test]
#[cfg(unix)]
fn only_the_owner_can_read_a_record() {
    use std::os::unix::fs::PermissionsExt as _;

    let place = Place::new();
    place.spool().store(&add("a", 1, &[("x", "1\n")])).unwrap();
    assert_eq!(std::fs::metadata(place.record()).unwrap().permissions().mode() & 0o777, 0o600);
}

/// Whatever fails in between, afterwards there is the old record, the new one, or both merged; never less.
#[test]
fn whichever_operation_fails_nothing_that_was_kept_is_lost() {
    let mut failures = 0;
    for operation in 0.. {
        let place = Place::new();
        place.spool().store(&add("a", 1, &[("x", "old\n")])).unwrap();
        place.spool().store(&add("b", 1, &[("x", "other\n")])).unwrap();
        let mut failing = place.spool();
        let fuse = Arc::new(AtomicI64::new(operation));
        failing.disk.fuse = Some(Arc::clone(&fuse));
        let kept = failing.store(&add("a", 2, &[("y", "new\n")])).is_ok();
        let has_failed = fuse.load(Ordering::Relaxed) < 0;
        let later = place.spool();
        let found = body(&later, "a").unwrap();
        assert!(
            found == "old\nnew\n" || (!kept && found == "old\n"),
            "operation {operation}: {found}"
        );
        assert_eq!(body(&later, "b").unwrap(), "other\n");
        assert_eq!(later.stats().dropped, 0);
        later.store(&add("a", 3, &[("z", "last\n")])).unwrap();
        assert!(body(&later, "a").unwrap().ends_with("last\n"));
        assert_eq!(place.files().len(), 2, "operation {operation}: {:?}", place.files());
        if !has_failed {
            break;
        }
        failures += 1;
        assert!(!kept, "operation {operation} failed, and nobody was told");
    }
    assert!(failures >= 8, "only {failures} operations");
}

#[test]
fn whichever_operation_fails_a_delivered_record_is_at_worst_delivered_again() {
    for operation in 0.. {
        let place = Place::new();
        place.spool().store(&add("a", 1, &[("x", "1\n")])).unwrap();
        let mut failing = place.spool();
        let fuse = Arc::new(AtomicI64::new(operation));
        failing.disk.fuse = Some(Arc::clone(&fuse));
        if let Some(seen) = failing.look_up(&key("a")) {
            failing.remove(&seen);
        }
        let found = body(&place.spool(), "a");
        if fuse.load(Ordering::Relaxed) >= 0 {
            assert_eq!((found, operation), (None, 4));
            break;
        }
        assert_eq!(found.as_deref(), Some("1\n"), "operation {operation}");
    }
}

#[test]
fn many_at_once_lose_nothing() {
    const THREADS: usize = 4;
    const PARCELS: usize = 40;
    let place = Place::new();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let place = &place;
            scope.spawn(move || {
                // A spool of its own has a lock of its own, like a process.
                let spool = place.spool();
                for number in 0..PARCELS {
                    let name = format!("{thread}_{number}");
                    spool.store(&add("shared", 1, &[(&name, "1\n")])).unwrap();
                }
            });
        }
    });
    let found = place.spool().look_up(&key("shared")).unwrap();
    assert_eq!(found.request.families().len(), THREADS * PARCELS);
}

#[test]
fn whoever_holds_the_lock_for_ever_delays_and_does_not_stop() {
    let place = Place::new();
    let spool = place.spool();
    spool.store(&add("a", 1, &[("x", "1\n")])).unwrap();
    let lock = spool.disk.lock(&place.0.join(FOLDER)).unwrap();
    let error = spool.store(&add("a", 2, &[("y", "2\n")])).unwrap_err();
    assert!(format!("{error:?}").contains("another process holds its lock"), "{error:?}");
    assert_eq!(body(&spool, "a").unwrap(), "1\n", "reading needs no lock");
    drop(lock);
    spool.store(&add("a", 2, &[("y", "2\n")])).unwrap();
}
