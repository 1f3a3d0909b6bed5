//! A scheduler whose `main` is not a job. Its two tasks are active until a signal ends the process.
//!
//! The arguments select what handles signals, in this order: `report-signals`, `own-handler`.

use std::sync::mpsc::{Sender, channel};
use std::thread;

use metrics_push::push_job;

#[push_job(grouping(number = number))]
fn task(number: u32, started: Sender<()>) {
    drop(started);
    loop {
        thread::park();
    }
}

fn main() {
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "report-signals" => metrics_push::report_signals(),
            "own-handler" => ctrlc::set_handler(|| std::process::exit(3)).unwrap(),
            other => panic!("unknown argument {other:?}"),
        }
    }
    let (started, are_started) = channel();
    for number in 1..=2 {
        let started = started.clone();
        thread::spawn(move || task(number, started));
    }
    drop(started);
    let _ = are_started.recv();
    println!("ready");
    loop {
        thread::park();
    }
}
