//! A job that ends in the way its last argument names; those before it are options of the job.
//!
//! Tests start it as a child: with a gateway, and without one to see how the bare program ends.
#![expect(
    unsafe_code,
    clippy::undocumented_unsafe_blocks,
    reason = "endings that no safe code can bring about"
)]

use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};
use std::thread;
use std::time::Duration;

use metrics_push::{Job, Run};
use tokio::runtime::Runtime;

fn main() -> ExitCode {
    let mut job = Job::new("ending").version(Some("1.0")).whole_process();
    let mut ending = String::from("ok");
    for argument in std::env::args().skip(1) {
        job = match argument.as_str() {
            "signals-off" => job.signals_off(),
            "synced" => job.synced(),
            "supervised" => job.supervise(),
            "limited" => job.max_runtime(Duration::from_millis(300)).kill_after_max_runtime(),
            "beating" => job.heartbeat(Duration::from_millis(20)),
            _ => {
                ending = argument;
                continue;
            }
        };
    }
    let result = job.run(|run| end(run, &ending));
    println!("after");
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn end(run: &Run, ending: &str) -> Result<(), String> {
    println!("before");
    run.processed(7);
    match ending {
        "ok" => {}
        "err" => return Err("no input".into()),
        "skip" => run.skip("nothing new"),
        "panic" => panic!("boom"),
        "panic-in-thread" => drop(thread::spawn(|| panic!("in a thread")).join()),
        "panic-in-task" => {
            let runtime = Runtime::new().unwrap();
            drop(runtime.block_on(async { tokio::spawn(async { panic!("in a task") }).await }));
        }
        "panic-in-drop" => {
            let _second = PanicsInDrop;
            panic!("first");
        }
        "panic-with-own-hook" => {
            let ours = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                eprintln!("the program's own hook");
                ours(panic);
            }));
            panic!("boom");
        }
        "panic-in-collector" => {
            prometheus::default_registry().register(Box::new(Panics)).unwrap();
            panic!("boom");
        }
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
        _ => return end_elsewhere(run, ending),
    }
    Ok(())
}

/// Endings that leave guards behind, and those that wait for a signal.
fn end_elsewhere(run: &Run, ending: &str) -> Result<(), String> {
    match ending {
        "forgotten-task" => std::mem::forget(Job::new("task").start()),
        "dropped-runtime" => {
            let runtime = Runtime::new().unwrap();
            let (started, has_started) = std::sync::mpsc::channel();
            runtime.spawn(async move {
                let _task = Job::new("task").start();
                started.send(()).unwrap();
                std::future::pending::<()>().await;
            });
            has_started.recv().unwrap();
        }
        "background-shutdown" => {
            let runtime = Runtime::new().unwrap();
            let (started, has_started) = std::sync::mpsc::channel();
            runtime.spawn_blocking(move || {
                let _task = Job::new("task").start();
                started.send(()).unwrap();
                thread::park();
            });
            has_started.recv().unwrap();
            runtime.shutdown_background();
        }
        "fork" => fork_and(|| ()),
        "fork-and-run" => fork_and(|| Job::new("task").run(|_| Ok::<_, ()>(())).unwrap()),
        "fork-and-term" => fork_and(|| unsafe {
            libc::raise(libc::SIGTERM);
        }),
        "exec" => return Err(Command::new("true").exec().to_string()),
        "what-children-inherit" => {
            let look =
                "ls /proc/self/fd; grep -E 'Sig(Blk|Ign)|Umask' /proc/self/status; ulimit -c";
            let status = Command::new("/bin/sh").args(["-c", look]).status();
            return status.map(drop).map_err(|error| error.to_string());
        }
        "_exit" => unsafe { libc::_exit(9) },
        "abort" => std::process::abort(),
        "kill" => unsafe {
            libc::kill(libc::getpid(), libc::SIGKILL);
        },
        "segv" => unsafe {
            std::ptr::null_mut::<u8>().write_volatile(1);
        },
        "overflow" => println!("{}", overflow(1)),
        "out-of-memory" => println!("{}", allocate_all()),
        _ => return wait(run, ending),
    }
    Ok(())
}

/// Endings that come from outside. "ready" tells that they may.
fn wait(run: &Run, ending: &str) -> Result<(), String> {
    let ready = || {
        println!("ready");
        std::io::stdout().flush().unwrap();
    };
    match ending {
        "ready" => ready(),
        "wait" => {
            ready();
            loop {
                thread::sleep(Duration::from_secs(60));
            }
        }
        "wait-a-little" => {
            ready();
            thread::sleep(Duration::from_millis(300));
        }
        "wait-for-input" => {
            ready();
            let mut input = String::new();
            std::io::stdin().read_to_string(&mut input).unwrap();
            print!("{input}");
        }
        "tokio-signal" => {
            let runtime = Runtime::new().unwrap();
            runtime.block_on(async {
                let kind = tokio::signal::unix::SignalKind::terminate();
                let mut term = tokio::signal::unix::signal(kind).unwrap();
                ready();
                term.recv().await;
            });
            run.processed(1);
        }
        "own-handler" => {
            let (seen, has_seen) = std::sync::mpsc::channel();
            ctrlc::set_handler(move || seen.send(()).unwrap()).unwrap();
            ready();
            has_seen.recv().unwrap();
            return Err("interrupted".into());
        }
        "signal-hook" => {
            let mut signals = signal_hook::iterator::Signals::new([libc::SIGTERM]).unwrap();
            ready();
            signals.forever().next();
            std::process::exit(12);
        }
        "sigwait" => {
            let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
            let mut signal = 0;
            unsafe {
                libc::sigemptyset(set.as_mut_ptr());
                libc::sigaddset(set.as_mut_ptr(), libc::SIGTERM);
                libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
                ready();
                libc::sigwait(set.as_ptr(), &raw mut signal);
            }
        }
        _ => panic!("there is no ending {ending:?}"),
    }
    Ok(())
}

struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("second");
    }
}

/// A collector that panics when it is asked.
struct Panics;

impl prometheus::core::Collector for Panics {
    fn desc(&self) -> Vec<&prometheus::core::Desc> {
        Vec::new()
    }

    fn collect(&self) -> Vec<prometheus::proto::MetricFamily> {
        panic!("in a collector")
    }
}

/// Runs the same code in a child that is not replaced, and waits for it.
fn fork_and(child: impl FnOnce()) {
    match unsafe { libc::fork() } {
        0 => {
            child();
            std::process::exit(0);
        }
        id => unsafe {
            libc::waitpid(id, std::ptr::null_mut(), 0);
        },
    }
}

#[expect(unconditional_recursion, reason = "that is the point")]
fn overflow(depth: u64) -> u64 {
    let page = std::hint::black_box([depth; 512]);
    overflow(depth + 1) + page[0]
}

fn allocate_all() -> usize {
    let mut all = Vec::new();
    loop {
        all.push(std::hint::black_box(vec![1_u8; 1 << 20]));
        std::hint::black_box(&all);
    }
}
