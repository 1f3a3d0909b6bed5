//! Reports the runs of dead processes: once, oldest first, and without replacing newer values.
//!
//! A process that holds the lock of a dead process' journal may report its runs. One process at a time does so in a folder,
//! so that reports are in order. A run is superseded if another journal, or the gateway, has a newer one of its group.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::line::{Finished, Header, InvalidJournal, JournaledRun, Line, Started, parse};
use super::reconcile::{GatewayState, Recency, unreported_families};
use crate::clock::Moment;
use crate::delivery::policy::RECEIPT_GRACE;
use crate::delivery::{DeliveryClass, Receipt};
use crate::dispatcher::dispatcher;
use crate::job::completion::Completion;
use crate::job::resource_usage::ResourceUsage;
use crate::job::run_metrics::{Progress, completion_metrics};
use crate::job::spec::Extent;
use crate::log;
use crate::oneshot::Receiver;
use crate::pipeline::Pipeline;
use crate::push_request::{PushRequest, encode};
use crate::sink::Sink;
use crate::sink::pushgateway::StoredGroup;
use crate::sync::Mutex;

/// The folder in the state directory.
pub(in crate::job) const FOLDER: &str = "journal";

/// The extension of a journal.
pub(super) const JOURNAL_EXTENSION: &str = "journal";

/// The extension of a supervisor's file.
pub(in crate::job) const SUPERVISOR_EXTENSION: &str = "supervisor";

/// The extension of the file whose lock a recovering process holds.
const LOCK_EXTENSION: &str = "lock";

/// How long a gateway may take to list its groups.
const QUERY_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a journal stays on disk if no process is configured for its sinks.
const JOURNAL_TTL: Duration = Duration::from_secs(30 * 24 * 3_600);

/// How old a file without its final name must be to count as abandoned.
const TEMPORARY_FILE_TTL: Duration = Duration::from_secs(600);

/// The minimum interval between two searches for journals of dead processes.
const SEARCH_INTERVAL: Duration = Duration::from_secs(60);

/// Numbers of runs of dead processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RecoveredRuns {
    pub(crate) reported: usize,
    /// Runs that stay in their journal.
    pub(crate) left: usize,
}

/// Reports the runs of dead processes in the state directory of the pipeline.
pub(crate) fn recover(pipeline: &Pipeline, timeout: Duration) -> RecoveredRuns {
    let found = pipeline.state_dir.folder(FOLDER).and_then(|folder| find(&folder, pipeline));
    let Some(mut recovery) = found else { return RecoveredRuns::default() };
    recovery.report(pipeline, None);
    recovery.settle(timeout)
}

/// The journals of dead processes in a folder, while this process holds the recovery lock.
pub(in crate::job) struct OrphanRecovery {
    /// Holds the lock that excludes other recovering processes.
    _lock: File,
    orphans: Vec<OrphanedJournal>,
    /// Runs of live processes with the process id, which may supersede those of dead ones.
    live_runs: Vec<(u32, JournaledRun)>,
    /// The groups of each gateway by URL; `None` if it could not be queried.
    gateways: BTreeMap<String, Option<Vec<StoredGroup>>>,
    reports: Vec<Report>,
}

/// The journal of a dead process, locked by this one.
pub(in crate::job) struct OrphanedJournal {
    file: File,
    path: PathBuf,
    pub(in crate::job) header: Header,
    pub(in crate::job) runs: Vec<JournaledRun>,
    left: usize,
}

/// The report of one run to one sink.
struct Report {
    journal: usize,
    id: u64,
    /// `None` if there was nothing to report.
    receipt: Option<Receiver<Receipt>>,
}

/// Returns the folder if a search for journals of dead processes in it is due: at the first run of this process and
/// then once per interval, if the folder has other files than the journal of this process.
pub(in crate::job) fn take_due_folder(folder: &Path) -> Option<PathBuf> {
    static SEARCHED_AT: Mutex<BTreeMap<PathBuf, Moment>> = Mutex::new(BTreeMap::new());

    let mut searched_at = SEARCHED_AT.lock();
    let now = Moment::now();
    if searched_at.get(folder).is_some_and(|last| now.since(*last) < SEARCH_INTERVAL) {
        return None;
    }
    searched_at.insert(folder.to_owned(), now);
    has_other_files(folder).then(|| folder.to_owned())
}

