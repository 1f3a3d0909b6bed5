//! Measures many runs per minute: simulated schedulers send to one kind of server, whose content is then compared with a
//! model.
//!
//! `cargo run --release -p metrics-push-benches --features remote-write --bin load -- victoria-metrics 1000 10000 100000`
//! prints one row for each number of runs per minute. The kinds are `prometheus`, `victoria-metrics`, `pushgateway`, and
//! `shards-N` for a ring of N gateways.
//!
//! Options, before the kind: `--seconds` of each row, `--schedulers`, `--groups` of all schedulers, `--restarts` of each
//! scheduler, `--batch` seconds, and `--state` for a state directory. Groups are selected with the frequencies of Zipf's law,
//! and one run in ten fails.

mod process;
mod scheduler;
mod server;

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use metrics_push_benches::Table;
use scheduler::Plan;
use serde_json::Value;
use server::{LastRuns, Servers};

/// The first argument of a process that is a scheduler.
const SCHEDULER: &str = "--scheduler";

/// The distance of the first runs of a scheduler before and after a restart.
const RUNS_PER_LIFE: u64 = 1 << 32;

/// How long the server may take to show the last samples.
const VISIBLE_TIMEOUT: Duration = Duration::from_secs(60);

struct Options {
    seconds: f64,
    schedulers: usize,
    groups: usize,
    restarts: u64,
    batch_seconds: f64,
    has_state: bool,
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [SCHEDULER, plan @ ..] = &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        return scheduler::run(&plan_from(plan));
    }
    let (options, rest) = options(&arguments);
    let [kind, rates @ ..] = rest else { panic!("usage: load [OPTIONS] KIND RUNS_PER_MINUTE...") };
    let mut table = Table::new(&[
        "sink",
        "runs/min asked",
        "reached",
        "groups",
        "p50 ms",
        "p99 ms",
        "client µs/run",
        "server µs/run",
        "client MiB",
        "server MiB",
        "unfinished",
        "wrong groups",
    ]);
    for rate in rates {
        let rate: f64 = rate.parse().expect("the number of runs is a number");
        table.row(&measure(kind, rate, &options));
    }
    println!("{table}");
}

fn options(arguments: &[String]) -> (Options, &[String]) {
    let mut options = Options {
        seconds: 60.0,
        schedulers: 4,
        groups: 5_000,
        restarts: 1,
        batch_seconds: 0.0,
        has_state: false,
    };
    let mut rest = arguments;
    while let [option, value, others @ ..] = rest
        && option.starts_with("--")
    {
        let number = || value.parse::<f64>().expect("the value of an option is a number");
        rest = others;
        match option.as_str() {
            "--seconds" => options.seconds = number(),
            "--schedulers" => options.schedulers = number() as usize,
            "--groups" => options.groups = number() as usize,
            "--restarts" => options.restarts = number() as u64,
            "--batch" => options.batch_seconds = number(),
            "--state" => options.has_state = number() > 0.0,
            _ => panic!("unknown option {option}"),
        }
    }
    (options, rest)
}

/// Returns the row of one rate.
fn measure(kind: &str, runs_per_minute: f64, options: &Options) -> Vec<String> {
    let servers = Servers::start(kind);
    let cpu_before = servers.cpu_seconds();
    let state = std::env::temp_dir().join(format!("load-state-{}", std::process::id()));
    let reports: Vec<Value> = thread::scope(|scope| {
        let schedulers: Vec<_> = (0..options.schedulers)
            .map(|number| {
                let (url, state) = (servers.url(), state.clone());
                scope.spawn(move || live(number, runs_per_minute, options, &url, &state))
            })
            .collect();
        schedulers.into_iter().flat_map(|it| it.join().expect("a scheduler panicked")).collect()
    });
    let _ = std::fs::remove_dir_all(&state);
    let server_cpu = servers.cpu_seconds() - cpu_before;
    let number = |report: &Value, name: &str| report[name].as_f64().unwrap_or_default();
    let sum = |name| reports.iter().map(|report| number(report, name)).sum::<f64>();
    let max = |name| reports.iter().map(|report| number(report, name)).fold(0.0, f64::max);
    let mut latencies: Vec<_> = reports
        .iter()
        .flat_map(|report| report["latencies"].as_array().into_iter().flatten())
        .filter_map(Value::as_f64)
        .collect();
    latencies.sort_by(f64::total_cmp);
    let quantile = |q: f64| latencies[((latencies.len() - 1) as f64 * q) as usize];
    let model = model(&reports);
    let runs = sum("runs");
    let lives = (options.restarts + 1) as f64;
    vec![
        kind.to_owned(),
        format!("{runs_per_minute:.0}"),
        format!("{:.0}", runs * 60.0 / (sum("seconds") / options.schedulers as f64)),
        model.len().to_string(),
        format!("{:.1}", quantile(0.5)),
        format!("{:.1}", quantile(0.99)),
        format!("{:.0}", sum("cpu_seconds") * 1e6 / runs),
        format!("{:.0}", server_cpu * 1e6 / runs),
        format!("{:.0} to {:.0}", sum("early_mib") / lives, sum("late_mib") / lives),
        format!("{:.0}", servers.resident_mib()),
        format!("{:.0}", max("unfinished")),
        wrong_groups(&servers, &model).to_string(),
    ]
}

