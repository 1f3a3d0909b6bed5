//! Requests that a gateway applies after the client has abandoned them: the group must show how the run ended.
//!
//! A gateway is stopped before a run or during it. It continues at some half second before the timeout of the ending. One
//! gateway per moment serves all endings, with and without a state directory, so that all cases together take as long as
//! one run.

use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use metrics_push::{Config, Gateway, StoredGroup};

use crate::programs::{command, program};
use crate::restarting_gateway::RestartingGateway;

/// The timeout of an ending. A start or a heartbeat is abandoned after a third of it.
const TIMEOUT: Duration = Duration::from_secs(4);
/// The steps of a run and their duration.
const STEPS: u32 = 4;
const STEP: Duration = Duration::from_millis(500);
/// The interval between the moments at which a gateway continues.
const INTERVAL: Duration = Duration::from_millis(500);
/// The time that a busy machine needs for what takes milliseconds.
const SLACK: Duration = Duration::from_millis(1_500);

/// The moments at which a gateway is stopped.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stopped {
    BeforeTheStart,
    DuringTheRun,
}

/// The endings of a run, as arguments of the program.
const ENDINGS: [&str; 3] = ["push", "add", "fail"];

/// A run of one ending, with or without a state directory.
#[derive(Clone, Debug)]
struct Case {
    ending: &'static str,
    has_state: bool,
}

impl Case {
    fn all() -> impl Iterator<Item = Self> {
        let with = |ending| [true, false].map(|has_state| Self { ending, has_state });
        ENDINGS.into_iter().flat_map(with)
    }

    fn name(&self) -> String {
        format!("{}_{}", self.ending, if self.has_state { "with_state" } else { "without_state" })
    }

