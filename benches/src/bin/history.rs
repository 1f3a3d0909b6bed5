//! Compares the ending of a run whose group has a full history with that of a run whose group has none.
//!
//! ```sh
//! cargo run --release -p metrics-push-benches --bin history
//! ```
//!
//! Each round ends runs of all groups in turn, in one process, and pushes them to a real Pushgateway. The file of the group
//! without a history is removed before each of its runs. CPU time is that of all threads of the process; `write` calls are
//! those of the process, which include the request. The ratios are medians over rounds.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use metrics_push::{Config, Job, Outcome};
use metrics_push_benches::pushgateway::Pushgateway;
use metrics_push_benches::{Table, median, median_ratio};

const ROUNDS: usize = 300;
/// The number of runs in a full history.
const MAX_RUNS: usize = 200;
/// The size of a long reason.
const REASON_SIZE: usize = 1_024;
const TIMEOUT: Duration = Duration::from_secs(30);
/// The CPU time and the writes of an ending with a history of runs without a reason, against one without a history.
const MAX_RATIO: f64 = 1.05;
const MAX_MORE_WRITES: f64 = 1.0;

/// What the history of a group contains.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    Nothing,
    Runs,
    RunsWithReasons,
}

/// A group and the costs of its endings.
struct Group {
    name: &'static str,
    content: Content,
    wall_us: Vec<f64>,
    cpu_us: Vec<f64>,
    writes: Vec<f64>,
}

impl Group {
    const fn new(name: &'static str, content: Content) -> Self {
        Self { name, content, wall_us: Vec::new(), cpu_us: Vec::new(), writes: Vec::new() }
    }

    fn end_run(&self) {
        let run = Job::new("task").start_with(&[("instance", &self.name)]);
        match self.content {
            Content::RunsWithReasons => run.fail(&"x".repeat(REASON_SIZE)),
            Content::Nothing | Content::Runs => run.finish(Outcome::Success),
        }
        assert_eq!(metrics_push::flush(TIMEOUT), 0, "a request is not settled");
    }

    fn measure(&mut self, state: &Path) {
        if self.content == Content::Nothing {
            remove_history(state, self.name);
        }
        let (started, cpu, writes) = (Instant::now(), cpu_us(), writes());
        self.end_run();
        self.wall_us.push(started.elapsed().as_secs_f64() * 1e6);
        self.cpu_us.push(cpu_us() - cpu);
        self.writes.push(self::writes() - writes);
    }
}

fn remove_history(state: &Path, instance: &str) {
    let label = format!("instance={instance}\n");
    let files = fs::read_dir(state.join("history")).expect("the folder exists");
    for file in files.map(|file| file.expect("the folder can be read").path()) {
        let text = fs::read_to_string(&file).unwrap_or_default();
        if text.contains(&label) {
            fs::remove_file(file).expect("the file can be removed");
        }
    }
}

#[expect(unsafe_code, reason = "`std` does not report CPU time")]
fn cpu_us() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live local.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    assert_eq!(result, 0, "the clock exists");
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

fn writes() -> f64 {
    let io = fs::read_to_string("/proc/self/io").expect("the kernel counts calls");
    let count = io.lines().find_map(|line| line.strip_prefix("syscw:"));
    count.and_then(|count| count.trim().parse().ok()).expect("a number")
}

fn main() {
    let gateway = Pushgateway::start();
    let state = std::env::temp_dir().join(format!("bench-history-{}", std::process::id()));
    let config = Config::default().url(gateway.url()).expect("the URL is valid").state_dir(&state);
    let scope = config.scope().expect("the configuration is valid");
    let mut groups = [
        Group::new("none", Content::Nothing),
        Group::new("runs", Content::Runs),
        Group::new("reasons", Content::RunsWithReasons),
    ];
    for group in &groups {
        (0..MAX_RUNS).for_each(|_| group.end_run());
    }
    for _ in 0..ROUNDS {
        groups.iter_mut().for_each(|group| group.measure(&state));
    }
    drop(scope);
    print(&groups);
    fs::remove_dir_all(&state).expect("the folder can be removed");
}

fn print(groups: &[Group]) {
    let mut table = Table::new(&["history", "wall, µs", "CPU, µs", "writes"]);
    for group in groups {
        let values = [&group.wall_us, &group.cpu_us, &group.writes];
        let medians = values.map(|values| format!("{:.0}", median(values)));
        table.row(&[&[group.name.to_owned()][..], &medians].concat());
    }
    println!("{table}");
    let [none, runs, reasons] = groups else { return };
    let mut table = Table::new(&["ending", "measured", "at most", ""]);
    table.ratio("CPU, 200 runs / none", median_ratio(&runs.cpu_us, &none.cpu_us), MAX_RATIO);
    table.ratio("wall, 200 runs / none", median_ratio(&runs.wall_us, &none.wall_us), MAX_RATIO);
    let more = median(&runs.writes) - median(&none.writes);
    table.ratio("writes, 200 runs - none", more, MAX_MORE_WRITES);
    let long = median_ratio(&reasons.cpu_us, &runs.cpu_us);
    table.row(&["CPU, 200 reasons of 1 KiB / 200 runs", &format!("{long:.2}"), "", ""]);
    println!("{table}");
}
