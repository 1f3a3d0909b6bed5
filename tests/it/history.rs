//! The history of runs: what it stores about the ends of processes, and its totals.

use std::collections::BTreeSet;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use metrics_push::testing::{FakeGateway, Group};
use metrics_push::{Config, FinishedRun, GroupingKey, Outcome, RunHistory};

use crate::child::{FinishedJob, ending, job_command};
use crate::programs::program;
use crate::raw_tcp::RawServer;
use crate::state_dir::StateDir;

/// The number of processes that end at the same time.
const PROCESSES: usize = 50;

fn history(state: &Path, job: &str) -> RunHistory {
    let _scope = Config::default().state_dir(state).scope().unwrap();
    let key = GroupingKey::new(job).unwrap().label("instance", "a").unwrap();
    metrics_push::history(&key).unwrap()
}

fn group(gateway: &FakeGateway, job: &str) -> Group {
    gateway.group(job, &[("instance", "a")])
}

fn runs_total(group: &Group, outcome: &str) -> Option<f64> {
    group.get("batch_job_runs_total", &[("outcome", outcome)])
}

/// Runs a job of the group `import` with this ending.
fn end(gateway: &FakeGateway, state: &StateDir, arguments: &[&str]) -> FinishedJob {
    let command = ending("import", &gateway.url(), arguments);
    let command = command.variable("METRICS_PUSH_INSTANCE", "a");
    command.variable("METRICS_PUSH_STATE_DIR", state.path()).run_to_end()
}

#[test]
fn history_has_the_ends_of_processes() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    // The next run finds the one that was killed.
    for ending in ["ok", "err", "panic", "exit-3", "kill", "skip"] {
        end(&gateway, &state, &[ending]);
    }
    let found = history(state.path(), "import");
    let outcomes: Vec<_> = found.runs().iter().map(FinishedRun::outcome).collect();
    let expected = [
        Outcome::Success,
        Outcome::Error,
        Outcome::Panic,
        Outcome::ExitCode,
        Outcome::Abandoned,
        Outcome::Skipped,
    ];
    assert_eq!(outcomes, expected);
    for run in found.runs() {
        assert!(run.started_at() <= run.ended_at(), "{run:?}");
        assert_eq!(run.duration().is_some(), run.outcome() != Outcome::Abandoned, "{run:?}");
        let total = runs_total(&group(&gateway, "import"), run.outcome().as_str());
        assert_eq!(total, Some(1.0), "{run:?}");
    }
    let exit_codes: Vec<_> = found.runs().iter().map(FinishedRun::exit_code).collect();
    assert_eq!(exit_codes[3], Some(3));
    assert_eq!(found.consecutive_failures(), 4);
    assert_eq!(found.failing_since(), Some(found.runs()[1].started_at()));
    assert!(found.last_success() < found.last_failure(), "{found:?}");
    let ids: BTreeSet<_> = found.runs().iter().map(FinishedRun::id).collect();
    assert_eq!(ids.len(), 6);
}

#[test]
fn processes_that_end_at_the_same_time_are_all_counted() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let start = |_| {
        let command = job_command(program("succeeds"), &["import"]).gateway(&gateway.url());
        let command = command.variable("METRICS_PUSH_INSTANCE", "a");
        command.variable("METRICS_PUSH_STATE_DIR", state.path()).start()
    };
    let running: Vec<_> = (0..PROCESSES).map(start).collect();
    for job in running {
        let ended = job.wait();
        assert!(ended.status.success() && ended.log_lines.is_empty(), "{ended:?}");
    }
    let history = history(state.path(), "import");
    assert_eq!(history.runs().len(), PROCESSES);
    assert_eq!(history.consecutive_successes(), PROCESSES as u64);
    end(&gateway, &state, &["ok"]);
    let total = runs_total(&group(&gateway, "import"), "success");
    assert_eq!(total, Some(PROCESSES as f64 + 1.0));
}

#[test]
fn damaged_history_costs_one_warning() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    end(&gateway, &state, &["err"]);
    let files = std::fs::read_dir(state.path().join("history")).unwrap();
    let mut files = files.map(|file| file.unwrap().path());
    let file = files.find(|file| file.extension().is_some_and(|it| it == "history")).unwrap();
    std::fs::write(&file, "damaged").unwrap();
    let ended = end(&gateway, &state, &["err"]);
    let [line] = &ended.log_lines[..] else { panic!("{ended:?}") };
    assert!(line.contains("is corrupt") && line.contains(file.to_str().unwrap()), "{line}");
    assert_eq!(history(state.path(), "import").runs().len(), 1);
    assert_eq!(group(&gateway, "import").get("batch_job_consecutive_failures", &[]), Some(1.0));
    assert!(end(&gateway, &state, &["err"]).log_lines.is_empty());
}

