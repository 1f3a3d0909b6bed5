//! Power loss: `strace` records the file operations of a job on its journal. For each prefix of these operations and each
//! way in which unsynced data can be lost, the test restores the files and starts another job. The reported outcome must
//! never be wrong.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;

use metrics_push::Outcome;
use metrics_push::testing::FakeGateway;

use crate::child::{JobCommand, PanicStrategy, job};
use crate::state_dir::StateDir;

/// One operation on the folder of journals, or the start of the job's body.
#[derive(Debug)]
enum Operation {
    Create(String),
    Write(String, Vec<u8>),
    Rename(String, String),
    Remove(String),
    SyncFile(String),
    SyncFolder,
    BodyStarts,
}

/// What the disk contains of the writes and renames that were not synced.
#[derive(Clone, Copy, Debug)]
enum Unsynced {
    Complete,
    Lost,
    /// The new names, with empty files.
    NamesOnly,
    /// The new names, with zeros in place of the data.
    Zeros,
    /// The new names, with half of the data.
    Truncated,
    /// The data, under the old names.
    DataOnly,
}

impl Unsynced {
    const ALL: [Self; 6] =
        [Self::Complete, Self::Lost, Self::NamesOnly, Self::Zeros, Self::Truncated, Self::DataOnly];
}

/// The content of a file, and how many bytes of it are synced.
#[derive(Clone, Default)]
struct Content {
    data: Vec<u8>,
    synced: usize,
}

/// A folder: its files, the index of each name in `files`, and the names at the last sync.
#[derive(Default)]
struct Folder {
    files: Vec<Content>,
    names: BTreeMap<String, usize>,
    synced: BTreeMap<String, usize>,
}

/// The files of a folder by name.
type Files = BTreeMap<String, Vec<u8>>;

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
            Operation::BodyStarts => {}
        }
    }

    fn file(&mut self, name: &str) -> &mut Content {
        let file = self.names[name];
        &mut self.files[file]
    }

    /// The files after a power loss.
    fn after_power_loss(&self, unsynced: Unsynced) -> Files {
        let names = match unsynced {
            Unsynced::Lost | Unsynced::DataOnly => &self.synced,
            _ => &self.names,
        };
        let content = |Content { data, synced }: &Content| {
            let mut content = data.clone();
            match unsynced {
                Unsynced::Complete | Unsynced::DataOnly => {}
                Unsynced::Lost | Unsynced::NamesOnly => content.truncate(*synced),
                Unsynced::Zeros => content[*synced..].fill(0),
                Unsynced::Truncated => content.truncate(synced.midpoint(data.len())),
            }
            content
        };
        names.iter().map(|(name, file)| (name.clone(), content(&self.files[*file]))).collect()
    }
}

fn configured(command: JobCommand, gateway: &FakeGateway, state: &StateDir) -> JobCommand {
    command.gateway(&gateway.url()).variable("METRICS_PUSH_STATE_DIR", state.path())
}

/// Records the operations of a successful job on its journal.
fn record(gateway: &FakeGateway, options: &[&str]) -> Vec<Operation> {
    let state = StateDir::new();
    let log = state.path().join("calls");
    let calls = "trace=openat,write,/^rename,/^unlink,fsync,fdatasync";
    let output = format!("--output={}", log.display());
    let tracer =
        ["strace", "--follow-forks", "-y", "-xx", "-s", "65536", "-qq", "-e", calls, &output];
    let arguments: Vec<_> = options.iter().copied().chain(["ready"]).collect();
    let command = configured(job(PanicStrategy::Unwind, &arguments), gateway, &state);
    assert!(command.within(&tracer).run_to_end().status.success());
    let mut text = String::new();
    fs::File::open(&log).unwrap().read_to_string(&mut text).unwrap();
    let folder = state.path().join("journal");
    text.lines().filter_map(|line| operation(line, &folder)).collect()
}

/// Parses a line of the log. Returns `None` for an unrelated call. `strace` splits a call into two lines if another
/// thread interrupts it; the first one is parsed.
fn operation(line: &str, folder: &Path) -> Option<Operation> {
    let (_, call) = line.split_once(' ')?;
    let (name, arguments) = call.trim_start().split_once('(')?;
    let texts: Vec<_> = arguments.split('"').skip(1).step_by(2).map(unhex).collect();
    let descriptor = arguments.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    let opened = descriptor.map(|(path, _)| unhex(path)).unwrap_or_default();
    let text = |at: usize| String::from_utf8(texts.get(at)?.clone()).ok();
    let opened = String::from_utf8(opened).ok()?;
    // A name is relative to the descriptor of a folder.
    let within = |path: String| {
        let path = Path::new(&opened).join(path);
        path.strip_prefix(folder).ok()?.to_str().map(str::to_owned)
    };
    match name {
        "openat" if arguments.contains("O_EXCL") => Some(Operation::Create(within(text(0)?)?)),
        "write" if texts.first().is_some_and(|line| line == b"before\n") => {
            Some(Operation::BodyStarts)
        }
        "write" => Some(Operation::Write(within(opened.clone())?, texts.first()?.clone())),
        "renameat" | "renameat2" => Some(Operation::Rename(within(text(0)?)?, within(text(1)?)?)),
        "unlinkat" => within(text(0)?).map(Operation::Remove),
        "fsync" if Path::new(&opened) == folder => Some(Operation::SyncFolder),
        "fsync" | "fdatasync" => Some(Operation::SyncFile(within(opened.clone())?)),
        _ => None,
    }
}

