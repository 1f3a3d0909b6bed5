//! Measures the cost of a supervisor for a job that does nothing, and the cost of starting a run for the calling thread.
//!
//! ```sh
//! cargo bench -p metrics-push-benches --bench endings
//! ```
//!
//! The programs run in turn, so that other load on the machine affects all of them; their medians are compared. `one_shot`
//! compares the job without a supervisor with other clients.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use metrics_push::testing::FakeGateway;
use metrics_push::{Config, Job, Outcome, flush};

const ROUNDS: usize = 200;

const NOTHING: &str = env!("CARGO_BIN_EXE_bench_nothing");
const NOTHING_SUPERVISED: &str = env!("CARGO_BIN_EXE_bench_nothing_supervised");

struct Program {
    name: &'static str,
    path: PathBuf,
    variables: Vec<(&'static str, String)>,
    times: Vec<Duration>,
}

impl Program {
    fn new(name: &'static str, path: &str, variables: &[(&'static str, &str)]) -> Self {
        let variables =
            variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Self { name, path: path.into(), variables, times: Vec::new() }
    }

    fn run(&mut self) {
        let mut command = Command::new(&self.path);
        command.env_clear().env("METRICS_PUSH_STATE_DIR", "off");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let started = Instant::now();
        let status = command.stdin(Stdio::null()).stderr(Stdio::null()).status();
        self.times.push(started.elapsed());
        assert!(
            status.unwrap_or_else(|error| panic!("{}: {error}", self.path.display())).success()
        );
    }

    fn median(&self) -> Duration {
        let mut times = self.times.clone();
        times.sort();
        times[times.len() / 2]
    }
}

/// Runs the programs in turn and prints the median of each, with its ratio to that of the first program.
fn compare(title: &str, programs: &mut [Program]) {
    for _ in 0..ROUNDS {
        programs.iter_mut().for_each(Program::run);
    }
    println!("\n{title}");
    let first = programs[0].median();
    for program in programs {
        let (median, ratio) =
            (program.median(), program.median().as_secs_f64() / first.as_secs_f64());
        println!("  {:<44} {median:>10.2?}  {ratio:>5.2} times", program.name);
    }
}

/// Prints the median duration of [`Job::start`], after the first run of the process.
fn measure_start(name: &str, config: Config, job: &Job, rounds: usize) {
    let _scope = config.scope().unwrap();
    let mut times: Vec<_> = (0..rounds)
        .map(|_| {
            let started = Instant::now();
            let run = job.start();
            let duration = started.elapsed();
            run.finish(Outcome::Success);
            flush(Duration::from_secs(10));
            duration
        })
        .collect();
    times.sort();
    println!("  {name:<44} {:>10.2?}", times[rounds / 2]);
}

fn main() {
    let gateway = FakeGateway::start();
    let state = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-state");
    std::fs::create_dir_all(&state).unwrap();
    let url = ("METRICS_PUSH_URL", &*gateway.url());
    let state_dir = ("METRICS_PUSH_STATE_DIR", state.to_str().unwrap());
    compare(
        "with an idle gateway and a state directory",
        &mut [
            Program::new("#[push_job]", NOTHING, &[url, state_dir]),
            Program::new("#[push_job(supervise)]", NOTHING_SUPERVISED, &[url, state_dir]),
        ],
    );
    compare(
        "without a gateway",
        &mut [
            Program::new("#[push_job]", NOTHING, &[]),
            Program::new("#[push_job(supervise)]", NOTHING_SUPERVISED, &[]),
        ],
    );
    println!("\nstart of a run");
    let (task, durable) = (Job::with_name("task"), Job::with_name("durable").durable_journal());
    let config = || Config::default().url(gateway.url()).unwrap();
    measure_start("without a state directory", config(), &task, 2_000);
    measure_start("with a state directory", config().state_dir(&state), &task, 2_000);
    measure_start("with a durable journal", config().state_dir(&state), &durable, 200);
    std::fs::remove_dir_all(&state).unwrap();
}