fn has_other_files(folder: &Path) -> bool {
    let counts = |path: &Path| path.extension().is_some_and(|it| it != LOCK_EXTENSION);
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(Result::ok).filter(|entry| counts(&entry.path())).nth(1).is_some()
}

/// Looks for journals of dead processes. Returns `None` if there are none, or another process is recovering them.
pub(in crate::job) fn find(folder: &Path, pipeline: &Pipeline) -> Option<OrphanRecovery> {
    let lock = OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("recovery").with_extension(LOCK_EXTENSION))
        .ok()?;
    lock.try_lock().ok()?;
    let mut recovery = OrphanRecovery {
        _lock: lock,
        orphans: Vec::new(),
        live_runs: Vec::new(),
        gateways: BTreeMap::new(),
        reports: Vec::new(),
    };
    let mut paths: Vec<_> =
        fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some(JOURNAL_EXTENSION) => recovery.read_journal(path, folder),
            Some(SUPERVISOR_EXTENSION) if File::open(&path).is_ok_and(|file| try_lock(&file)) => {
                drop(fs::remove_file(path));
            }
            Some("new") if is_older(&path, TEMPORARY_FILE_TTL) => drop(fs::remove_file(path)),
            _ => {}
        }
    }
    let urls = sink_urls(pipeline);
    recovery.orphans.retain_mut(|orphan| orphan.retain_for(&urls));
    if recovery.orphans.is_empty() {
        return None;
    }
    let gateways =
        pipeline.routes.iter().map(|route| (route.to_string(), list_groups(route.sink())));
    recovery.gateways = gateways.collect();
    Some(recovery)
}

/// Returns the URLs of all sinks, without credentials.
pub(in crate::job) fn sink_urls(pipeline: &Pipeline) -> Vec<String> {
    pipeline.routes.iter().map(ToString::to_string).collect()
}

/// Returns an id that is different after each boot of the machine.
pub(super) fn boot_id() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

fn is_older(path: &Path, age: Duration) -> bool {
    let modified = fs::metadata(path).and_then(|found| found.modified());
    modified.is_ok_and(|at| Moment::now().wall().duration_since(at).is_ok_and(|since| since > age))
}

/// Locks a file if no live process has locked it. On file systems without locks every process counts as alive.
fn try_lock(file: &File) -> bool {
    match file.try_lock() {
        Ok(()) => true,
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => false,
    }
}

impl OrphanedJournal {
    /// Keeps the runs whose sinks this process is configured for. The others stay in the journal for another process,
    /// up to [`JOURNAL_TTL`]. Returns false if no run remains.
    fn retain_for(&mut self, urls: &[String]) -> bool {
        let all = self.runs.len();
        self.runs.retain(|run| run.started.sinks.iter().all(|sink| urls.contains(sink)));
        self.left = all - self.runs.len();
        if all == 0 || (self.runs.is_empty() && is_older(&self.path, JOURNAL_TTL)) {
            let _ = fs::remove_file(&self.path);
        }
        !self.runs.is_empty()
    }

    /// Returns when the run was found first. Records the time in the journal, so that repeated reports have the same
    /// time.
    fn record_found(&mut self, run: &mut JournaledRun) -> f64 {
        *run.found_at.get_or_insert_with(|| {
            let now = Moment::now().unix_seconds();
            if run.finished.is_none() {
                let Header { process, boot, .. } = &self.header;
                let how = if *boot == boot_id() { "died" } else { "ended when the machine restarted" };
                log::warn(format_args!(
                    "the run of {} that started at {:.3} was abandoned: its process {process} {how}",
                    run.started.key, run.started.at
                ));
            }
            let _ = self.file.write_all(Line::Abandoned(run.id, now).to_text().as_bytes());
            now
        })
    }
}