#[test]
fn locked_history_costs_one_warning_with_a_remedy() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    end(&gateway, &state, &["err"]);
    let lock = std::fs::File::create(state.path().join("history/.lock")).unwrap();
    lock.lock().unwrap();
    let ended = end(&gateway, &state, &["err"]);
    let [line] = &ended.log_lines[..] else { panic!("{ended:?}") };
    assert!(
        line.contains("cannot lock the history in") && line.contains("; end a process"),
        "{line}"
    );
    group(&gateway, "import").assert_outcome("error");
    assert_eq!(history(state.path(), "import").runs().len(), 1);
}

#[test]
fn group_without_a_machine_label_has_a_streak_and_no_totals() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    for failures in [1.0, 2.0] {
        let command = ending("import", &gateway.url(), &["err"]);
        let ended = command.variable("METRICS_PUSH_STATE_DIR", state.path()).run_to_end();
        assert!(ended.log_lines.is_empty(), "{ended:?}");
        let group = gateway.group("import", &[]);
        assert_eq!(group.get("batch_job_consecutive_failures", &[]), Some(failures));
        assert_eq!(runs_total(&group, "error"), None);
    }
}

#[test]
fn cumulative_job_without_a_state_directory_is_reported() {
    let gateway = FakeGateway::start();
    let ended = ending("import", &gateway.url(), &["cumulative", "ok"]).run_to_end();
    let [line] = &ended.log_lines[..] else { panic!("{ended:?}") };
    assert!(line.contains("the job import do not add up over runs, because there is no"), "{line}");
    gateway.group("import", &[]).assert_outcome("success");
}

/// Starts a proxy that holds the first `PUT` request. The receiver gets a message when it has arrived, and it is forwarded
/// when the sender is dropped.
fn holding_proxy(gateway: SocketAddr) -> (RawServer, Receiver<()>, Sender<()>) {
    let (arrived, has_arrived) = channel();
    let (release, is_released) = channel::<()>();
    let mut hold = Some((arrived, is_released));
    let proxy = RawServer::start(move |job| {
        let hold = hold.take();
        thread::spawn(move || forward(job, gateway, hold));
        None
    });
    (proxy, has_arrived, release)
}

fn forward(mut job: TcpStream, gateway: SocketAddr, hold: Option<(Sender<()>, Receiver<()>)>) {
    let mut to_gateway = TcpStream::connect(gateway).unwrap();
    let (mut from_gateway, mut to_job) =
        (to_gateway.try_clone().unwrap(), job.try_clone().unwrap());
    thread::spawn(move || io::copy(&mut from_gateway, &mut to_job));
    let mut hold = hold;
    let mut buffer = vec![0; 1 << 20];
    while let Ok(length @ 1..) = job.read(&mut buffer) {
        let request = &buffer[..length];
        if request.starts_with(b"PUT ")
            && let Some((arrived, is_released)) = hold.take()
        {
            arrived.send(()).unwrap();
            let _ = is_released.recv();
        }
        if to_gateway.write_all(request).is_err() {
            return;
        }
    }
}

#[test]
fn totals_that_arrive_late_do_not_replace_newer_ones() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let (proxy, has_arrived, release) = holding_proxy(gateway.address());
    let start = |url: &str| {
        let command = ending("import", url, &["ok"]).variable("METRICS_PUSH_INSTANCE", "a");
        command.variable("METRICS_PUSH_STATE_DIR", state.path()).start()
    };
    let late = start(&proxy.url());
    has_arrived.recv_timeout(Duration::from_secs(30)).unwrap();
    assert!(start(&gateway.url()).wait().status.success());
    assert_eq!(runs_total(&group(&gateway, "import"), "success"), Some(2.0));
    drop(release);
    assert!(late.wait().status.success());
    let group = group(&gateway, "import");
    assert_eq!(runs_total(&group, "success"), Some(2.0));
    assert_eq!(group.get("batch_job_records_total", &[("result", "processed")]), Some(14.0));
    group.assert_value("batch_job_consecutive_successes", &[], 2.0);
}
