//! Measures many runs per minute: simulated schedulers send to one kind of server, whose content is then compared with a
//! model.
//!
//! `cargo run --release -p metrics-push-benches --features remote-write --bin load -- victoria-metrics 1000 10000 100000`
//! prints one row for each number of runs per minute. The kinds are `prometheus`, `victoria-metrics`, `pushgateway`,
//! `shards-N` for a ring of N gateways, and, with the feature `kafka`, `kafka-N` for a topic with one relay to such a ring.
//!
//! Options, before the kind: `--seconds` of each row, `--schedulers`, `--groups` of all schedulers, `--restarts` of each
//! scheduler, `--batch` seconds, and the switches `--state 1` for a state directory, `--kill 1`, and `--unchecked 1` for
//! Pushgateways that do not compare each push with all groups. Groups are selected with the frequencies of Zipf's law, and
//! one run in ten fails.
//!
//! With `--kill 1`, a scheduler is killed before each restart, and the row describes only its last life, which ends with one
//! run of each group: nothing that a killed one has left may replace these.

#[cfg(feature = "kafka")]
mod kafka;
#[cfg(not(feature = "kafka"))]
#[path = "kafka_disabled.rs"]
mod kafka;
mod scheduler;
mod server;

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use metrics_push_benches::Table;
use scheduler::Plan;
use serde_json::Value;
use server::{BROKER, LastRuns, RELAY, Servers};

/// The first argument of a process that is a scheduler.
const SCHEDULER: &str = "--scheduler";

/// The distance of the first runs of a scheduler before and after a restart.
const RUNS_PER_LIFE: u64 = 1 << 32;

/// How long the servers may take to show the last runs.
const VISIBLE_TIMEOUT: Duration = Duration::from_secs(600);

/// The minimum pause between two comparisons of the servers with the model.
const COMPARE_INTERVAL: Duration = Duration::from_secs(1);

/// The pause is at least this many times as long as a comparison, because a comparison takes CPU time from the servers.
const COMPARE_PAUSE_FACTOR: u32 = 10;

struct Options {
    seconds: f64,
    schedulers: usize,
    groups: usize,
    restarts: u64,
    batch_seconds: f64,
    has_state: bool,
    kills: bool,
    are_unchecked: bool,
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [SCHEDULER, plan @ ..] => return scheduler::run(&plan_from(plan)),
        [BROKER] => return kafka::run_broker(),
        [RELAY] => return kafka::run_relay(),
        _ => {}
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
        "relay µs/run",
        "server µs/run",
        "client MiB",
        "relay MiB",
        "server MiB",
        "unfinished",
        "behind s",
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
        kills: false,
        are_unchecked: false,
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
            "--kill" => options.kills = number() > 0.0,
            "--unchecked" => options.are_unchecked = number() > 0.0,
            _ => panic!("unknown option {option}"),
        }
    }
    (options, rest)
}

/// Returns the row of one rate.
fn measure(kind: &str, runs_per_minute: f64, options: &Options) -> Vec<String> {
    let servers = Servers::start(kind, options.are_unchecked);
    let cpu_before = (servers.cpu_seconds(), servers.relay_cpu_seconds());
    let state = std::env::temp_dir().join(format!("load-state-{}", std::process::id()));
    let (reports, early): (Vec<Value>, _) = thread::scope(|scope| {
        let schedulers: Vec<_> = (0..options.schedulers)
            .map(|number| {
                let (url, state) = (servers.url(), state.clone());
                scope.spawn(move || live(number, runs_per_minute, options, &url, &state))
            })
            .collect();
        thread::sleep(Duration::from_secs_f64(options.seconds / 4.0));
        let early = (servers.resident_mib(), servers.relay_resident_mib());
        let reports = schedulers.into_iter().map(|it| it.join().expect("a scheduler panicked"));
        (reports.flatten().collect(), early)
    });
    let late = (servers.resident_mib(), servers.relay_resident_mib());
    let _ = std::fs::remove_dir_all(&state);
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
    let lives = (reports.len() / options.schedulers) as f64;
    let finished = Instant::now();
    let wrong_groups = wrong_groups(&servers, &model);
    let behind = finished.elapsed();
    let server_cpu = servers.cpu_seconds() - cpu_before.0;
    let relay_cpu = servers.relay_cpu_seconds() - cpu_before.1;
    vec![
        kind.to_owned(),
        format!("{runs_per_minute:.0}"),
        format!("{:.0}", runs * 60.0 / (sum("seconds") / options.schedulers as f64)),
        model.len().to_string(),
        format!("{:.1}", quantile(0.5)),
        format!("{:.1}", quantile(0.99)),
        format!("{:.0}", sum("cpu_seconds") * 1e6 / runs),
        format!("{:.0}", relay_cpu * 1e6 / runs),
        format!("{:.0}", server_cpu * 1e6 / runs),
        format!("{:.0} to {:.0}", sum("early_mib") / lives, sum("late_mib") / lives),
        format!("{:.0} to {:.0}", early.1, late.1),
        format!("{:.0} to {:.0}", early.0, late.0),
        format!("{:.0}", max("unfinished")),
        format!("{:.0}", behind.as_secs_f64()),
        wrong_groups.to_string(),
    ]
}