impl OrphanRecovery {
    fn read_journal(&mut self, path: PathBuf, folder: &Path) {
        let Ok(mut file) = open(&path) else { return };
        // Locked before it is read, so that a dead owner's journal is complete.
        let is_dead = try_lock(&file);
        let Ok(text) = read(&mut file) else { return };
        // The owner, or another recovering process, may have removed it since.
        if is_dead && !path.exists() {
            return;
        }
        let contents = match parse(&text) {
            Ok(contents) => contents,
            // The owner may be alive, so the file stays.
            Err(InvalidJournal::Truncated) if !is_dead => return,
            Err(reason) => return report_invalid(&path, reason),
        };
        let supervisor = contents.header.supervisor.as_ref();
        let is_supervised = supervisor.is_some_and(|name| {
            File::open(folder.join(name)).is_ok_and(|supervisor| !try_lock(&supervisor))
        });
        if is_dead && !is_supervised {
            // Ends an incomplete last line before lines are appended.
            if !text.ends_with('\n') {
                let _ = file.write_all(b"\n");
            }
            let (header, runs) = (contents.header, contents.runs);
            self.orphans.push(OrphanedJournal { file, path, header, runs, left: 0 });
        } else {
            let process = contents.header.process;
            self.live_runs.extend(contents.runs.into_iter().map(|run| (process, run)));
        }
    }

    /// Submits a report for each run of a dead process. `starting` is the id of a run of this process whose start is
    /// submitted after these reports, so it does not supersede them.
    pub(in crate::job) fn report(&mut self, pipeline: &Pipeline, starting: Option<u64>) {
        let mut dead: Vec<_> = self
            .orphans
            .iter()
            .enumerate()
            .flat_map(|(journal, orphan)| orphan.runs.iter().map(move |run| (journal, run.clone())))
            .collect();
        dead.sort_by(|(_, a), (_, b)| a.started.at.total_cmp(&b.started.at));
        for (journal, mut run) in dead.clone() {
            let is_superseded = dead.iter().any(|(_, other)| is_newer(other, &run))
                || self.live_runs.iter().any(|(process, other)| {
                    let is_starting = *process == std::process::id() && starting == Some(other.id);
                    !is_starting && is_newer(other, &run)
                });
            let recency = if is_superseded { Recency::Superseded } else { Recency::Newest };
            let found_at = self.orphans[journal].record_found(&mut run);
            for route in &pipeline.routes {
                let url = route.to_string();
                if !run.started.sinks.contains(&url) {
                    continue;
                }
                let groups = self.gateways.get(&url).and_then(Option::as_ref);
                let state = groups.map(|groups| GatewayState::read(groups, &run.started.key));
                let families = unreported_families(&run, found_at, recency, state.as_ref());
                let receipt = (!families.is_empty()).then(|| {
                    let request = PushRequest::add(run.started.key.clone(), families);
                    let (timeout, class) = (pipeline.timeout, DeliveryClass::Spooled);
                    dispatcher().submit_for_receipt(route, request, timeout, class)
                });
                self.reports.push(Report { journal, id: run.id, receipt });
            }
        }
    }

    /// Waits for the receipts.
    pub(in crate::job) fn settle(mut self, timeout: Duration) -> RecoveredRuns {
        settle(&mut self.orphans, self.reports, timeout)
    }
}

