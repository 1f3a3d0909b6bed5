//! Tests of the history: failures of each file operation, damaged files, limits, and processes that share the folder.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use proptest::prelude::*;

use super::record::{MAX_RUNS, RUN_TTL};
use super::store::{FOLDER, file_name};
use super::*;
use crate::clock::unix_seconds;
use crate::finished_run::FailedStage;
use crate::outcome::Outcome;
use crate::push_request::{FAILING_SINCE, LAST_FAILURE, LAST_SUCCESS};
use crate::state_dir::StateDirPath;

const SINK: &str = "http://gateway:9091";
const FAILURES: &str = "batch_job_consecutive_failures";

/// A state directory for one test, removed on drop.
struct TempStateDir(PathBuf);

impl TempStateDir {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("metrics-push-history-{}-{number}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    /// Returns the history as another process opens it.
    fn history(&self) -> History {
        let path = StateDirPath::Configured(self.0.clone());
        History::new(&Arc::new(StateDir::new(path)), TotalsPolicy::On)
    }

    /// Returns the history of a process whose file operation with this number fails.
    fn failing_history(&self, operation: i64) -> History {
        let mut history = self.history();
        history.store.disk.failpoint = Some(Arc::new(AtomicI64::new(operation)));
        history
    }

    fn file(&self, key: &GroupingKey) -> PathBuf {
        self.0.join(FOLDER).join(file_name(key))
    }
}

impl Drop for TempStateDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn key() -> GroupingKey {
    GroupingKey::new("import").unwrap().label("region", "eu\n").unwrap()
}

fn now() -> f64 {
    unix_seconds(Moment::now().wall())
}

fn run(id: &str, outcome: Outcome) -> FinishedRun {
    FinishedRun {
        id: id.to_owned(),
        started_at: now() - 2.5,
        ended_at: now() - 0.25,
        duration: Some(Duration::from_millis(2_250)),
        outcome,
        exit_code: None,
        signal: None,
        records: None,
        stages: Vec::new(),
        attempts: None,
        failed_stage: None,
        reason: None,
    }
}

fn counted(value: u32) -> Families {
    [("rows_total".to_owned(), format!("# TYPE rows_total counter\nrows_total {value}\n"))].into()
}

fn ending(id: &str, outcome: Outcome) -> Vec<Arc<RunEnding>> {
    vec![Arc::new(RunEnding { run: run(id, outcome), counted: counted(2) })]
}

fn total(recorded: &Recorded) -> Option<&str> {
    recorded.families.get("rows_total")?.split_once("\nrows_total ")?.1.strip_suffix('\n')
}

fn ids(history: &History) -> Vec<String> {
    let found = history.of_group(&key());
    found.iter().flat_map(RunHistory::runs).map(|run| run.id.clone()).collect()
}

#[test]
fn run_is_counted_once_for_all_sinks_and_attempts() {
    let state = TempStateDir::new();
    let first = state.history().record(&key(), SINK, &ending("1", Outcome::Success));
    let again = state.history().record(&key(), "http://other", &ending("1", Outcome::Success));
    let second = state.history().record(&key(), SINK, &ending("2", Outcome::Success));
    assert_eq!([&first, &again, &second].map(total), [Some("2"), Some("2"), Some("4")]);
    for (recorded, before) in [(&first, "0"), (&again, "0"), (&second, "2")] {
        let text = &recorded.totals_before["rows_total"].text;
        assert!(text.ends_with(&format!(" {before}\n")), "{text}");
    }
    assert_eq!(ids(&state.history()), ["1", "2"]);
}

#[test]
fn streak_counts_failures_since_the_last_success() {
    let state = TempStateDir::new();
    let mut since = Vec::new();
    for (id, outcome, failures, successes) in [
        ("1", Outcome::Success, 0, 1),
        ("2", Outcome::Success, 0, 2),
        ("3", Outcome::Error, 1, 0),
        ("4", Outcome::Skipped, 1, 0),
        ("5", Outcome::Abandoned, 2, 0),
        ("6", Outcome::Success, 0, 1),
    ] {
        let recorded = state.history().record(&key(), SINK, &ending(id, outcome));
        let history = state.history().of_group(&key()).unwrap();
        let streak = (history.consecutive_failures(), history.consecutive_successes());
        assert_eq!(streak, (failures, successes), "{id}");
        let exported = recorded.families[FAILURES].ends_with(&format!(" {failures}\n"));
        assert!(exported, "{}", recorded.families[FAILURES]);
        since.push(recorded.families.get(FAILING_SINCE).cloned());
    }
    assert!(since[0].is_none() && since[1].is_none() && since[5].is_none(), "{since:?}");
    assert!(since[2].is_some() && since[2] == since[3] && since[3] == since[4], "{since:?}");
}

#[test]
fn push_has_the_timestamps_of_other_outcomes() {
    let state = TempStateDir::new();
    state.history().record(&key(), SINK, &ending("1", Outcome::Error));
    let recorded = state.history().record(&key(), SINK, &ending("2", Outcome::Success));
    let mut push = PushRequest::push(key(), Families::from([(LAST_SUCCESS.into(), "own".into())]));
    recorded.add_to(&mut push);
    assert!(push.families().contains_key(LAST_FAILURE));
    assert_eq!(push.families()[LAST_SUCCESS], "own");
    let mut add = PushRequest::add(key(), Families::new());
    recorded.add_to(&mut add);
    assert!(!add.families().contains_key(LAST_FAILURE), "the gateway has it");
}

#[test]
fn time_in_the_future_is_not_exported_and_is_replaced() {
    let state = TempStateDir::new();
    let mut future = run("1", Outcome::Error);
    future.ended_at = now() + 400.0 * 86_400.0;
    let future = vec![Arc::new(RunEnding { run: future, counted: Families::new() })];
    let recorded = state.history().record(&key(), SINK, &future);
    assert!(!recorded.last_times.contains_key(LAST_FAILURE), "{recorded:?}");
    let recorded = state.history().record(&key(), SINK, &ending("2", Outcome::Error));
    assert!(recorded.last_times.contains_key(LAST_FAILURE), "{recorded:?}");
}

#[test]
fn newer_values_are_those_of_runs_that_were_recorded_since() {
    let state = TempStateDir::new();
    let history = state.history();
    let first = history.record(&key(), SINK, &ending("1", Outcome::Success));
    assert!(history.newer(&key(), SINK, &first).is_none());
    let second = history.record(&key(), SINK, &ending("2", Outcome::Success));
    // Only the number of attempts has changed since the second one.
    history.set_attempts(&key(), &ending("2", Outcome::Success), 3);
    assert!(history.newer(&key(), SINK, &second).is_none());
    let newer = history.newer(&key(), SINK, &first).unwrap();
    assert_eq!((newer.families(), total(&newer)), (second.families(), Some("4")));
    assert!(history.newer(&key(), SINK, &newer).is_none());
}

#[test]
fn values_of_a_lost_run_are_not_replaced() {
    let state = TempStateDir::new();
    let lost = state.history().record(&key(), SINK, &ending("1", Outcome::Success));
    std::fs::remove_file(state.file(&key())).unwrap();
    state.history().record(&key(), SINK, &ending("2", Outcome::Success));
    assert!(state.history().newer(&key(), SINK, &lost).is_none());
    assert!(state.history().newer(&key(), SINK, &Recorded::default()).is_none());
}

#[test]
fn attempts_and_checks_are_recorded() {
    let state = TempStateDir::new();
    let (history, run) = (state.history(), ending("1", Outcome::Error));
    history.record(&key(), SINK, &run);
    assert_eq!(history.of_group(&key()).unwrap().runs()[0].attempts(), 1);
    history.set_attempts(&key(), &run, 3);
    let at = Moment::now();
    history.set_checked(&key(), SINK, at);
    assert_eq!(history.of_group(&key()).unwrap().runs()[0].attempts(), 3);
    assert_eq!(state.history().look_up(&key(), SINK).checked_at, Some(at.unix_millis()));
    assert_eq!(state.history().look_up(&key(), "http://other").checked_at, None);
}

#[test]
fn group_without_a_machine_label_has_no_totals_by_default() {
    let state = TempStateDir::new();
    let history = History { totals: TotalsPolicy::MachineLabels, ..state.history() };
    let recorded = history.record(&key(), SINK, &ending("1", Outcome::Success));
    assert_eq!(total(&recorded), None);
    let on_machine = key().label("instance", "a").unwrap();
    let recorded = history.record(&on_machine, SINK, &ending("1", Outcome::Success));
    assert_eq!(total(&recorded), Some("2"));
    let off = History { totals: TotalsPolicy::Off, ..state.history() };
    let recorded = off.record(&on_machine, SINK, &ending("2", Outcome::Success));
    assert_eq!(total(&recorded), None);
}

#[test]
fn history_without_a_state_directory_counts_one_run() {
    let recorded = History::default().record(&key(), SINK, &ending("1", Outcome::Error));
    assert!(recorded.families[FAILURES].ends_with(" 1\n"));
    assert_eq!(recorded.families.len(), 2, "{recorded:?}");
    assert!(recorded.last_times.is_empty() && recorded.totals_before.is_empty());
}

#[test]
fn failure_of_any_file_operation_costs_at_most_its_run() {
    const MAX_OPERATIONS: i64 = 20;

    // A file with an incomplete section is replaced.
    for (end, min_failures) in [("", 4), ("state\t", 6)] {
        let mut failed = 0;
        for operation in 0..MAX_OPERATIONS {
            let state = TempStateDir::new();
            state.history().record(&key(), SINK, &ending("1", Outcome::Error));
            let mut file =
                std::fs::OpenOptions::new().append(true).open(state.file(&key())).unwrap();
            io::Write::write_all(&mut file, end.as_bytes()).unwrap();
            let history = state.failing_history(operation);
            let second = history.record(&key(), SINK, &ending("2", Outcome::Error));
            assert!(second.families.contains_key(FAILURES), "operation {operation}");
            failed += usize::from(history.store.has_warned.load(Ordering::Relaxed));
            let recorded = state.history().record(&key(), SINK, &ending("3", Outcome::Error));
            let expected: &[_] =
                if total(&recorded) == Some("6") { &["1", "2", "3"] } else { &["1", "3"] };
            assert_eq!(ids(&state.history()), expected, "operation {operation}");
            let is_stored = expected.contains(&"2");
            assert_eq!(total(&second), is_stored.then_some("4"), "operation {operation}");
        }
        assert!((min_failures..12).contains(&failed), "{failed}");
    }
}

/// No other file is created in the folder, because creating and removing a file takes longer than appending to one.
#[test]
fn run_is_appended_to_the_file_of_its_group() {
    let state = TempStateDir::new();
    let history = state.history();
    history.record(&key(), SINK, &ending("1", Outcome::Success));
    let before = std::fs::File::open(state.file(&key())).unwrap();
    let read = |file: &std::fs::File| io::read_to_string(file).unwrap();
    let start = read(&before);
    history.record(&key(), SINK, &ending("2", Outcome::Error));
    assert!(!start.is_empty() && read(&before).starts_with("state\t"), "the file is the same");
    assert_eq!(ids(&history), ["1", "2"]);
}

#[test]
fn run_that_is_too_old_is_not_shown() {
    let state = TempStateDir::new();
    let mut old = run("1", Outcome::Success);
    old.ended_at -= RUN_TTL.as_secs_f64();
    let old = vec![Arc::new(RunEnding { run: old, counted: Families::new() })];
    state.history().record(&key(), SINK, &old);
    state.history().record(&key(), SINK, &ending("2", Outcome::Success));
    assert!(std::fs::read_to_string(state.file(&key())).unwrap().contains("\tid=1\t"));
    assert_eq!(ids(&state.history()), ["2"]);
    let all = state.history().all();
    assert_eq!((all.len(), all[0].runs().len()), (1, 1));
}

/// The file is read only if it has changed.
#[test]
fn unchanged_file_has_no_newer_values() {
    let state = TempStateDir::new();
    let history = state.history();
    let first = history.record(&key(), SINK, &ending("1", Outcome::Success));
    let failing = state.failing_history(0);
    assert!(failing.newer(&key(), SINK, &first).is_none());
    assert!(!failing.store.has_warned.load(Ordering::Relaxed));
    history.record(&key(), SINK, &ending("2", Outcome::Success));
    let newer = history.newer(&key(), SINK, &first).unwrap();
    assert!(failing.newer(&key(), SINK, &newer).is_none());
    assert!(!failing.store.has_warned.load(Ordering::Relaxed), "it has not changed again");
    assert!(failing.newer(&key(), SINK, &first).is_none());
    assert!(failing.store.has_warned.load(Ordering::Relaxed), "the changed file is read");
}

#[test]
fn damaged_file_costs_the_history_of_its_group() {
    let state = TempStateDir::new();
    state.history().record(&key(), SINK, &ending("1", Outcome::Success));
    let (file, other) = (state.file(&key()), GroupingKey::new("other").unwrap());
    state.history().record(&other, SINK, &ending("1", Outcome::Success));
    let whole = std::fs::read(&file).unwrap();
    for damaged in [&whole[..whole.len() / 2], b"", b"notes of a user", &vec![b'\n'; 2 << 20]] {
        std::fs::write(&file, damaged).unwrap();
        let history = state.history();
        let recorded = history.record(&key(), SINK, &ending("2", Outcome::Success));
        assert!(history.store.has_warned.load(Ordering::Relaxed));
        assert_eq!((total(&recorded), ids(&history)), (Some("2"), vec!["2".to_owned()]));
    }
    assert_eq!(state.history().all().len(), 2);
}

/// With the totals before the damage, a counter could decrease a little, which is not a restart at zero.
#[test]
fn damaged_last_section_starts_the_totals_again() {
    let state = TempStateDir::new();
    for id in ["1", "2"] {
        state.history().record(&key(), SINK, &ending(id, Outcome::Success));
    }
    let mut bytes = std::fs::read(state.file(&key())).unwrap();
    let last_line_feed = bytes.len() - 1;
    bytes[last_line_feed - 1] ^= 1;
    std::fs::write(state.file(&key()), bytes).unwrap();
    let history = state.history();
    let recorded = history.record(&key(), SINK, &ending("3", Outcome::Success));
    assert!(history.store.has_warned.load(Ordering::Relaxed));
    assert_eq!((total(&recorded), ids(&history)), (Some("2"), vec!["1".into(), "3".into()]));
}

#[test]
fn run_that_cannot_be_written_leaves_the_file_unchanged() {
    let state = TempStateDir::new();
    state.history().record(&key(), SINK, &ending("1", Outcome::Success));
    let before = std::fs::read(state.file(&key())).unwrap();
    // After a lock, an open, a read of the end, and the first half of a write.
    let history = state.failing_history(4);
    history.record(&key(), SINK, &ending("2", Outcome::Success));
    assert!(history.store.has_warned.load(Ordering::Relaxed));
    assert_eq!(std::fs::read(state.file(&key())).unwrap(), before);
}

#[test]
fn file_that_is_replaced_is_read_once() {
    let operations = |end: &str| {
        let state = TempStateDir::new();
        state.history().record(&key(), SINK, &ending("1", Outcome::Success));
        let mut file = std::fs::OpenOptions::new().append(true).open(state.file(&key())).unwrap();
        io::Write::write_all(&mut file, end.as_bytes()).unwrap();
        let history = state.failing_history(i64::MAX);
        history.record(&key(), SINK, &ending("2", Outcome::Success));
        i64::MAX - history.store.disk.failpoint.unwrap().load(Ordering::Relaxed)
    };
    // A lock, an open, a read of the end, and two steps of a write.
    assert_eq!(operations(""), 5);
    // The whole file is read, too. A replacement has two more steps.
    assert_eq!(operations("state\t"), 8);
}

#[test]
fn file_of_a_newer_version_is_not_replaced() {
    let state = TempStateDir::new();
    state.history().record(&key(), SINK, &ending("1", Outcome::Success));
    let newer = history_file::with_version(3, "later\n");
    std::fs::write(state.file(&key()), &newer).unwrap();
    let history = state.history();
    let recorded = history.record(&key(), SINK, &ending("2", Outcome::Error));
    assert!(recorded.families[FAILURES].ends_with(" 1\n") && total(&recorded).is_none());
    assert!(history.of_group(&key()).is_none() && history.store.has_warned.load(Ordering::Relaxed));
    assert_eq!(std::fs::read_to_string(state.file(&key())).unwrap(), newer);
}

#[test]
fn number_of_groups_is_limited() {
    const MAX_FILES: usize = 100;

    let state = TempStateDir::new();
    let mut history = state.history();
    history.store.max_files = MAX_FILES;
    let group = |number: usize| GroupingKey::new(format!("job_{number}")).unwrap();
    history.record(&group(0), SINK, &ending("1", Outcome::Success));
    // These files are older than all histories except the first.
    let foreign = ["notes.history", "notes.new"].map(|name| state.0.join(FOLDER).join(name));
    foreign.iter().for_each(|path| std::fs::write(path, "notes of a user").unwrap());
    for number in 1..MAX_FILES + 10 {
        history.record(&group(number), SINK, &ending("1", Outcome::Success));
    }
    let number = history.all().len();
    assert!(number <= MAX_FILES && number > MAX_FILES / 2, "{number}");
    assert!(history.of_group(&group(MAX_FILES + 9)).is_some());
    assert!(foreign.iter().all(|path| path.exists()));
}

#[test]
fn histories_that_share_a_folder_lose_no_run() {
    const THREADS: usize = 8;
    const RUNS: usize = 25;

    let state = TempStateDir::new();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let history = state.history();
            scope.spawn(move || {
                for number in 0..RUNS {
                    let id = format!("{thread}-{number}");
                    history.record(&key(), SINK, &ending(&id, Outcome::Success));
                }
            });
        }
    });
    assert_eq!(ids(&state.history()).len(), (THREADS * RUNS).min(MAX_RUNS));
    let last = state.history().record(&key(), SINK, &ending("last", Outcome::Success));
    assert_eq!(total(&last), Some("402"));
}

