//! Endings that no code of the program can observe, and endings that need C functions.
#![expect(
    unsafe_code,
    clippy::undocumented_unsafe_blocks,
    reason = "safe code cannot cause these endings"
)]

use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use metrics_push::{Job, Run};

use super::End;

pub(crate) fn end(run: &Run, ending: &str) -> End {
    match ending {
        "fork" => fork_and(|| ()),
        "fork-and-run" => fork_and(|| Job::new("task").run(|_| Ok::<_, ()>(())).unwrap()),
        "fork-and-term" => fork_and(|| unsafe {
            libc::raise(libc::SIGTERM);
        }),
        "exec" => return Some(Err(Command::new("true").exec().to_string())),
        "run-exec" => {
            let error = run.exec(Command::new("/bin/sh").args(["-c", "exit 3"]));
            return Some(Err(error.to_string()));
        }
        "run-exec-wait" => {
            let error = run.exec(Command::new("/bin/sh").args(["-c", "echo ready; exec sleep 60"]));
            return Some(Err(error.to_string()));
        }
        "run-exec-with-streams" => {
            // The exit code has one bit for each closed stream.
            let script = "code=3; for fd in 0 1 2; do \
                          [ -e /proc/$$/fd/$fd ] || code=$((code + (8 << fd))); done; exit $code";
            let error = run.exec(Command::new("/bin/sh").args(["-c", script]));
            return Some(Err(error.to_string()));
        }
        "run-exec-missing" => {
            drop(run.exec(&mut Command::new("/nonexistent")));
            // The exit code has one bit for each stream that this process lacks.
            let is_closed = |fd: &i32| !Path::new(&format!("/proc/self/fd/{fd}")).exists();
            std::process::exit((0..3).filter(is_closed).map(|fd| 8 << fd).sum::<i32>() + 3)
        }
        // When the library starts the thread that handles signals.
        "exec-later" => {
            std::thread::sleep(std::time::Duration::from_millis(5));
            return Some(Err(Command::new("true").exec().to_string()));
        }
        "exec-a-failure" => return Some(Err(Command::new("false").exec().to_string())),
        "print-inherited-state" => {
            let script =
                "ls /proc/self/fd; grep -E 'Sig(Blk|Ign)|Umask' /proc/self/status; ulimit -c";
            let status = Command::new("/bin/sh").args(["-c", script]).status();
            return Some(status.map(drop).map_err(|error| error.to_string()));
        }
        "_exit" => unsafe { libc::_exit(9) },
        "_exit-0" => unsafe { libc::_exit(0) },
        "quick-exit" => unsafe { quick_exit(9) },
        "abort" => std::process::abort(),
        "kill" => unsafe {
            libc::kill(libc::getpid(), libc::SIGKILL);
        },
        "segv" => unsafe {
            std::ptr::null_mut::<u8>().write_volatile(1);
        },
        "bus" => read_past_the_end(),
        "ill" => unsafe {
            #[cfg(target_arch = "x86_64")]
            std::arch::asm!("ud2");
            #[cfg(not(target_arch = "x86_64"))]
            std::arch::asm!("udf #0");
        },
        "overflow" => println!("{}", overflow(1)),
        "out-of-memory" => println!("{}", allocate_all()),
        "spin" => loop {
            std::hint::spin_loop();
        },
        "broken-pipe" => return Some(write_to_closed_pipe().map_err(|error| error.to_string())),
        "broken-output" => {
            close_reader_of_stdout();
            println!("lost");
        }
        "broken-pipe-signal" => {
            unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
            return Some(write_to_closed_pipe().map_err(|error| error.to_string()));
        }
        _ => return None,
    }
    Some(Ok(()))
}

unsafe extern "C" {
    fn quick_exit(code: libc::c_int) -> !;
}

/// Forks, runs this closure in the child, and waits for the child.
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

fn write_to_closed_pipe() -> std::io::Result<()> {
    let (reader, mut writer) = std::io::pipe()?;
    drop(reader);
    writer.write_all(b"lost")
}

/// Replaces the standard output by a pipe whose reading end is closed.
fn close_reader_of_stdout() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    unsafe { libc::dup2(writer.as_raw_fd(), libc::STDOUT_FILENO) };
}

/// Reads from a mapped file that has been truncated.
fn read_past_the_end() {
    unsafe {
        let file = libc::memfd_create(c"short".as_ptr(), 0);
        libc::ftruncate(file, 4096);
        let page =
            libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_READ, libc::MAP_SHARED, file, 0);
        libc::ftruncate(file, 0);
        println!("{}", page.cast::<u8>().read_volatile());
    }
}

#[expect(unconditional_recursion, reason = "it must overflow the stack")]
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