/// Waits for the receipts, acknowledges the runs in their journals, and removes journals without runs.
fn settle(
    journals: &mut [OrphanedJournal],
    reports: Vec<Report>,
    timeout: Duration,
) -> RecoveredRuns {
    let deadline = Moment::now().after(timeout.saturating_add(RECEIPT_GRACE));
    let mut is_left: BTreeMap<(usize, u64), bool> = BTreeMap::new();
    for Report { journal, id, receipt } in reports {
        let stays = receipt.is_some_and(|receipt| {
            let receipt = receipt.wait(deadline.remaining());
            receipt.is_none_or(|receipt| receipt.is_worth_resending())
        });
        *is_left.entry((journal, id)).or_default() |= stays;
    }
    let mut recovered = RecoveredRuns::default();
    for ((journal, id), is_left) in is_left {
        let orphan = &mut journals[journal];
        if is_left {
            recovered.left += 1;
            orphan.left += 1;
        } else {
            recovered.reported += 1;
            let _ = orphan.file.write_all(Line::Acknowledged(id).to_text().as_bytes());
        }
    }
    for orphan in journals.iter().filter(|orphan| orphan.left == 0) {
        let _ = fs::remove_file(&orphan.path);
    }
    recovered
}

/// Returns the journals in a folder without locking them, for a supervisor whose job is dead.
pub(in crate::job) fn journals(folder: &Path) -> impl Iterator<Item = OrphanedJournal> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let journals = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == JOURNAL_EXTENSION));
    journals.filter_map(|path| {
        let mut file = open(&path).ok()?;
        let text = read(&mut file).ok()?;
        let contents = parse(&text).ok()?;
        let (header, runs) = (contents.header, contents.runs);
        Some(OrphanedJournal { file, path, header, runs, left: 0 })
    })
}

/// Reports the finished runs of a process that has just died.
pub(in crate::job) fn report_finished(
    mut orphan: OrphanedJournal,
    pipeline: &Pipeline,
    usage: Option<ResourceUsage>,
) {
    let mut reports = Vec::new();
    for run in &orphan.runs {
        let Some(finished) = &run.finished else { continue };
        // If this process dies as well, a later one finds the completion.
        let line = Line::Finished(run.id, finished.clone());
        let _ = orphan.file.write_all(line.to_text().as_bytes());
        let families = encode(&finished_metrics(&run.started, finished, usage));
        for route in &pipeline.routes {
            let request = PushRequest::add(run.started.key.clone(), families.clone());
            let (timeout, class) = (pipeline.timeout, DeliveryClass::Final);
            let receipt = dispatcher().submit_for_receipt(route, request, timeout, class);
            reports.push(Report { journal: 0, id: run.id, receipt: Some(receipt) });
        }
    }
    settle(&mut [orphan], reports, pipeline.timeout);
}

fn finished_metrics(
    started: &Started,
    finished: &Finished,
    usage: Option<ResourceUsage>,
) -> crate::metrics::Snapshot {
    let completion = Completion {
        duration: finished.duration,
        usage: usage.filter(|_| started.extent == Extent::Process),
        ..Completion::at(finished.cause, started.at, finished.at)
    };
    completion_metrics(&started.expected, &Progress::default(), &completion)
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).open(path)
}

fn read(file: &mut File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn report_invalid(path: &Path, reason: InvalidJournal) {
    let display = path.display();
    match reason {
        InvalidJournal::Truncated => {
            log::warn(format_args!(
                "removed {display}: the journal is truncated and contains no run"
            ));
            let _ = fs::remove_file(path);
        }
        InvalidJournal::Newer => log::warn(format_args!(
            "skipped {display}: a newer version of metrics-push wrote this journal"
        )),
        InvalidJournal::Foreign => log::warn(format_args!(
            "skipped {display}: it is not a journal; move it out of the state directory"
        )),
    }
}

fn is_newer(other: &JournaledRun, run: &JournaledRun) -> bool {
    let (other, run) = (&other.started, &run.started);
    other.key == run.key
        && other.at > run.at
        && other.sinks.iter().any(|sink| run.sinks.contains(sink))
}

/// Returns the groups of a gateway; `None` if it cannot be queried.
fn list_groups(sink: &Sink) -> Option<Vec<StoredGroup>> {
    let Sink::Pushgateway(gateway) = sink.clone() else { return None };
    let groups = dispatcher().spawn(async move { gateway.metrics(QUERY_TIMEOUT).await.ok() });
    groups.wait(QUERY_TIMEOUT).flatten()
}
