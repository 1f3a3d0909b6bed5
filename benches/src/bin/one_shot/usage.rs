//! What a process took.

use std::process::{Command, Stdio};
use std::time::Instant;

pub(crate) struct Usage {
    pub(crate) wall_ms: f64,
    pub(crate) cpu_ms: f64,
    pub(crate) resident_mib: f64,
    pub(crate) pushes: u32,
}

/// Runs a process to its end.
#[expect(unsafe_code, reason = "`std` doesn't tell what a child used")]
#[expect(clippy::zombie_processes, reason = "`wait4` waits for it")]
pub(crate) fn usage_of(mut command: Command) -> Usage {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let begin = Instant::now();
    let child = command.spawn().unwrap_or_else(|why| panic!("{command:?}: {why}"));
    let mut status = 0;
    // SAFETY: all of it is plain numbers, for which zeros are values.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to locals of ours; the child is not waited for elsewhere.
    let waited =
        unsafe { libc::wait4(child.id().cast_signed(), &raw mut status, 0, &raw mut usage) };
    let wall_ms = begin.elapsed().as_secs_f64() * 1e3;
    assert!(waited > 0 && status == 0, "{command:?} ended with {status}");
    let ms = |time: libc::timeval| time.tv_sec as f64 * 1e3 + time.tv_usec as f64 / 1e3;
    Usage {
        wall_ms,
        cpu_ms: ms(usage.ru_utime) + ms(usage.ru_stime),
        resident_mib: usage.ru_maxrss as f64 / 1024.0,
        pushes: 0,
    }
}

/// Instructions in user mode, by valgrind, if that is installed.
pub(crate) fn millions_of_instructions(command: &Command) -> Option<f64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .output()
        .ok()?;
    let log = String::from_utf8_lossy(&output.stderr);
    let (_, count) = log.lines().find_map(|line| line.split_once("Collected : "))?;
    Some(count.trim().parse::<f64>().ok()? / 1e6)
}
