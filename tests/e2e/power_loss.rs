//! Power losses: a job's file operations are recorded, and after each of them the power fails. What had not been synced
//! is then there, gone, zeros, or torn in the middle.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;

use metrics_push::Outcome;
use metrics_push::testing::FakeGateway;

use crate::child::{Panics, Start, job};
use crate::state_dir::StateDir;

/// One operation on the journal's folder, or what the job's body says.
#[derive(Debug)]
enum Operation {
    Create(String),
    Write(String, Vec<u8>),
    Rename(String, String),
    Remove(String),
    SyncFile(String),
    SyncFolder,
    BodyBegins,
}

/// What became of what was not synced.
#[derive(Clone, Copy, Debug)]
enum Unsynced {
    Kept,
    Gone,
    /// The names are there, and the files empty.
    OnlyNames,
    /// The names are there, and the files as long as they were.
    Zeros,
    /// The names are there, and half of the data.
    Torn,
    /// The data is there, under the old names.
    OnlyData,
}

const FATES: [Unsynced; 6] = [
    Unsynced::Kept,
    Unsynced::Gone,
    Unsynced::OnlyNames,
    Unsynced::Zeros,
    Unsynced::Torn,
    Unsynced::OnlyData,
];

/// A file, and how much of it is on the disk.
#[derive(Clone, Default)]
struct Content {
    data: Vec<u8>,
    synced: usize,
}

/// A folder, and which of its names are on the disk.
#[derive(Default)]
struct Folder {
    files: Vec<Content>,
    names: BTreeMap<String, usize>,
    synced: BTreeMap<String, usize>,
}

impl Folder {
    fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::Create(name) => {
                self.names.insert(name.clone(), self.files.len());
                self.files.push(Content::default());
            }
            Operation::Write(name, bytes) => self.file(name).data.extend_from_slice(bytes),
            Operation::Rename(from, to) => {
                let file = self.names.remove(from).unwrap();
                self.names.insert(to.clone(), file);
            }
            Operation::Remove(name) => drop(self.names.remove(name)),
            Operation::SyncFile(name) => {
                let file = self.file(name);
                file.synced = file.data.len();
            }
            Operation::SyncFolder => self.synced = self.names.clone(),
            Operation::BodyBegins => {}
        }
    }

    fn file(&mut self, name: &str) -> &mut Content {
        let file = self.names[name];
        &mut self.files[file]
    }

    /// What is there when the power is back.
    fn after(&self, unsynced: Unsynced) -> BTreeMap<&str, Vec<u8>> {
        let names = match unsynced {
            Unsynced::Gone | Unsynced::OnlyData => &self.synced,
            _ => &self.names,
        };
        let content = |Content { data, synced }: &Content| {
            let mut left = data.clone();
            match unsynced {
                Unsynced::Kept | Unsynced::OnlyData => {}
                Unsynced::Gone | Unsynced::OnlyNames => left.truncate(*synced),
                Unsynced::Zeros => left[*synced..].fill(0),
                Unsynced::Torn => left.truncate(synced.midpoint(data.len())),
            }
            left
        };
        names.iter().map(|(name, file)| (name.as_str(), content(&self.files[*file]))).collect()
    }
}

fn configured(start: Start, gateway: &FakeGateway, state: &StateDir) -> Start {
    start.gateway(&gateway.url()).variable("METRICS_PUSH_STATE_DIR", state.path())
}

/// What a job that succeeds does to its journal.
fn recorded(gateway: &FakeGateway, options: &[&str]) -> Vec<Operation> {
    let state = StateDir::new();
    let log = state.path().join("calls");
    let calls = "trace=openat,write,/^rename,/^unlink,fsync,fdatasync";
    let output = format!("--output={}", log.display());
    let tracer =
        ["strace", "--follow-forks", "-y", "-xx", "-s", "65536", "-qq", "-e", calls, &output];
    let arguments: Vec<_> = options.iter().copied().chain(["ready"]).collect();
    let start = configured(job(Panics::Unwind, &arguments), gateway, &state);
    assert!(start.within(&tracer).run_to_end().status.success());
    let mut text = String::new();
    fs::File::open(&log).unwrap().read_to_string(&mut text).unwrap();
    let folder = state.path().join("journal");
    text.lines().filter_map(|line| operation(line, &folder)).collect()
}

