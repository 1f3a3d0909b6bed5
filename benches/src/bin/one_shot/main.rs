//! Measures whole processes that push to a real Pushgateway, and compares jobs with the clients that they replace.
//!
//! ```sh
//! cargo run --release -p metrics-push-benches --bin one_shot -- build   # builds the programs and measures the builds
//! cargo run --release -p metrics-push-benches --bin one_shot            # runs the programs
//! ```
//!
//! Each program is a separate package in `peers/`, so that it has only its own dependencies and features. Clients and tools
//! that are not installed (`go` with the client's sources, Python's `prometheus_client`, curl, valgrind) are listed as missing.
//!
//! The programs run in turn, so that other load on the machine affects all of them. The tables show medians; ratios are
//! computed per round.
//!
//! The lower bound is `raw`, which sends the same bytes as the job over one socket: a listener records the requests of a
//! job that works for a while, its start and its completion. A job that does nothing finishes before its start is sent, and
//! sends only its completion. So after each process the bench reads the number of pushes from the gateway, and compares
//! each run of the job with a run of `raw` with the same number of pushes.
//!
//! Wall time is measured from before the process is spawned until `wait4` returns. CPU time and maximum resident
//! size come from `wait4`; instructions are those in user mode under callgrind. All programs run from copies, like
//! installed programs. Run from the linker's own output, identical files differ by up to 10 % between builds.

mod packages;
mod recording;

use std::path::{Path, PathBuf};
use std::process::Command;

use metrics_push_benches::pushgateway::{Pushgateway, free_address};
use metrics_push_benches::usage::{Usage, measure, millions_of_instructions};
use metrics_push_benches::{Table, median, median_ratio};

const ROUNDS: usize = 61;

/// How long the working job works, in milliseconds.
const WORK: &str = "5";

/// A row of the table: a program and its measured runs.
struct Row {
    name: &'static str,
    /// Builds the command. `None` if the program is not installed.
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

    fn values(&self, value: fn(&Usage) -> f64) -> Vec<f64> {
        self.runs.iter().map(value).collect()
    }

    fn pushes_per_run(&self) -> f64 {
        let pushes: u32 = self.runs.iter().map(|usage| usage.pushes).sum();
        f64::from(pushes) / self.runs.len() as f64
    }

    fn median(&self, value: fn(&Usage) -> f64) -> f64 {
        median(&self.values(value))
    }
}

fn wall(usage: &Usage) -> f64 {
    usage.wall_ms
}

/// Returns the command of the job with only these variables set.
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
        std::fs::copy(&path, &copy).expect("the program has been built");
        copy
    };
    let [raw, with_tls, without_tls, reqwest_lean, prometheus_push] =
        ["raw", "job", "job_without_tls", "reqwest_lean", "prometheus_push"]
            .map(|name| installed(name, packages::program(name)));
    let requests = recording::record(&with_tls, WORK, folder);
    let [start, completion] = requests.each_ref().map(|path| path.to_str().unwrap());
    let body = folder.join("body");
    std::fs::write(&body, recording::body_of(&requests[1])).unwrap();
    let body = body.to_str().unwrap();
    let (address, url) = (&*gateway.address().to_string(), &*gateway.url());
    let target = ("METRICS_PUSH_URL", url);
    let state = folder.join("state");
    let state = ("METRICS_PUSH_STATE_DIR", state.to_str().unwrap());
    let working_job = job(&with_tls, &[target]);
    let curl_options = ["-sS", "--fail", "-X", "PUT", "--data-binary"];
    let curl_target = [&format!("@{body}")[..], &format!("{url}/metrics/job/curl")[..]];
    let curl = packages::is_installed("curl").then(|| {
        Row::new(CURL, program(Path::new("curl"), &[&curl_options[..], &curl_target[..]].concat()))
    });
    let go = packages::go_client()
        .map(|path| Row::new(GO, program(&installed("go_client", path), &[url])));
    let python = packages::python()
        .map(|path| Row::new(PYTHON, program(Path::new(path), &[packages::PYTHON_CLIENT, url])));
    vec![
        Row::new("bare, no push", program(&raw, &[])),
        Row::new(RAW_ONE, program(&raw, &[address, "0", completion])),
        Row::new(RAW_TWO, program(&raw, &[address, "0", start, completion])),
        Row::new(JOB, job(&with_tls, &[target])),
        Row::new(JOB_PLAIN, job(&without_tls, &[target])),
        Row::new("job, state directory", job(&with_tls, &[target, state])),
        Row::new(JOB_UNSET, job(&with_tls, &[])),
        Row::new(RAW_WORK, program(&raw, &[address, WORK, start, completion])),
        Row::new(JOB_WORK, move || {
            let mut command = working_job();
            command.arg(WORK);
            command
        }),
        Row::new("`reqwest` by hand, minimal features", program(&reqwest_lean, &[url, body])),
        Row::new("`prometheus` crate's push", program(&prometheus_push, &[url])),
        curl.unwrap_or_else(|| Row::missing(CURL)),
        go.unwrap_or_else(|| Row::missing(GO)),
        python.unwrap_or_else(|| Row::missing(PYTHON)),
    ]
}

