//! What a job pays for being watched: whole processes that push to a real Pushgateway, beside what they replace.
//!
//! ```sh
//! cargo run --release -p metrics-push-benches --bin one_shot -- build   # the programs, from nothing: what that costs
//! cargo run --release -p metrics-push-benches --bin one_shot            # what they cost when they run
//! ```
//!
//! The programs are packages of their own in `peers/`, so that each has its own dependencies and features only. What is
//! not installed (`go` with the client's sources, Python's `prometheus_client`, curl, valgrind) is said to be missing.
//!
//! The programs take turns, so that a busy machine is as busy for each, and ratios are taken round by round; the tables
//! show medians. The limit is a program that sends the very bytes that the job sends: a recording listener takes down the
//! requests of a job that works for a while, its start and its end, and `raw` writes them to one socket. A job that does
//! nothing is over before its start has left, and then its end is its only request; so the gateway is asked after each
//! process how many pushes it has seen, and each run of the job is compared with a raw one of as many. Time that
//! passes is taken from before the process is made until it has been waited for, processor time and the largest
//! resident size from that wait; instructions are those of user mode under callgrind. All programs are copies, as those
//! are that were installed: in how a linker leaves a file in memory the same bytes differ by a tenth from build to build.

mod packages;
mod recording;
mod usage;

use std::path::{Path, PathBuf};
use std::process::Command;

use metrics_push_benches::pushgateway::{Pushgateway, free_address};
use metrics_push_benches::{Table, median, median_ratio};
use usage::{Usage, millions_of_instructions, usage_of};

const ROUNDS: usize = 61;

/// How long the job works that is not over at once, in milliseconds.
const WORK: &str = "5";

/// A program, and what is needed to start it; `None`, if that is not installed.
struct Row {
    name: &'static str,
    start: Option<Box<dyn Fn() -> Command>>,
    runs: Vec<Usage>,
}

impl Row {
    fn new(name: &'static str, start: impl Fn() -> Command + 'static) -> Self {
        Self { name, start: Some(Box::new(start)), runs: Vec::new() }
    }

    fn missing(name: &'static str) -> Self {
        Self { name, start: None, runs: Vec::new() }
    }

    fn all(&self, of: fn(&Usage) -> f64) -> Vec<f64> {
        self.runs.iter().map(of).collect()
    }

    fn pushes_per_run(&self) -> f64 {
        let pushes: u32 = self.runs.iter().map(|usage| usage.pushes).sum();
        f64::from(pushes) / self.runs.len() as f64
    }

    fn median(&self, of: fn(&Usage) -> f64) -> f64 {
        median(&self.all(of))
    }
}

fn wall(usage: &Usage) -> f64 {
    usage.wall_ms
}