    fn start(&self, gateway: &RestartingGateway, ending: &str, steps: u32) -> Child {
        let mut job = command(program("works"));
        job.args([&self.name(), ending, &steps.to_string(), &STEP.as_millis().to_string()]);
        job.env("METRICS_PUSH_URL", gateway.url());
        job.env("METRICS_PUSH_TIMEOUT", format!("{TIMEOUT:?}"));
        if self.has_state {
            job.env("METRICS_PUSH_STATE_DIR", state_dir(gateway));
        }
        job.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Asserts that the group shows the run that started after `earlier`.
    fn check(&self, group: &StoredGroup, earlier: f64, is_confirmed: bool, when: &str) {
        let value = |name: &str| group.value(&format!("batch_job_{name}"), &[]);
        let has_failed = self.ending == "fail";
        let outcome = if has_failed { "error" } else { "success" };
        let when = format!("{} {when}: {group:#?}", self.name());
        let start = value("last_start_timestamp_seconds");
        let completion = value("last_completion_timestamp_seconds");
        assert!(start > Some(earlier) && completion > start, "{when}");
        assert_eq!(value("last_run_success"), Some(f64::from(u8::from(!has_failed))), "{when}");
        let own = if has_failed { "failure" } else { "success" };
        assert_eq!(value(&format!("last_{own}_timestamp_seconds")), completion, "{when}");
        let states = &group.families["batch_job_last_run_outcome"].metrics;
        let states =
            states.iter().filter(|state| state.value != metrics_push::StoredValue::Single(0.0));
        let states: Vec<_> = states.map(|state| state.labels["outcome"].as_str()).collect();
        assert_eq!(states, [outcome], "{when}");
        assert!(value("last_run_duration_seconds") > Some(1.0), "{when}");
        if is_confirmed {
            assert_eq!(value("progress_ratio"), Some(1.0), "{when}");
            assert_eq!(value("pushed_at_timestamp_seconds"), completion, "{when}");
            let processed = group.value("batch_job_last_run_records", &[("result", "processed")]);
            assert_eq!(processed, Some(f64::from(STEPS)), "{when}");
        }
    }
}

fn state_dir(gateway: &RestartingGateway) -> std::path::PathBuf {
    gateway.directory().join("state")
}

fn recover(gateway: &RestartingGateway, state: &Path) {
    let config = Config::default().url(gateway.url()).unwrap().timeout(Duration::from_secs(20));
    let _scope = config.state_dir(state).scope().unwrap();
    assert_eq!(metrics_push::recover(Duration::from_secs(20)).left, 0);
}

fn groups(gateway: &RestartingGateway) -> Vec<StoredGroup> {
    let client = Gateway::new(gateway.url()).unwrap().timeout(Duration::from_secs(30));
    client.metrics().unwrap()
}

/// Stops a gateway, starts all cases, and lets the gateway continue after `pause`.
fn run(stopped: Stopped, pause: Duration) {
    let mut gateway = RestartingGateway::without_persistence();
    // The earlier run has the opposite ending, so that each value must change.
    let opposite = |ending| if ending == "fail" { "push" } else { "fail" };
    let earlier: Vec<_> =
        Case::all().map(|case| case.start(&gateway, opposite(case.ending), 0)).collect();
    for mut job in earlier {
        job.wait().unwrap();
    }
    let earlier = groups(&gateway)
        .iter()
        .filter_map(|group| group.value("batch_job_last_start_timestamp_seconds", &[]))
        .fold(0.0, f64::max);

    if stopped == Stopped::BeforeTheStart {
        gateway.freeze();
    }
    let began = Instant::now();
    let jobs: Vec<_> = Case::all().map(|case| case.start(&gateway, case.ending, STEPS)).collect();
    if stopped == Stopped::DuringTheRun {
        thread::sleep(STEP);
        gateway.freeze();
    }
    thread::sleep((began + pause).saturating_duration_since(Instant::now()));
    gateway.thaw();
    for mut job in jobs {
        job.wait().unwrap();
        let limit = STEP * STEPS + TIMEOUT + SLACK * 3;
        assert!(began.elapsed() < limit, "{stopped:?} {pause:?}: {:?}", began.elapsed());
    }
    // All requests that the gateway has received are applied.
    thread::sleep(SLACK);
    recover(&gateway, &state_dir(&gateway));
    let groups = groups(&gateway);
    // Without a state directory, an ending is confirmed if the gateway continues in time.
    let in_time = pause + SLACK < STEP * STEPS + TIMEOUT;
    for case in Case::all() {
        let group = groups.iter().find(|group| group.labels["job"] == case.name());
        let when = format!("{stopped:?}, continued after {pause:?}");
        let group = group.unwrap_or_else(|| panic!("{} {when} is missing", case.name()));
        case.check(group, earlier, case.has_state || in_time, &when);
    }
}

#[test]
fn late_requests_leave_the_outcome_of_the_run() {
    let last = STEP * STEPS + TIMEOUT;
    let moments = (1..).map(|number| INTERVAL * number).take_while(|moment| *moment <= last);
    thread::scope(|scope| {
        for pause in moments {
            for stopped in [Stopped::BeforeTheStart, Stopped::DuringTheRun] {
                if stopped == Stopped::DuringTheRun && pause <= STEP {
                    continue;
                }
                scope.spawn(move || run(stopped, pause));
            }
        }
    });
}

/// Starts two runs in turn while the gateway hangs. The first one is given up, and the second one waits for the gateway.
#[test]
fn late_request_of_an_earlier_process_leaves_the_outcome_of_the_last_run() {
    for (number, case) in Case::all().filter(|case| case.has_state).enumerate() {
        let mut gateway = RestartingGateway::without_persistence();
        gateway.freeze();
        let opposite = if case.ending == "fail" { "add" } else { "fail" };
        case.start(&gateway, opposite, 0).wait().unwrap();
        let began = std::time::SystemTime::now();
        let mut last = case.start(&gateway, case.ending, STEPS);
        thread::sleep(STEP * STEPS + INTERVAL);
        gateway.thaw();
        last.wait().unwrap();
        thread::sleep(SLACK);
        recover(&gateway, &state_dir(&gateway));
        let earlier = began.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        let groups = groups(&gateway);
        let group = groups.iter().find(|group| group.labels["job"] == case.name()).unwrap();
        case.check(group, earlier, true, &format!("of the last run, case {number}"));
    }
}
