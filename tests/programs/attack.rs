//! Attacks the state directories of jobs of the superuser, as another user: with links, FIFOs, planted records and
//! swapped folders, in a loop.
//!
//! Usage, as the superuser: `attack URL SECONDS`. The gateway at the URL must be empty. Fails if a file outside the state
//! directories changes, a process hangs, a planted record is sent, or an outcome does not arrive.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use metrics_push::{Gateway, Job, Outcome};

/// The user and group `nobody`.
const ATTACKER: u32 = 65_534;
const CANARY: &str = "only the superuser may change this file";
/// How long a job may take. It needs a few milliseconds on an idle machine.
const MAX_RUNTIME: Duration = Duration::from_secs(60);
/// No server listens on this port.
const DEAD_URL: &str = "http://127.0.0.1:9";
/// The job of the planted records.
const PLANTED: &str = "planted";

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["attacker", folder, url] => attack(Path::new(folder), url),
        ["job"] => Job::new("job").whole_process().run(|_| Ok::<(), String>(())).unwrap(),
        ["scheduler", seconds] => schedule(seconds.parse().unwrap()),
        [url, seconds] => defend(url, Duration::from_secs(seconds.parse().unwrap())),
        _ => panic!("usage: attack URL SECONDS"),
    }
}

/// Runs tasks until the time is over.
fn schedule(seconds: u64) {
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        Job::new("task").start_with(&[]).finish(Outcome::Success);
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(metrics_push::flush(MAX_RUNTIME), 0);
}

/// The folders of one attack, removed on drop.
struct Scene(PathBuf);

