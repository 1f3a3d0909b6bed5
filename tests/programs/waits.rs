//! Endings that wait for a signal, for input or for other processes. The job prints "ready" when the test may act.
#![expect(
    unsafe_code,
    clippy::undocumented_unsafe_blocks,
    reason = "these endings call C functions for signals and file descriptors"
)]

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::thread;
use std::time::Duration;

use metrics_push::Run;
use tokio::runtime::Runtime;

use super::End;

pub(crate) fn end(run: &Run, ending: &str) -> End {
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
        // The exit handler waits for the gateway as well.
        "exit-while-main-waits" => drop(thread::spawn(|| {
            thread::sleep(Duration::from_millis(300));
            std::process::exit(3)
        })),
        "wait-for-input" => {
            ready();
            let mut input = String::new();
            std::io::stdin().read_to_string(&mut input).unwrap();
            print!("{input}");
        }
        // Closes stdout, so that its readers receive the end of the output, and continues.
        "close-output-and-wait-for-input" => {
            ready();
            let null = std::fs::File::options().write(true).open("/dev/null").unwrap();
            unsafe { libc::dup2(null.as_raw_fd(), libc::STDOUT_FILENO) };
            std::io::stdin().read_to_string(&mut String::new()).unwrap();
        }
        "close-input-and-wait" => {
            unsafe { libc::close(libc::STDIN_FILENO) };
            ready();
            loop {
                thread::sleep(Duration::from_secs(60));
            }
        }
        "stop-itself" => {
            unsafe { libc::raise(libc::SIGTSTP) };
            ready();
        }
        "print-terminal" => {
            let are_terminals = [
                std::io::stdin().is_terminal(),
                std::io::stdout().is_terminal(),
                std::io::stderr().is_terminal(),
            ];
            println!("{are_terminals:?}");
            let status = std::process::Command::new("stty").arg("size").status();
            return Some(status.map(drop).map_err(|error| error.to_string()));
        }
        "leave-an-orphan" => {
            // The shell exits at once, and its child shortly after.
            let mut parent = std::process::Command::new("sh");
            parent.args(["-c", "sleep 0.05 & exit"]).status().unwrap();
            ready();
            std::io::stdin().read_to_string(&mut String::new()).unwrap();
        }
        "tokio-signal" => {
            let runtime = Runtime::new().unwrap();
            runtime.block_on(async {
                let kind = tokio::signal::unix::SignalKind::terminate();
                let mut term = tokio::signal::unix::signal(kind).unwrap();
                ready();
                term.recv().await;
            });
            run.add_processed(1);
        }
        "own-handler" => {
            let (interrupt, is_interrupted) = std::sync::mpsc::channel();
            ctrlc::set_handler(move || interrupt.send(()).unwrap()).unwrap();
            ready();
            is_interrupted.recv().unwrap();
            return Some(Err("interrupted".into()));
        }
        "signal-hook" => {
            let mut signals = signal_hook::iterator::Signals::new([libc::SIGTERM]).unwrap();
            ready();
            signals.forever().next();
            std::process::exit(12);
        }
        // Like a program that reads signals from a `signalfd`: the signal must stay pending, and no thread may handle it.
        "blocked-signal" => {
            let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
            unsafe {
                libc::sigemptyset(set.as_mut_ptr());
                libc::sigaddset(set.as_mut_ptr(), libc::SIGTERM);
                libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
                ready();
                while {
                    libc::sigpending(set.as_mut_ptr());
                    libc::sigismember(set.as_ptr(), libc::SIGTERM) == 0
                } {
                    thread::sleep(Duration::from_millis(5));
                }
            }
        }
        _ => return None,
    }
    Some(Ok(()))
}
