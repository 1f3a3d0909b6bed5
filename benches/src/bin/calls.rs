//! What a call costs: bare, measured by hand with the `prometheus` crate, and annotated; sync and async; on one
//! thread, on two, and on more than there are cores.
//!
//! `cargo run --release -p metrics-push-benches --bin calls` prints nanoseconds and ratios. With `instructions`
//! after a `--` it counts instructions under valgrind instead, which repeat exactly.

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::process::Command;
use std::sync::{Barrier, LazyLock};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use metrics_push::{counted, timed};
use metrics_push_benches::{Table, median, median_ratio};
use prometheus::{
    Histogram, HistogramVec, IntCounter, IntCounterVec, register_histogram, register_histogram_vec,
    register_int_counter, register_int_counter_vec,
};

const THREADS: [usize; 3] = [1, 2, 8];
const ROUNDS: usize = 15;
/// How long a thread makes calls: much longer than threads take to start, so that they do run side by side.
const STRETCH: Duration = Duration::from_millis(15);

/// Values of labels that are known only at the call.
const SERVICES: [&str; 4] = ["catalogue", "checkout", "payment", "search"];

fn service(number: u64) -> &'static str {
    SERVICES[(number % 4) as usize]
}

static CALLS_TOTAL: LazyLock<IntCounter> =
    LazyLock::new(|| register_int_counter!("calls_total", "Calls.").unwrap());
static SECONDS: LazyLock<Histogram> =
    LazyLock::new(|| register_histogram!("seconds", "Duration of calls.").unwrap());
static LABELLED_CALLS_TOTAL: LazyLock<IntCounterVec> = LazyLock::new(|| {
    register_int_counter_vec!("labelled_calls_total", "Calls.", &["service"]).unwrap()
});
static LABELLED_SECONDS: LazyLock<HistogramVec> = LazyLock::new(|| {
    register_histogram_vec!("labelled_seconds", "Duration of calls.", &["service"]).unwrap()
});

type Answer = Result<u64, std::fmt::Error>;

#[inline(never)]
fn bare(number: u64) -> Answer {
    Ok(black_box(number) + 1)
}

fn counter_handle(number: u64) -> Answer {
    let answer = bare(number);
    CALLS_TOTAL.inc();
    answer
}

fn both_handles(number: u64) -> Answer {
    let start = Instant::now();
    let answer = bare(number);
    SECONDS.observe(start.elapsed().as_secs_f64());
    CALLS_TOTAL.inc();
    answer
}

fn counter_by_label(number: u64) -> Answer {
    let answer = bare(number);
    LABELLED_CALLS_TOTAL.with_label_values(&[service(number)]).inc();
    answer
}

fn both_by_label(number: u64) -> Answer {
    let start = Instant::now();
    let answer = bare(number);
    LABELLED_SECONDS.with_label_values(&[service(number)]).observe(start.elapsed().as_secs_f64());
    LABELLED_CALLS_TOTAL.with_label_values(&[service(number)]).inc();
    answer
}

#[counted]
fn our_counted(number: u64) -> Answer {
    bare(number)
}

#[timed]
fn our_timed(number: u64) -> Answer {
    bare(number)
}

#[counted]
#[timed]
fn our_both(number: u64) -> Answer {
    bare(number)
}

#[counted(name = "our_labelled_total", labels(service = service(number)))]
fn our_counted_by_label(number: u64) -> Answer {
    bare(number)
}

#[counted(name = "our_labelled_both_total", labels(service = service(number)))]
#[timed(name = "our_labelled_both_seconds", labels(service = service(number)))]
fn our_both_by_label(number: u64) -> Answer {
    bare(number)
}

async fn bare_async(number: u64) -> Answer {
    bare(number)
}

async fn both_handles_async(number: u64) -> Answer {
    let start = Instant::now();
    let answer = bare_async(number).await;
    SECONDS.observe(start.elapsed().as_secs_f64());
    CALLS_TOTAL.inc();
    answer
}

async fn counter_handle_async(number: u64) -> Answer {
    let answer = bare_async(number).await;
    CALLS_TOTAL.inc();
    answer
}

#[counted]
async fn our_counted_async(number: u64) -> Answer {
    bare_async(number).await
}

#[timed]
async fn our_timed_async(number: u64) -> Answer {
    bare_async(number).await
}

#[counted]
#[timed]
async fn our_both_async(number: u64) -> Answer {
    bare_async(number).await
}

/// Polls a future that is ready at once.
fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("nothing in it waits"),
    }
}