proptest! {
    #[test]
    fn read_run_is_the_written_one(
        id in "[0-9a-f]{16}",
        outcome in proptest::sample::select(Outcome::ALL.to_vec()),
        times in (0.0..1e12, 0.0..1e12),
        duration in proptest::option::of(0_u32..1_000_000),
        numbers in (any::<Option<i32>>(), any::<Option<i32>>(), any::<Option<u32>>()),
        stages in proptest::collection::vec((".{0,20}", 0_u32..1_000), 0..3),
        texts in (proptest::option::of((".{0,20}", any::<bool>())), proptest::option::of(".{0,200}")),
    ) {
        let millis = |millis: u32| Duration::from_millis(millis.into());
        let run = FinishedRun {
            id,
            started_at: times.0,
            ended_at: times.1,
            duration: duration.map(millis),
            outcome,
            exit_code: numbers.0,
            signal: numbers.1,
            records: None,
            stages: stages.into_iter().map(|(name, it)| (name, millis(it))).collect(),
            attempts: numbers.2,
            failed_stage: texts.0.map(|(name, has_ended)| FailedStage { name, has_ended }),
            reason: texts.1,
        };
        let line = write_run(&run);
        prop_assert_eq!(line.matches('\n').count(), 1);
        prop_assert_eq!(run_line::read_run(line.trim_end_matches('\n')), Some(run));
    }
}
