//! Measures nanoseconds per call. Each round measures all rows in turn, with each number of threads.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use metrics_push_benches::{Table, median, median_ratio};

use crate::rows::{Row, bare_row, position};

pub(crate) const THREADS: [usize; 3] = [1, 2, 8];
const ROUNDS: usize = 15;

/// How long each thread makes calls: much longer than starting a thread takes, so that the threads run in parallel.
const MEASURING_TIME: Duration = Duration::from_millis(15);

/// Nanoseconds per call, by row, number of threads and round.
pub(crate) struct Times(Vec<[Vec<f64>; THREADS.len()]>);

impl Times {
    pub(crate) fn measure(rows: &[Row]) -> Self {
        let calls: Vec<_> = rows.iter().map(|(_, run)| calibrate(*run)).collect();
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

    /// Returns the ratio of the times of `name` and `basis`. Both include the time of the function itself.
    pub(crate) fn ratio(&self, name: &str, basis: &str, column: usize) -> f64 {
        median_ratio(self.times(name, column), self.times(basis, column))
    }

    /// Returns the nanoseconds per call beyond the bare call.
    pub(crate) fn beyond_bare(&self, name: &str, column: usize) -> f64 {
        median(&self.rounds_beyond_bare(name, column))
    }

    /// Returns the ratio of the times of `name` and `basis` beyond their bare calls.
    pub(crate) fn ratio_beyond_bare(&self, name: &str, basis: &str, column: usize) -> f64 {
        let beyond = |name| self.rounds_beyond_bare(name, column);
        median_ratio(&beyond(name), &beyond(basis))
    }

    fn rounds_beyond_bare(&self, name: &str, column: usize) -> Vec<f64> {
        let bare = self.times(bare_row(name), column);
        self.times(name, column).iter().zip(bare).map(|(time, bare)| time - bare).collect()
    }

    fn times(&self, name: &str, column: usize) -> &[f64] {
        &self.0[position(name)][column]
    }
}

/// Returns the number of calls that take [`MEASURING_TIME`] on one thread.
fn calibrate(run: fn(u64)) -> u64 {
    const SAMPLE_CALLS: u64 = 10_000;
    let started = Instant::now();
    run(SAMPLE_CALLS);
    (SAMPLE_CALLS as f64 * MEASURING_TIME.as_secs_f64() / started.elapsed().as_secs_f64()) as u64
}

/// Returns the nanoseconds per call of the slowest thread.
fn time(threads: usize, run: fn(u64), calls: u64) -> f64 {
    let start = Barrier::new(threads);
    let thread = || {
        start.wait();
        let started = Instant::now();
        run(calls);
        started.elapsed()
    };
    let slowest = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(thread)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).max()
    });
    slowest.unwrap_or_default().as_nanos() as f64 / calls as f64
}
