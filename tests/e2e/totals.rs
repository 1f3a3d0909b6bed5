//! Totals over runs: `increase()` in a real Prometheus equals the number of runs, although processes are killed between the
//! write of the history, the push and its acknowledgement, and although two processes end at the same time.

use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use metrics_push::{Config, FinishedRun, GroupingKey, Outcome, RunHistory};

use crate::child::{FinishedJob, JobCommand, PanicStrategy, job};
use crate::real::{Prometheus, Pushgateway};
use crate::state_dir::StateDir;

/// The system calls at which jobs are killed: those on the files of the state directory, and those on the connection.
const CALLS: [&str; 7] = [
    "flock",
    "write",
    "/^rename",
    "/^unlink",
    "connect",
    "/^(writev|send(to|msg))$",
    "/^recv(from|msg)$",
];

/// The number of calls of one kind at which a job is killed. Together with the pairs, there are more than 50 runs.
const MAX_CALLS: usize = 6;

const PAIRS: usize = 10;

const SCRAPE_INTERVAL: Duration = Duration::from_millis(200);

struct Setup {
    gateway: Pushgateway,
    prometheus: Prometheus,
    state: StateDir,
}

impl Setup {
    fn new() -> Self {
        let gateway = Pushgateway::start();
        let prometheus = Prometheus::scraping(gateway.address(), SCRAPE_INTERVAL);
        Self { gateway, prometheus, state: StateDir::new() }
    }

    fn job(&self) -> JobCommand {
        let command = job(PanicStrategy::Unwind, &["ready"]).gateway(&self.gateway.url());
        let command = command.variable("METRICS_PUSH_JOB", "import");
        let command = command.variable("METRICS_PUSH_INSTANCE", "a");
        command.variable("METRICS_PUSH_STATE_DIR", self.state.path())
    }

    /// Runs a job that is killed at this call.
    fn kill_at(&self, call: &str, number: usize) -> FinishedJob {
        let kill = format!("inject={call}:signal=KILL:when={number}");
        let tracer = ["strace", "--follow-forks", "--quiet=all", "--output=/dev/null"];
        let launcher: Vec<_> = tracer.into_iter().chain(["-e", &kill]).collect();
        self.job().within(&launcher).run_to_end()
    }

    fn history(&self) -> RunHistory {
        let _scope = Config::default().state_dir(self.state.path()).scope().unwrap();
        let key = GroupingKey::new("import").unwrap().label("instance", "a").unwrap();
        metrics_push::history(&key).unwrap()
    }

    /// Waits until Prometheus has this total, which it has at the end.
    fn wait_for_total(&self, total: usize) {
        let expected = total as f64;
        self.prometheus
            .wait_for("sum(batch_job_runs_total)", |found| found.iter().any(|it| it.1 == expected));
    }

    /// Returns the first result. A scrape that fails on a busy machine leaves a moment without any.
    fn query(&self, expression: &str) -> f64 {
        self.prometheus.wait_for(expression, |found| !found.is_empty())[0].1
    }
}

#[test]
fn increase_equals_the_number_of_runs_although_processes_are_killed() {
    let setup = Setup::new();
    assert!(setup.job().run_to_end().status.success());
    setup.wait_for_total(1);
    let mut ready = 1;
    for call in CALLS {
        let mut killed = 0;
        for number in 1..=MAX_CALLS {
            let ended = setup.kill_at(call, number);
            assert!(ended.status.success() || ended.status.signal() == Some(9), "{ended:?}");
            ready += usize::from(ended.stdout.contains("ready"));
            killed += usize::from(!ended.status.success());
        }
        // How many calls of a kind one thread makes depends on the threads of the system.
        assert!(killed > 0, "{call}");
    }
    for _ in 0..PAIRS {
        let pair = [setup.job().start(), setup.job().start()];
        ready += pair.map(|job| usize::from(job.wait().status.success())).iter().sum::<usize>();
    }
    // The last run reports the runs that were killed before it.
    while !setup.state.journals().is_empty() {
        ready += usize::from(setup.job().run_to_end().status.success());
    }
    ready += usize::from(setup.job().run_to_end().status.success());

    let history = setup.history();
    let runs = history.runs().len();
    // A process can be killed after its start is in the journal and before it prints anything.
    assert!(runs >= ready && runs > 50, "{runs} runs, {ready} ready");
    setup.wait_for_total(runs);
    assert_eq!(setup.query("sum(resets(batch_job_runs_total[1h]))"), 0.0);
    // The first scrape is not an increase. Prometheus extrapolates by half of the time between two scrapes before the first
    // scrape, and by up to 1.1 times this time after the last one.
    let truth = (runs - 1) as f64;
    let scrapes = setup.query("min(count_over_time(batch_job_runs_total[1h]))");
    let extrapolated = truth * (1.0 + 1.6 / (scrapes - 1.0));
    let increase = setup.query("sum(increase(batch_job_runs_total[1h]))");
    let range = truth - 1e-6..=extrapolated + 1e-6;
    assert!(range.contains(&increase), "{increase} of {runs}, {scrapes} scrapes");
    let difference =
        "max_over_time(batch_job_runs_total[1h]) - min_over_time(batch_job_runs_total[1h])";
    assert_eq!(setup.query(&format!("sum({difference})")), truth);
    for outcome in [Outcome::Success, Outcome::Abandoned] {
        let count = history.runs().iter().filter(|run| run.outcome() == outcome).count();
        let total = setup.query(&format!("batch_job_runs_total{{outcome=\"{outcome}\"}}"));
        assert_eq!(total, count as f64, "{outcome}");
    }
    let records: u64 =
        history.runs().iter().filter_map(FinishedRun::records).map(|it| it.processed).sum();
    assert_eq!(setup.query("batch_job_records_total{result=\"processed\"}"), records as f64);
}
