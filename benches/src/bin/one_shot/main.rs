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
//! Two gateways run: one with TLS, one without. The programs with TLS read the authorities of the system, as in production.
//!
//! Wall time is measured from before the process is spawned until `wait4` returns. CPU time and maximum resident
//! size come from `wait4`; instructions are those in user mode under callgrind. All programs run from copies, like
//! installed programs. Run from the linker's own output, identical files differ by up to 10 % between builds.

mod packages;
mod recording;
mod rows;

use metrics_push_benches::pushgateway::free_address;
use metrics_push_benches::usage::{Usage, measure, millions_of_instructions};
use metrics_push_benches::{Table, median, median_ratio};
use rows::{
    BARE, EXEC, EXEC_LEAN, GO, GO_TLS, Gateways, JOB, JOB_PLAIN, JOB_STATE, JOB_TLS, JOB_UNSET,
    JOB_WORK, LEAN, LEAN_TLS, LEAN_UNUSED_TLS, RAW_ONE, RAW_TWO, RAW_WORK, Row, job, rows,
};

const ROUNDS: usize = 61;

fn wall(usage: &Usage) -> f64 {
    usage.wall_ms
}

fn cpu(usage: &Usage) -> f64 {
    usage.cpu_ms
}

fn resident(usage: &Usage) -> f64 {
    usage.resident_mib
}

fn run_rounds(rows: &mut [Row], gateways: &Gateways) {
    for round in 0..=ROUNDS {
        for row in &mut *rows {
            // The first round warms the caches.
            row.runs.extend(row.run(gateways).filter(|_| round > 0));
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
            number(row.median(cpu)),
            number(row.median(resident)),
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

/// Adds the wall and the CPU time of a row as ratios to those of another one, unless that is not installed.
fn compare_rows(table: &mut Table, row: &Row, basis: &Row, max: f64) {
    if basis.runs.is_empty() {
        return;
    }
    for (what, value) in [("wall", wall as fn(&Usage) -> f64), ("CPU", cpu)] {
        let ratio = median_ratio(&row.values(value), &basis.values(value));
        table.ratio(&format!("{}, {what} / {}", row.name, basis.name), ratio, max);
    }
}

/// The rows that are compared with others, and the maximum ratios.
const COMPARED: [(&str, &str, f64); 10] = [
    (JOB, RAW_TWO, 1.5),
    (JOB_WORK, RAW_WORK, 1.25),
    (JOB, LEAN, 1.1),
    (JOB, LEAN_UNUSED_TLS, 1.1),
    (JOB_PLAIN, LEAN, 1.1),
    (JOB_TLS, LEAN_TLS, 1.1),
    (JOB, GO, 0.52),
    (JOB_TLS, GO_TLS, 0.52),
    (JOB_STATE, JOB, 1.25),
    (EXEC, EXEC_LEAN, 1.5),
];

fn print_targets(rows: &[Row]) {
    let row = |name: &str| rows.iter().find(|row| row.name == name).expect("the row exists");
    let mut table = Table::new(&["ratio or cost", "measured", "at most", ""]);
    let [one, two] = [RAW_ONE, RAW_TWO].map(row);
    for name in [JOB, JOB_PLAIN] {
        let ratio = ratio_at_same_pushes(row(name), one, two);
        table.ratio(&format!("{name}, wall / raw socket, same number of pushes"), ratio, 1.25);
    }
    for (name, basis, max) in COMPARED {
        compare_rows(&mut table, row(name), row(basis), max);
    }
    table.ratio("pushes of a run that does nothing", row(JOB).pushes_per_run(), 1.1);
    let unset = row(JOB_UNSET).median(wall) - row(BARE).median(wall);
    table.ratio("no URL, wall above bare, ms", unset, 1.0);
    table.ratio("job, CPU, ms", row(JOB).median(cpu), 2.0);
    table.ratio("job, resident, MiB", row(JOB).median(resident), 5.0);
    let start = row(JOB).start.as_ref().expect("the job is built");
    if let Some(millions) = millions_of_instructions(&start()) {
        table.ratio("job, instructions, M", millions, 1.5);
    }
    let unreachable = format!("http://{}", free_address());
    let variables = [("METRICS_PUSH_URL", &*unreachable), ("METRICS_PUSH_TIMEOUT", "1s")];
    let refused = measure(job(&packages::program("job"), &[], &variables)());
    table.ratio("unreachable gateway, timeout of 1000 ms, wall, ms", refused.wall_ms, 1000.0);
    println!("{table}");
}

/// Prints the memory of the supervisor while its command runs: the command reads it.
fn print_supervisor(gateways: &Gateways) {
    const STATUS: &str = "cat /proc/$PPID/status";
    let variables = [("METRICS_PUSH_URL", &*gateways.url())];
    let arguments = ["exec", "--job", "status", "--", "/bin/sh", "-c", STATUS];
    let output = job(&packages::program("command"), &arguments, &variables)().output();
    let output = output.expect("the command has been built");
    let status = String::from_utf8_lossy(&output.stdout);
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim_matches([':', '\t', ' ', 'k', 'B']).to_owned()
    };
    let mut table = Table::new(&["supervisor of `metrics-push exec`", "resident, KiB"]);
    table.row(&["all pages", &kib("VmRSS")]);
    table.row(&["anonymous pages", &kib("RssAnon")]);
    println!("{table}");
}

fn compare() {
    let folder = std::env::temp_dir().join(format!("one-shot-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the temporary folder is writable");
    let gateways = Gateways::start(&folder);
    let mut rows = rows(&gateways, &folder);
    run_rounds(&mut rows, &gateways);
    print_usage(&rows);
    print_targets(&rows);
    print_supervisor(&gateways);
    std::fs::remove_dir_all(&folder).expect("the folder can be removed");
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("build") => packages::build(&arguments[1..]),
        _ => compare(),
    }
}