const RAW_ONE: &str = "raw socket, completion";
const RAW_TWO: &str = "raw socket, start and completion";
const RAW_WORK: &str = "raw socket, start, 5 ms of work, completion";
const JOB: &str = "job";
const JOB_PLAIN: &str = "job, built without TLS";
const JOB_UNSET: &str = "job, no URL";
const JOB_WORK: &str = "job, 5 ms of work";
const CURL: &str = "curl";
const GO: &str = "Go client";
const PYTHON: &str = "Python client";

fn run_rounds(rows: &mut [Row], gateway: &Pushgateway) {
    for round in 0..=ROUNDS {
        for row in &mut *rows {
            let Some(start) = &row.start else { continue };
            let before = gateway.pushes();
            let mut usage = measure(start());
            usage.pushes = gateway.pushes() - before;
            // The first round warms the caches.
            if round > 0 {
                row.runs.push(usage);
            }
        }
    }
}

fn print_usage(rows: &[Row]) {
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

/// Returns the median ratio of the job's wall time to that of `raw`, with the same number of pushes in the same round.
fn ratio_at_same_pushes(job: &Row, one: &Row, two: &Row) -> f64 {
    let ratio = |(round, usage): (usize, &Usage)| {
        let basis = if usage.pushes == 1 { one } else { two };
        usage.wall_ms / basis.runs[round].wall_ms
    };
    median(&job.runs.iter().enumerate().map(ratio).collect::<Vec<_>>())
}

fn print_targets(rows: &[Row]) {
    let row = |name: &str| rows.iter().find(|row| row.name == name).expect("the row exists");
    let ratio =
        |name: &str, basis: &str| median_ratio(&row(name).values(wall), &row(basis).values(wall));
    let mut table = Table::new(&["job", "measured", "at most", ""]);
    let [one, two] = [RAW_ONE, RAW_TWO].map(row);
    table.ratio(
        "wall / raw socket, same number of pushes",
        ratio_at_same_pushes(row(JOB), one, two),
        1.25,
    );
    table.ratio(
        "the same ratio, built without TLS",
        ratio_at_same_pushes(row(JOB_PLAIN), one, two),
        1.25,
    );
    table.ratio("wall / raw socket, start and completion", ratio(JOB, RAW_TWO), 1.5);
    table.ratio("wall / raw socket, 5 ms of work", ratio(JOB_WORK, RAW_WORK), 1.25);
    if row(GO).start.is_some() {
        table.ratio("wall / Go client", ratio(JOB, GO), 0.5);
    }
    table.ratio("pushes of a run that does nothing", row(JOB).pushes_per_run(), 1.1);
    let unset = row(JOB_UNSET).median(wall) - row("bare, no push").median(wall);
    table.ratio("no URL, wall above bare, ms", unset, 1.0);
    table.ratio("CPU, ms", row(JOB).median(|usage| usage.cpu_ms), 2.0);
    table.ratio("resident, MiB", row(JOB).median(|usage| usage.resident_mib), 5.0);
    let start = row(JOB).start.as_ref().expect("the job is built");
    if let Some(millions) = millions_of_instructions(&start()) {
        table.ratio("instructions, M", millions, 1.5);
    }
    let unreachable = format!("http://{}", free_address());
    let variables = [("METRICS_PUSH_URL", &*unreachable), ("METRICS_PUSH_TIMEOUT", "1s")];
    let refused = measure(job(&packages::program("job"), &variables)());
    table.ratio("unreachable gateway, timeout of 1000 ms, wall, ms", refused.wall_ms, 1000.0);
    println!("{table}");
}

fn compare() {
    let gateway = Pushgateway::start();
    let folder = std::env::temp_dir().join(format!("one-shot-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the temporary folder is writable");
    let mut rows = rows(&gateway, &folder);
    run_rounds(&mut rows, &gateway);
    print_usage(&rows);
    print_targets(&rows);
    std::fs::remove_dir_all(&folder).expect("the folder can be removed");
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("build") => packages::build(&arguments[1..]),
        _ => compare(),
    }
}