/// Runs a scheduler and its restarts in turn. Returns the reports of those that were not killed.
fn live(
    number: usize,
    runs_per_minute: f64,
    options: &Options,
    url: &str,
    state: &std::path::Path,
) -> Vec<Value> {
    let lives = options.restarts + 1;
    let seconds = options.seconds / lives as f64;
    let start = |life: u64| {
        let is_last_after_kills = options.kills && life + 1 == lives;
        let plan = [
            number as f64,
            (options.groups / options.schedulers) as f64,
            runs_per_minute / 60.0 / options.schedulers as f64,
            seconds,
            (life * RUNS_PER_LIFE + 1) as f64,
            options.batch_seconds,
            f64::from(u8::from(is_last_after_kills)),
        ];
        let mut command = Command::new(std::env::current_exe().expect("the program has a path"));
        command.arg(SCHEDULER).args(plan.map(|it| it.to_string())).stderr(Stdio::inherit());
        command.env("METRICS_PUSH_URL", url).env("METRICS_PUSH_TIMEOUT", "60s");
        if options.has_state {
            command.env("METRICS_PUSH_STATE_DIR", state.join(number.to_string()));
        } else {
            command.env("METRICS_PUSH_STATE_DIR", "off");
        }
        command.stdout(Stdio::piped()).spawn().expect("the program starts")
    };
    let life = |life: u64| {
        let mut process = start(life);
        if options.kills && life + 1 < lives {
            thread::sleep(Duration::from_secs_f64(seconds / 2.0));
            process.kill().expect("the scheduler has not ended yet");
            process.wait().expect("the scheduler is a child of this process");
            return None;
        }
        let output = process.wait_with_output().expect("stdout is a pipe");
        assert!(output.status.success(), "{output:?}");
        let mut report: Value =
            serde_json::from_slice(&output.stdout).expect("a scheduler prints JSON");
        report["scheduler"] = number.into();
        Some(report)
    };
    (0..lives).filter_map(life).collect()
}

fn plan_from(arguments: &[&str]) -> Plan {
    let numbers: Vec<f64> =
        arguments.iter().map(|it| it.parse().expect("the plan has numbers")).collect();
    let [scheduler, groups, runs_per_second, seconds, first_run, batch_seconds, covers_all] =
        numbers[..]
    else {
        panic!("the plan has seven numbers")
    };
    let interval = Duration::from_secs_f64(batch_seconds);
    Plan {
        scheduler: scheduler as usize,
        groups: groups as usize,
        runs_per_second,
        duration: Duration::from_secs_f64(seconds),
        first_run: first_run as u64,
        batch_interval: (!interval.is_zero()).then_some(interval),
        covers_all: covers_all > 0.0,
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
        let started = Instant::now();
        let stored = servers.last_runs();
        let wrong = model.iter().filter(|(id, runs)| stored.get(*id) != Some(*runs)).count();
        if wrong == 0 || Instant::now() > deadline {
            return wrong;
        }
        thread::sleep(COMPARE_INTERVAL.max(started.elapsed() * COMPARE_PAUSE_FACTOR));
    }
}
