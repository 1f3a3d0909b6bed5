//! Measures the resource usage of processes.

use std::process::{Command, Stdio};
use std::time::Instant;

/// What a process used.
pub struct Usage {
    /// From start to end, in milliseconds.
    pub wall_ms: f64,
    /// In user and kernel mode, in milliseconds.
    pub cpu_ms: f64,
    /// The peak of resident memory, in MiB.
    pub resident_mib: f64,
    /// The calls of `read` and `write`, on files and sockets. 0 if the kernel does not count them.
    pub calls: u64,
    /// The pushes of the process. [`measure`] returns 0; a bench that counts them sets the number.
    pub pushes: u32,
}

/// Runs a process and returns its resource usage.
///
/// # Panics
/// If the process does not start or does not succeed.
#[must_use]
#[expect(unsafe_code, reason = "`std` does not report the resource usage of a child")]
#[expect(clippy::zombie_processes, reason = "`wait4` waits for it")]
pub fn measure(mut command: Command) -> Usage {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let started = Instant::now();
    let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    wait_until_exit(child.id());
    let calls = calls(child.id());
    let mut status = 0;
    // SAFETY: `rusage` contains only integers, for which zero is a valid value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers refer to local variables, and no other code waits for the child.
    let waited =
        unsafe { libc::wait4(child.id().cast_signed(), &raw mut status, 0, &raw mut usage) };
    let wall_ms = started.elapsed().as_secs_f64() * 1e3;
    assert!(waited > 0 && status == 0, "{command:?} exited with {status}");
    let ms = |time: libc::timeval| time.tv_sec as f64 * 1e3 + time.tv_usec as f64 / 1e3;
    Usage {
        wall_ms,
        cpu_ms: ms(usage.ru_utime) + ms(usage.ru_stime),
        resident_mib: usage.ru_maxrss as f64 / 1024.0,
        calls,
        pushes: 0,
    }
}

/// The peak of the resident memory of this process, above that at a point in time.
pub struct PeakMemory {
    start_kib: f64,
}

impl PeakMemory {
    /// Starts a measurement.
    ///
    /// # Panics
    /// If the system is not Linux.
    #[must_use]
    pub fn start() -> Self {
        std::fs::write("/proc/self/clear_refs", "5").expect("the peak can be reset");
        Self { start_kib: peak_kib() }
    }

    /// Returns the peak above the start, in MiB.
    #[must_use]
    pub fn mib(&self) -> f64 {
        (peak_kib() - self.start_kib) / 1024.0
    }
}

fn peak_kib() -> f64 {
    status_kib("self", "VmHWM:").expect("the status has the peak")
}

/// Returns the resident memory of a process, in MiB. The process is `self` or a number.
#[must_use]
pub fn resident_mib(process: &str) -> f64 {
    status_kib(process, "VmRSS:").unwrap_or_default() / 1024.0
}

/// Returns a line of the status of a process.
fn status_kib(process: &str, name: &str) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix(name))?;
    value.trim().strip_suffix(" kB")?.parse().ok()
}

/// Returns the CPU time of all threads of a process so far, in seconds. The process is `self` or a number.
#[must_use]
pub fn cpu_seconds(process: &str) -> f64 {
    /// Clock ticks per second, which is the same on all Linux machines.
    const TICKS: f64 = 100.0;

    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name of the program, in parentheses, may contain spaces.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: f64 = fields.skip(11).take(2).filter_map(|it| it.parse::<f64>().ok()).sum();
    ticks / TICKS
}

/// Waits until a child has exited. Its process id and its counters remain until `wait4`.
#[expect(unsafe_code, reason = "`std` waits for a child and removes it at once")]
fn wait_until_exit(process: u32) {
    // SAFETY: `siginfo_t` contains only integers and pointers that the kernel writes.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let flags = libc::WEXITED | libc::WNOWAIT;
    // SAFETY: the pointer refers to a local variable.
    while unsafe { libc::waitid(libc::P_PID, process, &raw mut info, flags) } != 0 {}
}

/// Returns the number of calls of `read` and `write` of a process.
fn calls(process: u32) -> u64 {
    let io = std::fs::read_to_string(format!("/proc/{process}/io")).unwrap_or_default();
    let count = |name| {
        let line = io.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|count| count.trim().parse::<u64>().ok()).unwrap_or_default()
    };
    count("syscr:") + count("syscw:")
}

/// Returns the millions of instructions in user mode, or `None` if valgrind is not installed.
#[must_use]
pub fn millions_of_instructions(command: &Command) -> Option<f64> {
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