/// The job, for which only these variables are set.
fn job(program: &Path, variables: &[(&'static str, &str)]) -> impl Fn() -> Command + use<> {
    let program = program.to_owned();
    let variables: Vec<_> =
        variables.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    move || {
        let mut command = Command::new(&program);
        command.env_clear().env("METRICS_PUSH_STATE_DIR", "off");
        command.envs(variables.iter().map(|(name, value)| (name, value)));
        command
    }
}

fn program(path: &Path, arguments: &[&str]) -> impl Fn() -> Command + use<> {
    let path = path.to_owned();
    let arguments: Vec<_> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    move || {
        let mut command = Command::new(&path);
        command.env_clear().args(&arguments);
        command
    }
}

fn rows(gateway: &Pushgateway, folder: &Path) -> Vec<Row> {
    let installed = |name: &str, path: PathBuf| {
        let copy = folder.join(name);
        std::fs::copy(&path, &copy).expect("a program that has been built");
        copy
    };
    let [raw, with_tls, without_tls, reqwest_lean, prometheus_push] =
        ["raw", "job", "job_without_tls", "reqwest_lean", "prometheus_push"]
            .map(|name| installed(name, packages::program(name)));
    let requests = recording::record(&with_tls, WORK, folder);
    let [start, end] = requests.each_ref().map(|path| path.to_str().unwrap());
    let body = folder.join("body");
    std::fs::write(&body, recording::body_of(&requests[1])).unwrap();
    let body = body.to_str().unwrap();
    let (address, url) = (&*gateway.address().to_string(), &*gateway.url());
    let target = ("METRICS_PUSH_URL", url);
    let state = folder.join("state");
    let state = ("METRICS_PUSH_STATE_DIR", state.to_str().unwrap());
    let works = job(&with_tls, &[target]);
    let pushes_by_curl = ["-sS", "--fail", "-X", "PUT", "--data-binary"];
    let to_curl = [&format!("@{body}")[..], &format!("{url}/metrics/job/curl")[..]];
    let curl = packages::is_installed("curl").then(|| {
        Row::new(CURL, program(Path::new("curl"), &[&pushes_by_curl[..], &to_curl[..]].concat()))
    });
    let go = packages::go_client()
        .map(|path| Row::new(GO, program(&installed("go_client", path), &[url])));
    let python = packages::python()
        .map(|path| Row::new(PYTHON, program(Path::new(path), &[packages::PYTHON_CLIENT, url])));
    vec![
        Row::new("bare, no pushes", program(&raw, &[])),
        Row::new(RAW_ONE, program(&raw, &[address, "0", end])),
        Row::new(RAW_TWO, program(&raw, &[address, "0", start, end])),
        Row::new(JOB, job(&with_tls, &[target])),
        Row::new(JOB_PLAIN, job(&without_tls, &[target])),
        Row::new("job, state directory", job(&with_tls, &[target, state])),
        Row::new(JOB_UNSET, job(&with_tls, &[])),
        Row::new(RAW_WORK, program(&raw, &[address, WORK, start, end])),
        Row::new(JOB_WORK, move || {
            let mut command = works();
            command.arg(WORK);
            command
        }),
        Row::new("`reqwest` lean, by hand", program(&reqwest_lean, &[url, body])),
        Row::new("`prometheus` crate's push", program(&prometheus_push, &[url])),
        curl.unwrap_or_else(|| Row::missing(CURL)),
        go.unwrap_or_else(|| Row::missing(GO)),
        python.unwrap_or_else(|| Row::missing(PYTHON)),
    ]
}

const RAW_ONE: &str = "raw socket, the end alone";
const RAW_TWO: &str = "raw socket, start and end";
const RAW_WORK: &str = "raw socket, start, 5 ms of work, end";
const JOB: &str = "job";
const JOB_PLAIN: &str = "job, built without TLS";
const JOB_UNSET: &str = "job, no URL";
const JOB_WORK: &str = "job, 5 ms of work";
const CURL: &str = "curl";
const GO: &str = "Go client";
const PYTHON: &str = "Python client";

fn measure(rows: &mut [Row], gateway: &Pushgateway) {
    for round in 0..=ROUNDS {
        for row in &mut *rows {
            let Some(start) = &row.start else { continue };
            let before = gateway.pushes();
            let mut usage = usage_of(start());
            usage.pushes = gateway.pushes() - before;
            // The first round finds nothing in the caches.
            if round > 0 {
                row.runs.push(usage);
            }
        }
    }
}

fn show(rows: &[Row]) {
    let mut table = Table::new(&[
        "process",
        "wall, ms",
        "CPU, ms",
        "resident, MiB",
        "instructions, M",
        "pushes per run",
    ]);
    for row in rows {
        let Some(start) = &row.start else {
            table.row(&[row.name, "not installed", "", "", "", ""]);
            continue;
        };
        let number = |number: f64| format!("{number:.2}");
        table.row(&[
            row.name.to_owned(),
            number(row.median(wall)),
            number(row.median(|usage| usage.cpu_ms)),
            number(row.median(|usage| usage.resident_mib)),
            millions_of_instructions(&start()).map_or_else(|| "no valgrind".to_owned(), number),
            number(row.pushes_per_run()),
        ]);
    }
    println!("{table}");
}

/// What each run took of what a raw one of the same round took that made as many pushes.
fn of_same_pushes(job: &Row, one: &Row, two: &Row) -> f64 {
    let ratio = |(round, usage): (usize, &Usage)| {
        let basis = if usage.pushes == 1 { one } else { two };
        usage.wall_ms / basis.runs[round].wall_ms
    };
    median(&job.runs.iter().enumerate().map(ratio).collect::<Vec<_>>())
}

fn judge(rows: &[Row]) {
    let of = |name: &str| rows.iter().find(|row| row.name == name).expect("a row of that name");
    let ratio = |row: &str, basis: &str| median_ratio(&of(row).all(wall), &of(basis).all(wall));
    let mut table = Table::new(&["job", "measured", "at most", ""]);
    let [one, two] = [RAW_ONE, RAW_TWO].map(of);
    table.ratio("wall / raw socket, the same pushes", of_same_pushes(of(JOB), one, two), 1.25);
    table.ratio("the same, built without TLS", of_same_pushes(of(JOB_PLAIN), one, two), 1.25);
    table.ratio("wall / raw socket, start and end", ratio(JOB, RAW_TWO), 1.5);
    table.ratio("wall / raw socket, 5 ms of work", ratio(JOB_WORK, RAW_WORK), 1.25);
    if of(GO).start.is_some() {
        table.ratio("wall / Go client", ratio(JOB, GO), 0.5);
    }
    table.ratio("pushes of a run that is over at once", of(JOB).pushes_per_run(), 1.1);
    let unset = of(JOB_UNSET).median(wall) - of("bare, no pushes").median(wall);
    table.ratio("no URL, more than bare, ms", unset, 1.0);
    table.ratio("CPU, ms", of(JOB).median(|usage| usage.cpu_ms), 2.0);
    table.ratio("resident, MiB", of(JOB).median(|usage| usage.resident_mib), 5.0);
    let start = of(JOB).start.as_ref().expect("the job is there");
    if let Some(millions) = millions_of_instructions(&start()) {
        table.ratio("instructions, M", millions, 1.5);
    }
    let dead = format!("http://{}", free_address());
    let budget = [("METRICS_PUSH_URL", &*dead), ("METRICS_PUSH_TIMEOUT", "1s")];
    let refused = usage_of(job(&packages::program("job"), &budget)());
    table.ratio("dead gateway, budget of 1000 ms", refused.wall_ms, 1000.0);
    println!("{table}");
}

fn compare() {
    let gateway = Pushgateway::start();
    let folder = std::env::temp_dir().join(format!("one-shot-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    let mut rows = rows(&gateway, &folder);
    measure(&mut rows, &gateway);
    show(&rows);
    judge(&rows);
    std::fs::remove_dir_all(&folder).expect("our own folder");
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("build") => packages::build(&arguments[1..]),
        _ => compare(),
    }
}
