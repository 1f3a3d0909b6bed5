//! What a call costs: bare, measured by hand, annotated with ours, and with every peer; sync and async; with a label
//! that is known only at the call; on one thread, on two, and on more than there are cores.
//!
//! `cargo run --release --manifest-path benches/calls/Cargo.toml` prints nanoseconds and ratios. After a `--`,
//! `instructions` counts instructions instead, which repeat exactly, and `system-clock` keeps to the clock of machines
//! whose processors have no counter to trust.

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
use rows::{Promise, ROWS, Row, WITH_COUNTER, WITHOUT_COUNTER};

/// Has everything resolved, and gives the clock the time to make itself known.
fn warm_up(rows: &[Row]) {
    const SETTLES: Duration = Duration::from_secs(1);
    peers::install();
    rows.iter().for_each(|(_, run)| run(60_000));
    thread::sleep(SETTLES);
}

fn print_times(promises: &[Promise]) {
    warm_up(ROWS);
    let times = Times::measured(ROWS);
    println!("{}", times.table(ROWS));
    let mut table = Table::new(&["ratio", "measured", "at most", "", "limit of this machine"]);
    for Promise { row, basis, limit, at_most } in promises {
        for (column, at_most) in at_most.iter().enumerate() {
            let ratio = times.ratio(row, basis, column);
            let limit = limit.map(|limit| format!("{:.2}", times.ratio(limit, basis, column)));
            table.row(&[
                format!("{row} / {basis}, {} threads", THREADS[column]),
                format!("{ratio:.2}"),
                format!("{at_most:.2}"),
                if ratio <= *at_most { "met" } else { "missed" }.to_owned(),
                limit.unwrap_or_default(),
            ]);
        }
    }
    println!("{table}");
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => print_times(WITH_COUNTER),
        ["system-clock"] => {
            metrics_push::__private::disable_tsc_clock();
            print_times(WITHOUT_COUNTER);
        }
        ["instructions"] => instructions::print(),
        [instructions::COUNTED, row, calls] => {
            instructions::run_counted(row.parse().unwrap(), calls.parse().unwrap());
        }
        _ => panic!("no arguments, or `instructions`, or `system-clock`"),
    }
}