/// Decodes a string that `strace -xx` has encoded; any other string is returned as bytes.
fn unhex(text: &str) -> Vec<u8> {
    match text.strip_prefix("\\x") {
        Some(rest) => rest.split("\\x").map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect(),
        None => text.as_bytes().to_vec(),
    }
}

/// The stored outcome of the job.
fn outcome(gateway: &FakeGateway) -> Option<&'static str> {
    let group = gateway.find_group("ending", &[])?;
    let is_set = |outcome: &&str| {
        group.get("batch_job_last_run_outcome", &[("outcome", outcome)]) > Some(0.0)
    };
    Outcome::ALL.into_iter().map(Outcome::as_str).find(is_set)
}

/// Restores the files and runs another job, which reports the run in the journal. Returns the stored outcome.
fn report_after_restart(gateway: &FakeGateway, files: &Files) -> Option<&'static str> {
    let state = StateDir::new();
    for (name, data) in files {
        fs::write(state.path().join("journal").join(name), data).unwrap();
    }
    let later = job(PanicStrategy::Unwind, &["ok"]).variable("METRICS_PUSH_JOB", "later");
    let ended = configured(later, gateway, &state).run_to_end();
    assert!(ended.status.success(), "{ended:?}");
    assert!(state.journals().is_empty(), "{:?}: {ended:?}", state.journals());
    outcome(gateway)
}

/// Simulates a power loss after each operation, in each way. A stored success must not change.
/// `check` gets the completed operations and the outcome that is reported to a gateway without a group of the run.
fn for_each_loss(options: &[&str], check: impl Fn(&[Operation], Unsynced, Option<&str>)) {
    let gateway = FakeGateway::start();
    let operations = record(&gateway, options);
    assert!(operations.len() >= 6, "{operations:?}");
    let mut losses = Vec::new();
    let mut folder = Folder::default();
    for (number, operation) in operations.iter().enumerate() {
        folder.apply(operation);
        for unsynced in Unsynced::ALL {
            let files = folder.after_power_loss(unsynced);
            losses.push((&operations[..=number], unsynced, files));
        }
    }
    for (done, unsynced, files) in &losses {
        let outcome = report_after_restart(&gateway, files);
        assert_eq!(outcome, Some("success"), "a stored success changed: {unsynced:?} {done:?}");
    }
    for (done, unsynced, files) in &losses {
        gateway.clear();
        check(done, *unsynced, report_after_restart(&gateway, files));
    }
}

/// Returns true if the end of the run was written to the journal.
fn is_end_written(done: &[Operation]) -> bool {
    let is_end = |operation: &Operation| matches!(operation, Operation::Write(_, bytes) if bytes.starts_with(b"finished"));
    done.iter().any(is_end)
}

#[test]
fn durable_journal_loses_no_run_whose_body_started() {
    for_each_loss(&["durable-journal"], |done, unsynced, outcome| {
        let has = |is_match: fn(&Operation) -> bool| done.iter().any(is_match);
        let has_started = has(|operation| matches!(operation, Operation::BodyStarts));
        let is_removed = has(|operation| matches!(operation, Operation::Remove(_)));
        let is_end_synced =
            is_end_written(done) && matches!(done.last(), Some(Operation::SyncFile(_)));
        match outcome {
            Some("success") => assert!(is_end_written(done), "{unsynced:?} {done:?}"),
            Some(outcome) => {
                assert_eq!(outcome, "abandoned");
                assert!(!is_end_synced && !is_removed, "{unsynced:?} {done:?}");
            }
            None => assert!(!has_started || is_removed, "{unsynced:?} {done:?}"),
        }
    });
}

#[test]
fn default_journal_never_reports_a_false_success() {
    for_each_loss(&[], |done, unsynced, outcome| match outcome {
        Some("success") => assert!(is_end_written(done), "{unsynced:?} {done:?}"),
        outcome => assert!(matches!(outcome, None | Some("abandoned")), "{unsynced:?} {done:?}"),
    });
}
