//! A job that works for a time and reports its progress with heartbeats.
//!
//! Arguments: the job's name, the ending (`push`, `add` or `fail`), the number of steps, and the milliseconds of a step.

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use metrics_push::{Job, Verb};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, ending, steps, step] = &arguments[..] else { panic!("{arguments:?}") };
    let steps: u64 = steps.parse().unwrap();
    let step = Duration::from_millis(step.parse().unwrap());
    let on_success = if ending == "add" { Verb::Add } else { Verb::Push };
    let job = Job::with_name(name.clone()).on_success(on_success).whole_process();
    let result = job.heartbeat(Duration::from_secs(1)).run(|run| {
        for done in 1..=steps {
            thread::sleep(step);
            run.progress(done, steps);
            run.add_processed(1);
        }
        if ending == "fail" { Err("no input") } else { Ok(()) }
    });
    result.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}
