//! Nanoseconds per call: all rows in turns, round by round, on one thread, on two and on more than there are cores.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use metrics_push_benches::{Table, median, median_ratio};

use crate::rows::{Row, position};

pub(crate) const THREADS: [usize; 3] = [1, 2, 8];
const ROUNDS: usize = 15;

/// How long a thread makes calls: much longer than threads take to start, so that they do run side by side.
const STRETCH: Duration = Duration::from_millis(15);

/// Nanoseconds per call: of each row, for each number of threads, in each round.
pub(crate) struct Times(Vec<[Vec<f64>; THREADS.len()]>);

impl Times {
    pub(crate) fn measured(rows: &[Row]) -> Self {
        let calls: Vec<_> = rows.iter().map(|(_, run)| calls_of(*run)).collect();
        let mut times = vec![[const { Vec::new() }; THREADS.len()]; rows.len()];
        for _ in 0..ROUNDS {
            for (column, threads) in THREADS.into_iter().enumerate() {
                for (((_, run), calls), times) in rows.iter().zip(&calls).zip(&mut times) {
                    times[column].push(time(threads, *run, *calls));
                }
            }
        }
        Self(times)
    }

    pub(crate) fn table(&self, rows: &[Row]) -> Table {
        let mut table = Table::new(&["ns per call", "1 thread", "2 threads", "8 threads"]);
        for ((name, _), times) in rows.iter().zip(&self.0) {
            let [one, two, eight] = times.each_ref().map(|times| format!("{:.1}", median(times)));
            table.row(&[name, one.as_str(), &two, &eight]);
        }
        table
    }

    /// How many times as long as `basis` a call of `name` takes; what the function itself takes is in both.
    pub(crate) fn ratio(&self, name: &str, basis: &str, column: usize) -> f64 {
        let of = |name| &self.0[position(name)][column];
        median_ratio(of(name), of(basis))
    }
}

/// How many calls fill a stretch on one thread.
fn calls_of(run: fn(u64)) -> u64 {
    const FEW: u64 = 10_000;
    let begin = Instant::now();
    run(FEW);
    (FEW as f64 * STRETCH.as_secs_f64() / begin.elapsed().as_secs_f64()) as u64
}

/// Nanoseconds per call of the slowest thread.
fn time(threads: usize, run: fn(u64), calls: u64) -> f64 {
    let start = Barrier::new(threads);
    let thread = || {
        start.wait();
        let begin = Instant::now();
        run(calls);
        begin.elapsed()
    };
    let slowest = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(thread)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).max()
    });
    slowest.unwrap_or_default().as_nanos() as f64 / calls as f64
}