/// A call, unless it is about something else. One that another thread interrupts in the log counts from its beginning.
fn operation(line: &str, folder: &Path) -> Option<Operation> {
    let (_, call) = line.split_once(' ')?;
    let (name, arguments) = call.trim_start().split_once('(')?;
    let texts: Vec<_> = arguments.split('"').skip(1).step_by(2).map(unhex).collect();
    let descriptor = arguments.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    let opened = descriptor.map(|(path, _)| unhex(path)).unwrap_or_default();
    let text = |at: usize| String::from_utf8(texts.get(at)?.clone()).ok();
    let within =
        |path: String| Path::new(&path).strip_prefix(folder).ok()?.to_str().map(str::to_owned);
    let opened = String::from_utf8(opened).ok()?;
    match name {
        "openat" if arguments.contains("O_EXCL") => Some(Operation::Create(within(text(0)?)?)),
        "write" if texts.first().is_some_and(|said| said == b"before\n") => {
            Some(Operation::BodyBegins)
        }
        "write" => Some(Operation::Write(within(opened)?, texts.first()?.clone())),
        "rename" => Some(Operation::Rename(within(text(0)?)?, within(text(1)?)?)),
        "renameat" | "renameat2" => Some(Operation::Rename(within(text(0)?)?, within(text(1)?)?)),
        // The probe of the folder comes and goes before the journal.
        "unlink" | "unlinkat" => {
            within(text(0)?).filter(|name| !name.starts_with(".probe")).map(Operation::Remove)
        }
        "fsync" if Path::new(&opened) == folder => Some(Operation::SyncFolder),
        "fsync" | "fdatasync" => Some(Operation::SyncFile(within(opened)?)),
        _ => None,
    }
}

/// What `-xx` makes of bytes; what is no number is itself.
fn unhex(text: &str) -> Vec<u8> {
    match text.strip_prefix("\\x") {
        Some(rest) => rest.split("\\x").map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect(),
        None => text.as_bytes().to_vec(),
    }
}

/// What the gateway says of the job.
fn outcome(gateway: &FakeGateway) -> Option<&'static str> {
    let group = gateway.find_group("ending", &[])?;
    let holds = |outcome: &&str| {
        group.get("batch_job_last_run_outcome", &[("outcome", outcome)]) > Some(0.0)
    };
    Outcome::ALL.into_iter().map(Outcome::as_str).find(holds)
}

/// Starts the machine again: the next run of any job reports what it finds.
fn restart(gateway: &FakeGateway, left: &BTreeMap<&str, Vec<u8>>) -> Option<&'static str> {
    let state = StateDir::new();
    for (name, data) in left {
        fs::write(state.path().join("journal").join(name), data).unwrap();
    }
    let later = job(Panics::Unwind, &["ok"]).variable("METRICS_PUSH_JOB", "later");
    let ended = configured(later, gateway, &state).run_to_end();
    assert!(ended.status.success(), "{ended:?}");
    assert!(state.journals().is_empty(), "{:?}: {ended:?}", state.journals());
    outcome(gateway)
}

/// Has the power fail after each operation, in each way; `judge` gets what had been done, and what is then told by a
/// gateway that had not heard of the run, and by one that had heard of its end.
fn each_loss(options: &[&str], judge: impl Fn(&[Operation], Unsynced, Option<&str>)) {
    let gateway = FakeGateway::start();
    let operations = recorded(&gateway, options);
    assert!(operations.len() >= 6, "{operations:?}");
    let mut losses = Vec::new();
    let mut folder = Folder::default();
    for (number, operation) in operations.iter().enumerate() {
        folder.apply(operation);
        for unsynced in FATES {
            let left = folder.after(unsynced);
            let left: BTreeMap<_, _> =
                left.into_iter().map(|(name, data)| (name.to_owned(), data)).collect();
            losses.push((&operations[..=number], unsynced, left));
        }
    }
    for (done, unsynced, left) in &losses {
        let left = left.iter().map(|(name, data)| (name.as_str(), data.clone())).collect();
        let told = restart(&gateway, &left);
        assert_eq!(told, Some("success"), "the gateway had heard of it: {unsynced:?} {done:?}");
    }
    for (done, unsynced, left) in &losses {
        gateway.clear();
        let left = left.iter().map(|(name, data)| (name.as_str(), data.clone())).collect();
        judge(done, *unsynced, restart(&gateway, &left));
    }
}

fn has_ended(done: &[Operation]) -> bool {
    let is_end = |operation: &Operation| matches!(operation, Operation::Write(_, bytes) if bytes.starts_with(b"ended"));
    done.iter().any(is_end)
}

#[test]
fn with_syncing_no_run_whose_body_began_is_lost() {
    each_loss(&["synced"], |done, unsynced, told| {
        let has = |what: fn(&Operation) -> bool| done.iter().any(what);
        let has_begun = has(|operation| matches!(operation, Operation::BodyBegins));
        let is_removed = has(|operation| matches!(operation, Operation::Remove(_)));
        let is_end_synced = has_ended(done) && matches!(done.last(), Some(Operation::SyncFile(_)));
        match told {
            Some("success") => assert!(has_ended(done), "{unsynced:?} {done:?}"),
            Some(told) => {
                assert_eq!(told, "abandoned");
                assert!(!is_end_synced && !is_removed, "{unsynced:?} {done:?}");
            }
            None => assert!(!has_begun || is_removed, "{unsynced:?} {done:?}"),
        }
    });
}

#[test]
fn without_syncing_a_run_may_be_lost_and_none_is_told_a_success_that_was_none() {
    each_loss(&[], |done, unsynced, told| match told {
        Some("success") => assert!(has_ended(done), "{unsynced:?} {done:?}"),
        told => assert!(told.is_none_or(|told| told == "abandoned"), "{unsynced:?} {done:?}"),
    });
}
