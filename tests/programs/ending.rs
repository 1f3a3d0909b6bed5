//! A job with many endings. The last argument selects the ending; the arguments before it are options of the job.
//!
//! Tests start it as a child process with a gateway, and without one for comparison.

mod collectors;
mod faults;
mod guards;
mod waits;

use std::process::ExitCode;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use metrics_push::{Job, Run};
use tokio::runtime::Runtime;

fn main() -> ExitCode {
    let mut job = Job::new("ending").version(Some("1.0")).whole_process();
    let (mut ending, mut gauges) = (String::from("ok"), Vec::new());
    for argument in std::env::args().skip(1) {
        job = match argument.as_str() {
            "signals-off" => job.without_signal_hooks(),
            "durable-journal" => job.durable_journal(),
            "supervised" => job.supervise(),
            "copied" => job.supervise_copy(),
            "exit-codes" => job.ok_exit_codes([3]).skip_exit_codes([4, 5]),
            "max-runtime" => job.max_runtime(Duration::from_millis(300)).kill_after_max_runtime(),
            "max-runtime-4s" => job.max_runtime(Duration::from_secs(4)).kill_after_max_runtime(),
            "cumulative" => job.cumulative(),
            "heartbeat" => job.heartbeat(Duration::from_secs(1)),
            collector if collectors::register(collector) => continue,
            _ => {
                if let Some(name) = argument.strip_prefix("gauge=") {
                    gauges.push(name.to_owned());
                    continue;
                }
                ending = argument;
                continue;
            }
        };
    }
    let result = job.run(|run| {
        println!("before");
        run.add_processed(7);
        for name in &gauges {
            run.gauge(name, "A gauge.").unwrap().set(1.0);
        }
        let endings = [end, guards::end, faults::end, waits::end];
        let end = endings.iter().find_map(|end| end(run, &ending));
        end.unwrap_or_else(|| panic!("unknown ending {ending:?}"))
    });
    println!("after");
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The result of a job's body; `None` if the ending is not in the called module.
type End = Option<Result<(), String>>;

/// Endings by ordinary code: returns, panics and exits.
fn end(run: &Run, ending: &str) -> End {
    match ending {
        "ok" => {}
        "err" => return Some(Err("no input".into())),
        "skip" => run.skip("nothing new"),
        "panic" => panic!("boom"),
        "panic-in-thread" => drop(thread::spawn(|| panic!("in a thread")).join()),
        "panic-in-detached-thread" => {
            let (alive, has_ended) = channel::<()>();
            thread::spawn(move || {
                let _alive = alive;
                panic!("in a detached thread")
            });
            let _ = has_ended.recv();
        }
        "panic-in-task" => {
            let runtime = Runtime::new().unwrap();
            drop(runtime.block_on(async { tokio::spawn(async { panic!("in a task") }).await }));
        }
        "panic-in-detached-task" => {
            let (alive, has_ended) = channel::<()>();
            let runtime = Runtime::new().unwrap();
            runtime.spawn(async move {
                let _alive = alive;
                panic!("in a detached task")
            });
            let _ = has_ended.recv();
        }
        "panic-in-drop" => {
            let _second = PanicsInDrop;
            panic!("first");
        }
        "panic-with-own-hook" => {
            let previous = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                eprintln!("the program's own hook");
                previous(panic);
            }));
            panic!("boom");
        }
        "stuck-tasks" => collectors::run_stuck_tasks(),
        "exit-in-hook" => {
            std::panic::set_hook(Box::new(|_| std::process::exit(70)));
            panic!("boom");
        }
        "exit-0" => std::process::exit(0),
        "exit-3" => std::process::exit(3),
        "exit-in-thread" => drop(thread::spawn(|| std::process::exit(4)).join()),
        "exit-in-worker" => {
            let runtime = Runtime::new().unwrap();
            drop(runtime.block_on(async { tokio::spawn(async { std::process::exit(5) }).await }));
        }
        "exit-in-block-on" => Runtime::new().unwrap().block_on(async { std::process::exit(6) }),
        _ => return None,
    }
    Some(Ok(()))
}

struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("second");
    }
}