impl Scene {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("metrics-push-attack-{}", std::process::id()));
        // A killed test with the same process id may have left one.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let scene = Self(path);
        fs::create_dir(scene.outside()).unwrap();
        fs::write(scene.canary(), CANARY).unwrap();
        for (name, mode) in [("sticky", 0o1777), ("open", 0o777), ("foreign", 0o755)] {
            fs::create_dir(scene.0.join(name)).unwrap();
            fs::set_permissions(scene.0.join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        chown(scene.0.join("foreign"), Some(ATTACKER), Some(ATTACKER)).unwrap();
        scene
    }

    fn outside(&self) -> PathBuf {
        self.0.join("outside")
    }

    fn canary(&self) -> PathBuf {
        self.outside().join("canary")
    }

    /// The folders in which the attacker can create entries.
    fn attacked(&self) -> [PathBuf; 3] {
        ["sticky", "open", "foreign"].map(|name| self.0.join(name))
    }

    /// The state directories: the attacked folders, and directories in them that may not exist.
    fn state_dirs(&self) -> Vec<PathBuf> {
        let attacked = self.attacked();
        attacked.iter().flat_map(|folder| [folder.clone(), folder.join("state")]).collect()
    }

    fn assert_outside_is_unchanged(&self) {
        assert_eq!(fs::read_to_string(self.canary()).unwrap(), CANARY);
        assert_eq!(fs::read_dir(self.outside()).unwrap().count(), 1);
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A child process, killed on drop.
struct Process(Child);

impl Process {
    fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    fn wait(&mut self, description: &str) -> ExitStatus {
        let deadline = Instant::now() + MAX_RUNTIME;
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "{description} hangs");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn this_program(arguments: &[&OsStr]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(arguments);
    command
}

/// Runs jobs and schedulers while they are attacked.
fn defend(url: &str, duration: Duration) {
    let scene = Scene::new();
    let mut attackers: Vec<_> = scene
        .attacked()
        .iter()
        .map(|folder| {
            let arguments = [OsStr::new("attacker"), folder.as_os_str(), OsStr::new(url)];
            Process::start(this_program(&arguments).uid(ATTACKER).gid(ATTACKER))
        })
        .collect();
    let command = |arguments: &[&str], state_dir: &Path, name: &str| {
        let mut command = this_program(&arguments.iter().map(OsStr::new).collect::<Vec<_>>());
        command.env("METRICS_PUSH_URL", url).env("METRICS_PUSH_STATE_DIR", state_dir);
        command.env("METRICS_PUSH_JOB", name).env("METRICS_PUSH_GROUPING", format!("from={name}"));
        command.stderr(std::process::Stdio::null());
        command
    };
    let seconds = duration.as_secs().to_string();
    let state_dirs = scene.state_dirs();
    let mut expected = BTreeSet::new();
    let mut schedulers = Vec::new();
    for (number, state_dir) in state_dirs.iter().enumerate() {
        let name = format!("scheduler-{number}");
        let mut command = command(&["scheduler", &seconds], state_dir, &name);
        schedulers.push(Process::start(&mut command));
        expected.insert(name);
    }
    let end = Instant::now() + duration;
    let mut jobs = 0;
    while Instant::now() < end {
        for (number, state_dir) in state_dirs.iter().enumerate() {
            let name = format!("job-{number}");
            let status = Process::start(&mut command(&["job"], state_dir, &name)).wait("a job");
            assert!(status.success(), "{state_dir:?}: {status}");
            scene.assert_outside_is_unchanged();
            expected.insert(name);
            // The outcome of this job is spooled.
            let mut command = command(&["job"], state_dir, "spooled");
            command.env("METRICS_PUSH_URL", DEAD_URL).env("METRICS_PUSH_TIMEOUT", "100ms");
            assert!(Process::start(&mut command).wait("a job").success(), "{state_dir:?}");
            scene.assert_outside_is_unchanged();
            jobs += 2;
        }
    }
    for scheduler in &mut schedulers {
        assert!(scheduler.wait("a scheduler").success());
    }
    for attacker in &mut attackers {
        assert!(attacker.0.try_wait().unwrap().is_none(), "an attacker has exited");
    }
    scene.assert_outside_is_unchanged();
    let groups = Gateway::new(url).unwrap().metrics().unwrap();
    let name = |labels: &BTreeMap<String, String>| {
        labels.get("from").or_else(|| labels.get("job")).cloned().unwrap_or_default()
    };
    let found: BTreeSet<_> = groups.iter().map(|group| name(&group.labels)).collect();
    assert_eq!(found, expected);
    println!("{jobs} jobs and {} schedulers were attacked", schedulers.len());
}

/// Attacks a folder until the process is killed. Most operations fail, depending on the permissions of the folder.
fn attack(folder: &Path, url: &str) {
    let canary = folder.parent().unwrap().join("outside/canary");
    let outside = canary.parent().unwrap();
    for round in 0_usize.. {
        // Some jobs start between two rounds, others during a swap.
        std::thread::sleep(Duration::from_millis(20));
        for state_dir in [folder.to_owned(), folder.join("state")] {
            for name in ["journal", "spool", "history"] {
                let path = state_dir.join(name);
                remove(&path);
                match round % 8 {
                    0 => drop(symlink(outside, &path)),
                    1 => make_fifo(&path),
                    2..5 => plant(&path, Plant::Fifos, &canary, url),
                    _ => plant(&path, Plant::Links, &canary, url),
                }
            }
        }
        // Swaps the state directory.
        let (state, moved) = (folder.join("state"), folder.join(format!("moved-{round}")));
        let _ = fs::rename(&state, &moved);
        match round % 3 {
            0 => drop(symlink(outside, &state)),
            1 => drop(fs::create_dir(&state)),
            _ => drop(fs::rename(&moved, &state)),
        }
        remove(&moved);
    }
}

fn remove(path: &Path) {
    let _ = fs::remove_file(path);
    let _ = fs::remove_dir_all(path);
}

fn make_fifo(path: &Path) {
    let mode = rustix::fs::Mode::from_raw_mode(0o666);
    let _ = rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0);
}

/// The entries that the attacker creates.
#[derive(Clone, Copy)]
enum Plant {
    Links,
    Fifos,
}

/// Creates a folder with links or FIFOs under the names that the library uses, and with planted records.
fn plant(folder: &Path, kind: Plant, canary: &Path, url: &str) {
    let _ = fs::create_dir(folder);
    let _ = fs::set_permissions(folder, fs::Permissions::from_mode(0o777));
    let (record_name, record) = planted_record(url);
    let names = [".lock", "recovery.lock", "dropped", "1-1.supervisor"].map(str::to_owned);
    let probes = next_processes().map(|process| format!(".probe-{process}"));
    let temps = next_processes().map(|process| format!("{record_name}.{process}-0.new"));
    for name in names.into_iter().chain(probes).chain(temps) {
        let path = folder.join(name);
        match kind {
            Plant::Links => drop(symlink(canary, path)),
            Plant::Fifos => make_fifo(&path),
        }
    }
    let _ = fs::hard_link(canary, folder.join("4-4.journal"));
    make_fifo(&folder.join("2-2.journal"));
    make_fifo(&folder.join("2-2.new"));
    let journal = format!(
        "metrics-push journal 1\tprocess=1\tboot=x\nstarted\tid=0\tat=1\tsink={url}\tjob={PLANTED}\tversion=\n"
    );
    let _ = fs::write(folder.join("3-3.journal"), journal);
    let _ = fs::write(folder.join(record_name), record);
}

/// Returns the ids that the next processes probably get.
fn next_processes() -> impl Iterator<Item = u32> {
    const NUMBER: u32 = 200;
    let load = fs::read_to_string("/proc/loadavg").unwrap();
    let last: u32 = load.split_whitespace().last().unwrap().parse().unwrap();
    last..last + NUMBER
}

/// Returns the name and the content of a valid record.
fn planted_record(url: &str) -> (String, String) {
    let text = "# TYPE planted gauge\nplanted 1\n";
    let fields = [url, "push", "1", PLANTED, "0", "1", "planted", text];
    let fields: String = fields.iter().map(|field| format!("{}:{field}\n", field.len())).collect();
    let name = format!("{:032x}.request", checksum(&format!("{url}\n/metrics/job/{PLANTED}")));
    (name, format!("metrics-push request 1 {:032x}\n{fields}", checksum(&fields)))
}

/// The 128-bit FNV-1a hash.
fn checksum(text: &str) -> u128 {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    text.bytes().fold(OFFSET, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME))
}