/// A way to make a call: its name, and a loop of so many of them.
type Row = (&'static str, fn(u64));

macro_rules! rows {
    ($($name:literal => $call:expr,)*) => {
        [$(($name, |calls| for number in 0..calls { let _ = black_box($call(black_box(number))); })),*]
    };
}

const ROWS: [Row; 17] = rows! {
    "bare" => bare,
    "by hand: counter" => counter_handle,
    "by hand: counter, with_label_values" => counter_by_label,
    "by hand: both" => both_handles,
    "by hand: both, with_label_values" => both_by_label,
    "counted" => our_counted,
    "counted, label" => our_counted_by_label,
    "timed" => our_timed,
    "both" => our_both,
    "both, label" => our_both_by_label,
    "async: bare" => |number| ready(bare_async(number)),
    "async: by hand: counter" => |number| ready(counter_handle_async(number)),
    "async: by hand: both" => |number| ready(both_handles_async(number)),
    "async: counted" => |number| ready(our_counted_async(number)),
    "async: timed" => |number| ready(our_timed_async(number)),
    "async: both" => |number| ready(our_both_async(number)),
    "two Instant::now" => |_| Instant::now().elapsed(),
};

/// What is promised: a row, the row it is compared with, and ratios for one thread and for two.
const PROMISES: [(&str, &str, f64, f64); 8] = [
    ("counted", "by hand: counter", 0.35, 0.10),
    ("timed", "by hand: both", 0.40, 0.11),
    ("both", "by hand: both", 0.40, 0.11),
    ("counted, label", "by hand: counter, with_label_values", 0.5, 0.5),
    ("both, label", "by hand: both, with_label_values", 0.5, 0.5),
    ("async: counted", "async: by hand: counter", 0.35, 0.10),
    ("async: timed", "async: by hand: both", 0.40, 0.11),
    ("async: both", "async: by hand: both", 0.40, 0.11),
];

/// What is promised in instructions, beyond those of the bare call.
const INSTRUCTIONS: [(&str, u64); 4] =
    [("timed", 80), ("both", 80), ("async: timed", 80), ("async: both", 80)];

fn position(name: &str) -> usize {
    ROWS.iter().position(|(row, _)| *row == name).unwrap()
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

/// Has everything resolved, and gives the clock the time to make itself known.
fn warm_up() {
    const SETTLES: Duration = Duration::from_secs(1);
    ROWS.iter().for_each(|(_, run)| run(60_000));
    thread::sleep(SETTLES);
}

fn print_times() {
    warm_up();
    let calls: Vec<_> = ROWS.iter().map(|(_, run)| calls_of(*run)).collect();
    let mut times = vec![[const { Vec::new() }; THREADS.len()]; ROWS.len()];
    for _ in 0..ROUNDS {
        for (column, threads) in THREADS.into_iter().enumerate() {
            for (((_, run), calls), times) in ROWS.iter().zip(&calls).zip(&mut times) {
                times[column].push(time(threads, *run, *calls));
            }
        }
    }
    let mut table = Table::new(&["ns per call", "1 thread", "2 threads", "8 threads"]);
    for ((name, _), times) in ROWS.iter().zip(&times) {
        let [one, two, eight] = times.each_ref().map(|times| format!("{:.1}", median(times)));
        table.row(&[name, one.as_str(), &two, &eight]);
    }
    println!("{table}");
    // What the loop and the function itself take is nobody's cost.
    let mut table = Table::new(&["ratio", "measured", "at most", ""]);
    for (name, basis, one, two) in PROMISES {
        for (column, target) in [one, two].into_iter().enumerate() {
            let of = |name| &times[position(name)][column];
            let what = format!("{name} / {basis}, {} threads", THREADS[column]);
            table.ratio(&what, median_ratio(of(name), of(basis)), target);
        }
    }
    println!("{table}");
}

/// Everything in here is counted by valgrind.
#[inline(never)]
fn collected(run: fn(u64), calls: u64) {
    run(calls);
}

/// Instructions that so many calls take, by valgrind.
fn counted_instructions(row: usize, calls: u64) -> u64 {
    let program = std::env::current_exe().unwrap();
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .args(["--collect-atstart=no", "--toggle-collect=calls::collected"])
        .arg(program)
        .args(["run", &row.to_string(), &calls.to_string()])
        .output()
        .expect("valgrind is needed to count instructions");
    let log = String::from_utf8_lossy(&output.stderr);
    let collected = log.lines().find_map(|line| line.split_once("Collected : "));
    collected.and_then(|(_, count)| count.trim().parse().ok()).expect("a count in its log")
}

fn instructions_per_call(row: usize) -> f64 {
    const CALLS: u64 = 10_000;
    counted_instructions(row, CALLS) as f64 / CALLS as f64
}

fn print_instructions() {
    let bare = instructions_per_call(position("bare"));
    let bare_async = instructions_per_call(position("async: bare"));
    let mut table = Table::new(&["instructions beyond the bare call", "measured", "at most", ""]);
    for (row, (name, _)) in ROWS.iter().enumerate() {
        let bare = if name.starts_with("async") { bare_async } else { bare };
        let beyond = instructions_per_call(row) - bare;
        match INSTRUCTIONS.iter().find(|(promised, _)| promised == name) {
            Some((_, target)) => table.ratio(name, beyond, *target as f64),
            None => table.row(&[*name, &format!("{beyond:.2}"), "", ""]),
        }
    }
    println!("{table}");
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => print_times(),
        ["instructions"] => print_instructions(),
        ["run", row, calls] => {
            warm_up();
            collected(ROWS[row.parse::<usize>().unwrap()].1, calls.parse().unwrap());
        }
        _ => panic!("no arguments, or `instructions`"),
    }
}