/// Runs a scheduler and its restarts in turn, and returns their reports.
fn live(
    number: usize,
    runs_per_minute: f64,
    options: &Options,
    url: &str,
    state: &std::path::Path,
) -> Vec<Value> {
    let lives = options.restarts + 1;
    let life = |life: u64| {
        let plan = [
            number as f64,
            (options.groups / options.schedulers) as f64,
            runs_per_minute / 60.0 / options.schedulers as f64,
            options.seconds / lives as f64,
            (life * RUNS_PER_LIFE + 1) as f64,
            options.batch_seconds,
        ];
        let mut command = Command::new(std::env::current_exe().expect("the program has a path"));
        command.arg(SCHEDULER).args(plan.map(|it| it.to_string())).stderr(Stdio::inherit());
        command.env("METRICS_PUSH_URL", url).env("METRICS_PUSH_TIMEOUT", "60s");
        if options.has_state {
            command.env("METRICS_PUSH_STATE_DIR", state.join(number.to_string()));
        } else {
            command.env("METRICS_PUSH_STATE_DIR", "off");
        }
        let output = command.output().expect("the program starts");
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).expect("a scheduler prints JSON")
    };
    let mut reports: Vec<Value> = (0..lives).map(life).collect();
    reports.iter_mut().for_each(|report| report["scheduler"] = number.into());
    reports
}

fn plan_from(arguments: &[&str]) -> Plan {
    let numbers: Vec<f64> =
        arguments.iter().map(|it| it.parse().expect("the plan has numbers")).collect();
    let [scheduler, groups, runs_per_second, seconds, first_run, batch_seconds] = numbers[..]
    else {
        panic!("the plan has six numbers")
    };
    let interval = Duration::from_secs_f64(batch_seconds);
    Plan {
        scheduler: scheduler as usize,
        groups: groups as usize,
        runs_per_second,
        duration: Duration::from_secs_f64(seconds),
        first_run: first_run as u64,
        batch_interval: (!interval.is_zero()).then_some(interval),
    }
}

/// Returns what the servers must store, by the reports of the schedulers in their order.
fn model(reports: &[Value]) -> LastRuns {
    let mut model = LastRuns::new();
    for report in reports {
        let groups: BTreeMap<String, [u64; 2]> =
            serde_json::from_value(report["groups"].clone()).unwrap_or_default();
        for (group, [run, success]) in groups {
            let entry = model.entry((report["scheduler"].to_string(), group)).or_default();
            *entry = (run, success.max(entry.1));
        }
    }
    model
}

/// Returns the number of groups that differ from the model, once the server shows all samples or the timeout has passed.
fn wrong_groups(servers: &Servers, model: &LastRuns) -> usize {
    let deadline = Instant::now() + VISIBLE_TIMEOUT;
    loop {
        let stored = servers.last_runs();
        let wrong = model.iter().filter(|(id, runs)| stored.get(*id) != Some(*runs)).count();
        if wrong == 0 || Instant::now() > deadline {
            return wrong;
        }
        thread::sleep(Duration::from_millis(200));
    }
}
