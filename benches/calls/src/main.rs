//! Measures calls of a function: bare, measured by hand, with our attributes, and with each peer. Variants are sync and
//! async functions, a label whose value is known only at the call, and one, two and eight threads.
//!
//! `cargo run --release --manifest-path benches/calls/Cargo.toml` prints nanoseconds and ratios. After `--`,
//! `instructions` counts instructions instead, which are reproducible, and `system-clock` disables the processor counter
//! and measures with the system clock.

mod by_hand;
mod instructions;
mod ours;
mod peers;
mod rounds;
mod rows;

use std::thread;
use std::time::Duration;

use metrics_push_benches::Table;

use rounds::{THREADS, Times};
use rows::{BEYOND_BARE, COUNTED_NANOS, ROWS, Row, Target, WITH_COUNTER, WITHOUT_COUNTER};

/// Initialises all metrics, and waits until the clock is calibrated.
fn warm_up(rows: &[Row]) {
    const CALIBRATION_TIME: Duration = Duration::from_secs(1);
    peers::install();
    rows.iter().for_each(|(_, run)| run(60_000));
    thread::sleep(CALIBRATION_TIME);
}

fn measure() -> Times {
    warm_up(ROWS);
    let times = Times::measure(ROWS);
    println!("{}", times.table(ROWS));
    times
}

fn print_ratios(times: &Times, targets: &[Target]) {
    let mut table = Table::new(&["ratio", "measured", "at most", "", "limit on this machine"]);
    for Target { row, basis, limit, max } in targets {
        for (column, max) in max.iter().enumerate() {
            let ratio = times.ratio(row, basis, column);
            let limit = limit.map(|limit| format!("{:.2}", times.ratio(limit, basis, column)));
            table.row(&[
                format!("{row} / {basis}, threads: {}", THREADS[column]),
                format!("{ratio:.2}"),
                format!("{max:.2}"),
                if ratio <= *max { "met" } else { "missed" }.to_owned(),
                limit.unwrap_or_default(),
            ]);
        }
    }
    println!("{table}");
}

fn print_beyond_bare(times: &Times) {
    let mut table = Table::new(&["beyond the bare call", "measured", "at most", ""]);
    table.ratio("counted, threads: 1, ns", times.beyond_bare("counted", 0), COUNTED_NANOS);
    table.ratio(
        "async: counted, threads: 1, ns",
        times.beyond_bare("async: counted", 0),
        COUNTED_NANOS,
    );
    for (row, basis, max) in BEYOND_BARE {
        for (column, threads) in THREADS.into_iter().enumerate() {
            let ratio = times.ratio_beyond_bare(row, basis, column);
            table.ratio(&format!("{row} / {basis}, threads: {threads}"), ratio, *max);
        }
    }
    println!("{table}");
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => {
            let times = measure();
            print_ratios(&times, WITH_COUNTER);
            print_beyond_bare(&times);
        }
        ["system-clock"] => {
            metrics_push::__private::disable_tsc_clock();
            print_ratios(&measure(), WITHOUT_COUNTER);
        }
        ["instructions"] => instructions::print(),
        [instructions::COUNTED, row, calls] => {
            instructions::run_counted(row.parse().unwrap(), calls.parse().unwrap());
        }
        _ => panic!("expected no argument, `instructions` or `system-clock`"),
    }
}
