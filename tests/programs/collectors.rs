//! Collectors that do not return families: they panic, block, loop, exit, or are slow.

use std::sync::Once;
use std::thread;
use std::time::Duration;

use metrics_push::{Job, Outcome};
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

/// Registers a collector in the default registry. Returns false if it is unknown.
pub(crate) fn register(collector: &str) -> bool {
    let collect: fn() = match collector {
        "panicking-collector" => || panic!("in a collector"),
        "blocking-collector" => || loop {
            thread::park();
        },
        "registering-collector" => || {
            let _ =
                prometheus::register(Box::new(prometheus::Gauge::new("late", "Late.").unwrap()));
        },
        "looping-collector" => || loop {
            std::hint::spin_loop();
        },
        "exiting-collector" => || std::process::exit(7),
        "slow-collector" => || {
            // A later call belongs to the report of a signal.
            static FIRST: Once = Once::new();
            FIRST.call_once(|| {
                println!("ready");
                thread::sleep(Duration::from_millis(300));
            });
        },
        _ => return false,
    };
    prometheus::register(Box::new(FunctionCollector(collect))).unwrap();
    true
}

/// Runs tasks whose own registry cannot be gathered, and prints the number of threads.
pub(crate) fn run_stuck_tasks() {
    for _ in 0..300 {
        let run = Job::new("stuck").start();
        let collector = FunctionCollector(|| {
            loop {
                thread::park();
            }
        });
        run.registry().register(Box::new(collector)).unwrap();
        run.finish(Outcome::Success);
    }
    println!("{}", std::fs::read_dir("/proc/self/task").unwrap().count());
}

/// A collector that calls a function and has no metrics.
struct FunctionCollector(fn());

impl Collector for FunctionCollector {
    fn desc(&self) -> Vec<&Desc> {
        Vec::new()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        (self.0)();
        Vec::new()
    }
}
