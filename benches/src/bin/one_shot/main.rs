//! What a job pays for being watched: whole processes, side by side, that push to a real Pushgateway.
//!
//! `cargo run --release -p metrics-push-benches --bins` builds the job, `.. --bin one_shot` prints the table;
//! `prometheus-pushgateway` has to be installed, and valgrind for the instructions.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use metrics_push_benches::{Table, median, median_ratio};

const ROUNDS: usize = 41;

/// What the job pushes when it starts and when it ends, in size.
const START: &str = "# TYPE batch_job_last_start_timestamp_seconds gauge\n\
    batch_job_last_start_timestamp_seconds 1758000000.25\n";
const FAMILIES_AT_THE_END: usize = 20;

/// What a process took.
struct Usage {
    wall_ms: f64,
    cpu_ms: f64,
    resident_mib: f64,
}

/// A Pushgateway for as long as the bench runs.
struct Gateway {
    server: Child,
    address: SocketAddr,
}

impl Gateway {
    fn start() -> Self {
        let address = free_address();
        let server = Command::new("prometheus-pushgateway")
            .args(["--persistence.file=", &format!("--web.listen-address={address}")])
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus-pushgateway is installed");
        while TcpStream::connect(address).is_err() {
            thread::sleep(Duration::from_millis(20));
        }
        Self { server, address }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Whatever comes of it, the bench is over.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// An address on which nobody listens.
fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port")
}

/// The limit: the same two pushes on one connection, and nothing else.
fn push_raw(address: &str) {
    let end: String = (0..FAMILIES_AT_THE_END)
        .map(|number| {
            format!("# TYPE batch_job_family_{number} gauge\nbatch_job_family_{number} 1.5\n")
        })
        .collect();
    let mut stream = TcpStream::connect(address).expect("a gateway");
    for (method, body) in [("POST", START), ("PUT", &end)] {
        let length = body.len();
        let head = format!(
            "{method} /metrics/job/raw HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all((head + body).as_bytes()).expect("a gateway that listens");
        let mut answer = [0; 1024];
        let length = stream.read(&mut answer).expect("a gateway that answers");
        assert!(answer[..length].starts_with(b"HTTP/1.1 200"), "{:?}", &answer[..length]);
    }
}

/// Runs a process to its end.
#[expect(unsafe_code, reason = "`std` doesn't tell what a child used")]
#[expect(clippy::zombie_processes, reason = "`wait4` waits for it")]
fn usage_of(mut command: Command) -> Usage {
    let begin = Instant::now();
    let child = command.stderr(Stdio::null()).spawn().expect("a program that starts");
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
    }
}

fn program(name: &str) -> PathBuf {
    std::env::current_exe().expect("a path").with_file_name(name)
}

/// The job, for which only these variables are set.
fn job(url: Option<&str>) -> Command {
    let mut command = Command::new(program("one_shot_job"));
    command.env_clear().env("METRICS_PUSH_STATE_DIR", "off");
    if let Some(url) = url {
        command.env("METRICS_PUSH_URL", url);
    }
    command
}

fn own(argument: &[&str]) -> Command {
    let mut command = Command::new(program("one_shot"));
    command.args(argument);
    command
}

fn with_state_dir(mut command: Command, state: &str) -> Command {
    command.env("METRICS_PUSH_STATE_DIR", state);
    command
}

/// Instructions in user mode, by valgrind.
fn millions_of_instructions(command: &Command) -> f64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .output()
        .expect("valgrind is installed");
    let log = String::from_utf8_lossy(&output.stderr);
    let count = log.lines().find_map(|line| line.split_once("Collected : "));
    count.and_then(|(_, count)| count.trim().parse::<f64>().ok()).unwrap_or(f64::NAN) / 1e6
}

fn compare() {
    let gateway = Gateway::start();
    let address = gateway.address.to_string();
    let url = format!("http://{address}");
    let state = std::env::temp_dir().join(format!("one-shot-{}", std::process::id()));
    let state = state.to_str().expect("a temporary directory").to_owned();
    type Start<'a> = Box<dyn Fn() -> Command + 'a>;
    let rows: [(&str, Start<'_>); 5] = [
        ("no pushes", Box::new(|| own(&["bare"]))),
        ("raw socket", Box::new(|| own(&["raw", &address]))),
        ("job", Box::new(|| job(Some(&url)))),
        ("job, state directory", Box::new(|| with_state_dir(job(Some(&url)), &state))),
        ("job, no URL", Box::new(|| job(None))),
    ];
    let mut walls = [const { Vec::new() }; 5];
    let mut usages = [const { Vec::new() }; 5];
    for _ in 0..ROUNDS {
        for (row, (_, start)) in rows.iter().enumerate() {
            let usage = usage_of(start());
            walls[row].push(usage.wall_ms);
            usages[row].push(usage);
        }
    }
    let mut table =
        Table::new(&["process", "wall, ms", "CPU, ms", "resident, MiB", "instructions, M"]);
    let median_of =
        |row: usize, of: fn(&Usage) -> f64| median(&usages[row].iter().map(of).collect::<Vec<_>>());
    let cells = |row: usize, name: &str, instructions: f64| {
        let [wall, cpu, resident] = [
            |usage: &Usage| usage.wall_ms,
            |usage: &Usage| usage.cpu_ms,
            |usage: &Usage| usage.resident_mib,
        ]
        .map(|of| format!("{:.2}", median_of(row, of)));
        [name.to_owned(), wall, cpu, resident, format!("{instructions:.2}")]
    };
    let instructions: Vec<_> =
        rows.iter().map(|(_, start)| millions_of_instructions(&start())).collect();
    for (row, (name, _)) in rows.iter().enumerate() {
        table.row(&cells(row, name, instructions[row]));
    }
    let refused = usage_of(job(Some(&format!("http://{}", free_address()))));
    let once = [refused.wall_ms, refused.cpu_ms, refused.resident_mib].map(|n| format!("{n:.2}"));
    let [wall, cpu, resident] = &once;
    table.row(&["job, dead gateway (once)", wall, cpu, resident, ""]);
    println!("{table}");
    let mut table = Table::new(&["job", "measured", "at most", ""]);
    table.ratio("wall / raw socket", median_ratio(&walls[2], &walls[1]), 1.25);
    table.ratio("CPU, ms", median_of(2, |usage| usage.cpu_ms), 2.0);
    table.ratio("resident, MiB", median_of(2, |usage| usage.resident_mib), 5.0);
    table.ratio("instructions, M", instructions[2], 1.5);
    println!("{table}");
    // The directory may not have been needed.
    let _ = std::fs::remove_dir_all(&state);
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["bare"] => {}
        ["raw", address] => push_raw(address),
        _ => compare(),
    }
}
