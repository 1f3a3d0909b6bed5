//! Reports the runs of dead processes: once, oldest first, and without replacing newer values.
//!
//! If a process can lock a journal, the owner of the journal is dead. One process at a time reports the runs of a folder,
//! under a lock of the folder, so that reports are in order. A run is superseded if another journal, or the gateway, has a
//! newer one of its group.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use super::ended_runs::EndRecorder;
use super::line::{
    Finished, Header, InvalidJournal, JournalContents, JournaledRun, Line, RunIdentity, Started,
    parse,
};
use super::reconcile::{GatewayState, Recency, unreported_families};
use crate::clock::{Moment, format_timestamp};
use crate::delivery::policy::RECEIPT_GRACE;
use crate::delivery::{DeliveryClass, Receipt, Route};
use crate::dispatcher::dispatcher;
use crate::exposition::single_value;
use crate::file_size::write_within_limit;
use crate::job::run_metrics::LAST_START;
use crate::labels::GroupingKey;
use crate::log;
use crate::oneshot::Receiver;
use crate::pipeline::Pipeline;
use crate::push_request::PushRequest;
use crate::sink::{GroupStates, Model};
use crate::spool::Spool;
use crate::state_dir::{Folder, lock_within, read_within, touch};
use crate::sync::Mutex;

/// The folder in the state directory.
pub(in crate::job) const FOLDER: &str = "journal";

/// The extension of a journal.
pub(super) const JOURNAL_EXTENSION: &str = "journal";

/// The extension of a supervisor's file.
pub(in crate::job) const SUPERVISOR_EXTENSION: &str = "supervisor";

/// The extension of a file that does not have its first lines yet.
pub(in crate::job) const TEMP_EXTENSION: &str = "new";

/// The file whose lock a recovering process holds.
const LOCK_FILE: &str = "recovery.lock";

/// A larger file is not read. A journal is rewritten before it reaches this size.
const MAX_JOURNAL_SIZE: u64 = 128 * 1024 * 1024;

/// How long a job waits for the groups of a gateway.
const MAX_QUERY_TIMEOUT: Duration = Duration::from_secs(3);

/// The fraction of its time for which [`recover`] waits for the groups of a gateway, as a divisor.
const QUERY_TIME_DIVISOR: u32 = 4;

/// How long a journal stays on disk if no process is configured for its sinks.
const JOURNAL_TTL: Duration = Duration::from_secs(30 * 24 * 3_600);

/// How old a file without its final name must be to count as abandoned.
const TEMPORARY_FILE_TTL: Duration = Duration::from_secs(600);

/// The number of runs that are reported at the same time: few enough to store all of them in the spool, which may take some
/// milliseconds for each, while the job waits.
const MAX_REPORTED_RUNS: usize = 200;

/// The number of abandoned runs that a process logs in full.
const MAX_LOGGED_RUNS: usize = 5;

/// The minimum interval between two searches for journals of dead processes.
const SEARCH_INTERVAL: Duration = Duration::from_secs(60);

/// Numbers of runs of dead processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RecoveredRuns {
    /// Runs with a known ending whose completion the gateways have.
    pub(crate) delivered: usize,
    /// Runs without a known ending that were reported.
    pub(crate) abandoned: usize,
    /// Runs that stay in their journal.
    pub(crate) left: usize,
}

/// Reports the runs of dead processes in the state directory of the pipeline, until the deadline. Returns `None` if another
/// process does so all that time.
pub(crate) fn recover(pipeline: &Pipeline, deadline: Moment) -> Option<RecoveredRuns> {
    let Some(folder) = pipeline.state_dir.folder(FOLDER) else {
        return Some(RecoveredRuns::default());
    };
    let found = find_locked(&folder, lock(&folder, deadline.remaining())?, pipeline);
    let Some(mut recovery) = found else { return Some(RecoveredRuns::default()) };
    // Also those that are known to be down: the caller wants to know whether they respond again.
    recovery.query_groups(pipeline.routes.iter(), deadline.remaining() / QUERY_TIME_DIVISOR);
    Some(recovery.report_all(pipeline, deadline))
}

/// The runs of dead processes in a folder, while this process holds the recovery lock.
pub(in crate::job) struct OrphanRecovery {
    /// Holds the lock that excludes other recovering processes.
    _lock: File,
    recorder: EndRecorder,
    journals: Vec<OrphanedJournal>,
    /// Runs of live processes with the process id, which may supersede those of dead ones.
    live_runs: Vec<(u32, JournaledRun)>,
    /// The groups of each route whose sink responds, by the number of the route; `None` if the sink cannot be queried.
    groups: BTreeMap<usize, Option<GroupStates>>,
    /// The runs that are not reported yet, oldest first.
    pending: VecDeque<DeadRun>,
    reports: Vec<Report>,
    log: AbandonedLog,
}

/// The journal of a dead process.
pub(in crate::job) struct OrphanedJournal {
    folder: Arc<Folder>,
    name: String,
    pub(in crate::job) header: Header,
    pub(in crate::job) runs: Vec<JournaledRun>,
    /// The number of its runs that are not acknowledged, also of those that this process does not report.
    left: usize,
}

/// A journal by the state of its owner.
pub(super) enum OwnedJournal {
    /// The open file is locked.
    Orphaned(OrphanedJournal, File),
    /// The runs of a live process, or of one whose supervisor is alive, and the id of the process.
    Live(u32, Vec<JournaledRun>),
}

/// A run of a dead process, and the position of its journal.
struct DeadRun {
    journal: usize,
    run: JournaledRun,
    is_superseded: bool,
}

/// The reports of one run to its sinks.
struct Report {
    journal: usize,
    id: u64,
    /// Whether the ending of the run is known.
    is_finished: bool,
    /// Without those of sinks for which there was nothing to report.
    receipts: Vec<Receiver<Receipt>>,
}

/// A run whose reports are delivered or spooled.
struct SettledRun {
    is_finished: bool,
    /// All sinks have its report.
    is_accepted: bool,
}

/// Returns true if a search for journals of dead processes in this folder is due: at the first run of this process and
/// then once per interval, if the folder has other files than the journal of this process.
pub(in crate::job) fn take_due_search(folder: &Folder) -> bool {
    static SEARCHED_AT: Mutex<BTreeMap<u128, Moment>> = Mutex::new(BTreeMap::new());

    let mut searched_at = SEARCHED_AT.lock();
    let now = Moment::now();
    if searched_at.get(&folder.id()).is_some_and(|last| now.since(*last) < SEARCH_INTERVAL) {
        return false;
    }
    searched_at.insert(folder.id(), now);
    has_other_files(folder)
}

fn has_other_files(folder: &Folder) -> bool {
    let names = folder.names().into_iter().flatten();
    names.filter(|name| name != LOCK_FILE).nth(1).is_some()
}

/// Looks for journals of dead processes. Returns `None` if there are none, or another process is recovering them.
pub(in crate::job) fn find(folder: &Arc<Folder>, pipeline: &Pipeline) -> Option<OrphanRecovery> {
    let mut recovery = find_locked(folder, lock(folder, Duration::ZERO)?, pipeline)?;
    let is_up = |route: &&Route| {
        route.load_state();
        !route.is_down()
    };
    let timeout = pipeline.timeout.min(MAX_QUERY_TIMEOUT);
    recovery.query_groups(pipeline.routes.iter().filter(is_up), timeout);
    Some(recovery)
}

/// Waits for the recovery lock, at most for `timeout`.
fn lock(folder: &Folder, timeout: Duration) -> Option<File> {
    let file = folder.open_or_create_file(LOCK_FILE).ok()?;
    lock_within(&file, timeout).ok()?;
    Some(file)
}

fn find_locked(folder: &Arc<Folder>, lock: File, pipeline: &Pipeline) -> Option<OrphanRecovery> {
    let now = touch(&lock).ok()?;
    let mut recovery = OrphanRecovery {
        _lock: lock,
        // Before the journals are read, so that each run is in a journal or recorded.
        recorder: EndRecorder::start(),
        journals: Vec::new(),
        live_runs: Vec::new(),
        groups: BTreeMap::new(),
        pending: VecDeque::new(),
        reports: Vec::new(),
        log: AbandonedLog::default(),
    };
    let urls = sink_urls(pipeline);
    // The oldest journals come first.
    let mut names: Vec<_> = folder.names().ok()?.collect();
    names.sort_unstable();
    let mut invalid = InvalidFiles::default();
    for name in names {
        match name.rsplit_once('.') {
            Some((stem, JOURNAL_EXTENSION)) => {
                let read = if is_stem(stem) {
                    recovery.read_journal(folder, &name, &urls, now)
                } else {
                    Err(InvalidJournal::Foreign)
                };
                if let Err(reason) = read {
                    invalid.add(folder, name, reason);
                }
            }
            Some((stem, SUPERVISOR_EXTENSION)) if is_stem(stem) => remove_unlocked(folder, &name),
            Some((stem, TEMP_EXTENSION)) if is_stem(stem) => remove_older(folder, &name, now),
            _ => {}
        }
    }
    invalid.log(folder);
    (!recovery.journals.is_empty()).then_some(recovery)
}

/// Returns the URLs of all sinks, without credentials.
pub(in crate::job) fn sink_urls(pipeline: &Pipeline) -> Vec<String> {
    pipeline.routes.iter().map(|route| route.url().to_owned()).collect()
}

/// Returns an id that is different after each boot of the machine.
pub(super) fn boot_id() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

/// Returns true if a file is older than this age. `now` is a time of the same file system.
fn is_older(folder: &Folder, name: &str, age: Duration, now: SystemTime) -> bool {
    folder.entry(name).is_some_and(|entry| entry.age(now) > age)
}

/// Removes a temporary file of a dead process.
fn remove_older(folder: &Folder, name: &str, now: SystemTime) {
    if is_older(folder, name, TEMPORARY_FILE_TTL, now) {
        let _ = folder.remove(name);
    }
}

/// Returns true if a file with this stem belongs to a process: the time of its creation and the id of the process.
fn is_stem(stem: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    stem.split_once('-').is_some_and(|(time, process)| is_number(time) && is_number(process))
}

/// Removes the file of a dead supervisor.
fn remove_unlocked(folder: &Folder, name: &str) {
    if folder.open_file(name).is_ok_and(|file| try_lock(&file)) {
        let _ = folder.remove(name);
    }
}

/// Locks a file if no live process has locked it. On file systems without locks every process counts as alive.
fn try_lock(file: &File) -> bool {
    match file.try_lock() {
        Ok(()) => true,
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => false,
    }
}

impl OrphanedJournal {
    fn new(folder: &Arc<Folder>, name: String, contents: JournalContents) -> Self {
        let JournalContents { header, runs } = contents;
        Self { folder: Arc::clone(folder), name, header, left: runs.len(), runs }
    }

    /// Returns the journal with only the runs whose sinks this process is configured for; `None` if there are none. The other
    /// runs stay on disk for another process, up to [`JOURNAL_TTL`].
    fn with_runs_for(mut self, urls: &[String], now: SystemTime) -> Option<Self> {
        self.runs.retain(|run| run.started.sinks.iter().all(|sink| urls.contains(sink)));
        let is_expired = || is_older(&self.folder, &self.name, JOURNAL_TTL, now);
        if self.left == 0 || (self.runs.is_empty() && is_expired()) {
            let _ = self.folder.remove(&self.name);
        }
        (!self.runs.is_empty()).then_some(self)
    }

    /// Appends a line.
    pub(super) fn append(&self, line: &Line) -> io::Result<()> {
        let file = self.folder.open_file(&self.name)?;
        write_within_limit(&file, line.to_text().as_bytes())
    }

    /// Records how runs ended.
    pub(in crate::job) fn record_finished(&self, finished: &BTreeMap<RunIdentity, Finished>) {
        for run in &self.runs {
            if let Some(finished) = finished.get(&run.started.identity()) {
                // If it cannot be written, a later process reports the run as abandoned, unless this process reports it.
                let _ = self.append(&Line::Finished(run.id, finished.clone()));
            }
        }
    }

    /// Acknowledges the settled runs.
    pub(in crate::job) fn acknowledge_all(mut self, settled: &BTreeSet<RunIdentity>) {
        for run in std::mem::take(&mut self.runs) {
            if settled.contains(&run.started.identity()) {
                self.acknowledge(run.id);
            }
        }
    }

    /// Acknowledges a run. Removes the journal if it has no others.
    fn acknowledge(&mut self, id: u64) {
        self.left -= 1;
        // After a failure, a later process reports the run a second time.
        let _ = if self.left == 0 {
            self.folder.remove(&self.name)
        } else {
            self.append(&Line::Acknowledged(id))
        };
    }

    /// Returns when the run was found first. Records the time in the journal, so that repeated reports have the same
    /// time.
    fn record_found(&self, run: &JournaledRun, log: &mut AbandonedLog) -> f64 {
        run.found_at.unwrap_or_else(|| {
            let now = Moment::now().unix_seconds();
            if run.finished.is_none() && log.claim_line() {
                let Header { process, boot, .. } = &self.header;
                let how =
                    if *boot == boot_id() { "died" } else { "ended when the machine restarted" };
                log::warn(format_args!(
                    "the run of {} that started at {} was abandoned: its process {process} {how}",
                    run.started.key,
                    format_timestamp(run.started.at)
                ));
            }
            let _ = self.append(&Line::Abandoned(run.id, now));
            now
        })
    }
}

/// Limits the lines about abandoned runs. The process logs the first ones, and each recovery logs the number of the others.
#[derive(Default)]
struct AbandonedLog {
    others: usize,
}

impl AbandonedLog {
    /// Returns true if the next abandoned run is logged in full. Counts it otherwise.
    fn claim_line(&mut self) -> bool {
        static LOGGED: AtomicUsize = AtomicUsize::new(0);

        let is_logged = LOGGED.fetch_add(1, Ordering::Relaxed) < MAX_LOGGED_RUNS;
        self.others += usize::from(!is_logged);
        is_logged
    }

    fn log_others(&self) {
        if self.others > 0 {
            log::warn(format_args!("further abandoned runs: {}", self.others));
        }
    }
}

impl OrphanRecovery {
    /// Reads a journal. Returns why the file cannot be read as one.
    fn read_journal(
        &mut self,
        folder: &Arc<Folder>,
        name: &str,
        urls: &[String],
        now: SystemTime,
    ) -> Result<(), InvalidJournal> {
        match open_journal(folder, name)? {
            // Unlocked: the recovery lock excludes other processes.
            Some(OwnedJournal::Orphaned(journal, _)) => {
                self.journals.extend(journal.with_runs_for(urls, now));
            }
            Some(OwnedJournal::Live(process, runs)) => {
                self.live_runs.extend(runs.into_iter().map(|run| (process, run)));
            }
            None => {}
        }
        Ok(())
    }

    /// Queries the groups of sinks. Those that refuse connections or have no address count as unreachable.
    fn query_groups<'a>(&mut self, routes: impl Iterator<Item = &'a Route>, timeout: Duration) {
        let runs = self.journals.iter().flat_map(|journal| &journal.runs);
        let keys: BTreeSet<_> = runs.map(|run| run.started.key.clone()).collect();
        for route in routes {
            let mut response = None;
            if route.sink().query().is_some() {
                let (sink, keys) = (Arc::clone(route.sink()), keys.clone());
                let query = async move { Some(sink.query()?.groups(keys, timeout).await) };
                response = dispatcher().spawn(query).wait(timeout).flatten();
            }
            match response {
                Some(Err(error)) if error.is_unconnected() => {}
                Some(Ok(groups)) => {
                    route.record_answer();
                    self.groups.insert(route.id(), Some(groups));
                }
                _ => drop(self.groups.insert(route.id(), None)),
            }
        }
    }

    /// Reports the oldest runs. `starting` is the id of a run of this process whose start is submitted after these reports,
    /// so it does not supersede them.
    pub(in crate::job) fn report_oldest(&mut self, pipeline: &Pipeline, starting: Option<u64>) {
        self.sort_runs(starting);
        self.submit_next(pipeline);
        self.log.log_others();
    }

    /// Reports all runs before the deadline, until the sinks accept none of them. The reports that the sinks have not accepted
    /// are in the spool, so their number is limited.
    fn report_all(mut self, pipeline: &Pipeline, deadline: Moment) -> RecoveredRuns {
        self.sort_runs(None);
        let mut recovered = RecoveredRuns { left: self.pending.len(), ..RecoveredRuns::default() };
        let mut is_accepting = true;
        while is_accepting && !self.pending.is_empty() && !deadline.remaining().is_zero() {
            self.submit_next(&pipeline.with_timeout(deadline.remaining()));
            let settled = self.settle_reports(deadline.remaining());
            recovered.delivered +=
                settled.iter().filter(|it| it.is_finished && it.is_accepted).count();
            recovered.abandoned += settled.iter().filter(|it| !it.is_finished).count();
            recovered.left -= settled.len();
            is_accepting = settled.iter().any(|it| it.is_accepted);
        }
        self.log.log_others();
        recovered
    }

    /// Sorts the runs of dead processes, oldest first, and compares each with the newest run of its group.
    fn sort_runs(&mut self, starting: Option<u64>) {
        let is_starting = |process, id| process == std::process::id() && starting == Some(id);
        let live = self.live_runs.iter().filter(|(process, run)| !is_starting(*process, run.id));
        let dead = self.journals.iter().flat_map(|journal| &journal.runs);
        let newest = newest_starts(live.map(|(_, run)| run).chain(dead));
        let mut pending: Vec<_> = self
            .journals
            .iter()
            .enumerate()
            .flat_map(|(journal, found)| found.runs.iter().map(move |run| (journal, run.clone())))
            .map(|(journal, run)| {
                let is_superseded = is_superseded(&run.started, &newest);
                DeadRun { journal, run, is_superseded }
            })
            .collect();
        pending.sort_by(|a, b| a.run.started.at.total_cmp(&b.run.started.at));
        self.pending = pending.into();
    }

    /// Submits the reports of the next runs. The runs of unreachable sinks stay in their journals: storing the reports in
    /// the spool as well gains nothing, and could evict other outcomes.
    fn submit_next(&mut self, pipeline: &Pipeline) {
        while self.reports.len() < MAX_REPORTED_RUNS
            && let Some(dead) = self.pending.pop_front()
        {
            if self.is_reportable(&dead.run.started, pipeline) {
                self.submit(&dead, pipeline);
            }
        }
    }

    /// Returns true if a sink of the run may accept its report, and the spool has room for it otherwise.
    fn is_reportable(&self, run: &Started, pipeline: &Pipeline) -> bool {
        let mut routes = pipeline.routes.iter().filter(|route| has_sink(run, route));
        let is_reachable =
            |route: &Route| !route.is_down() && self.groups.contains_key(&route.id());
        run.sinks.is_empty()
            || routes.clone().any(is_reachable)
                && routes.all(|route| route.spool().is_none_or(Spool::has_room_for_reports))
    }

    /// Submits the reports of a run to all its sinks.
    fn submit(&mut self, dead: &DeadRun, pipeline: &Pipeline) {
        let DeadRun { journal, run, is_superseded } = dead;
        let is_superseded = *is_superseded
            || pipeline.routes.iter().any(|route| has_spooled_newer_run(route, &run.started));
        let found_at = self.journals[*journal].record_found(run, &mut self.log);
        let mut receipts = Vec::new();
        for route in &pipeline.routes {
            if !has_sink(&run.started, route) {
                continue;
            }
            let state = self.group_state(route, &run.started.key);
            receipts.extend(self.recorder.submit_report(&run.started, |is_newest| {
                let is_newest = is_newest && !is_superseded;
                let recency = if is_newest { Recency::Newest } else { Recency::Superseded };
                let families = unreported_families(run, found_at, recency, state.as_ref());
                (!families.is_empty()).then(|| {
                    let request = PushRequest::add(run.started.key.clone(), families);
                    submit_report(route, request, state.as_ref(), pipeline.timeout)
                })
            }));
        }
        let is_finished = run.finished.is_some();
        self.reports.push(Report { journal: *journal, id: run.id, is_finished, receipts });
    }

    /// Returns the state of a group; `None` if it could not be queried. A sink that stores no groups has none: no
    /// report replaces a newer value there.
    fn group_state(&self, route: &Route, key: &GroupingKey) -> Option<GatewayState> {
        if route.sink().semantics().model != Model::Groups {
            return Some(GatewayState::default());
        }
        let groups = self.groups.get(&route.id())?.as_ref()?;
        Some(GatewayState::read(groups.get(key)))
    }

    /// Waits for the receipts, and acknowledges the runs whose reports are delivered or spooled.
    fn settle_reports(&mut self, timeout: Duration) -> Vec<SettledRun> {
        let deadline = Moment::now().after(timeout.saturating_add(RECEIPT_GRACE));
        let mut settled = Vec::new();
        for Report { journal, id, is_finished, receipts } in std::mem::take(&mut self.reports) {
            let receipts: Vec<_> =
                receipts.into_iter().map(|receipt| receipt.wait(deadline.remaining())).collect();
            if receipts.iter().any(|receipt| receipt.as_ref().is_none_or(Receipt::is_dropped)) {
                continue;
            }
            let is_delivered =
                |receipt: &Option<Receipt>| matches!(receipt, Some(Receipt::Delivered { .. }));
            settled
                .push(SettledRun { is_finished, is_accepted: receipts.iter().all(is_delivered) });
            self.journals[journal].acknowledge(id);
        }
        settled
    }

    /// Waits for the receipts.
    pub(in crate::job) fn settle(mut self, timeout: Duration) {
        self.settle_reports(timeout);
    }
}

/// Submits the report of a run. If the state of its group is unknown, the group may be newer than the report: the report is
/// stored, and its delivery compares it with the group.
fn submit_report(
    route: &Route,
    request: PushRequest,
    state: Option<&GatewayState>,
    timeout: Duration,
) -> Receiver<Receipt> {
    let class = DeliveryClass::Spooled;
    let spool = route.spool().filter(|_| state.is_none());
    if spool.is_some_and(|spool| spool.store(&request).is_ok()) {
        return dispatcher().replay(route, request.key().clone(), timeout, class);
    }
    dispatcher().submit_for_receipt(route, request, timeout, class)
}

/// Opens a journal and locks it if its owner and the supervisor of its owner are dead. Returns `None` if it was removed or
/// cannot be read at the moment.
///
/// # Errors
/// Why the file cannot be read as a journal.
pub(super) fn open_journal(
    folder: &Arc<Folder>,
    name: &str,
) -> Result<Option<OwnedJournal>, InvalidJournal> {
    let opened = folder.open_file(name);
    // A file of another kind or of another user.
    if opened.as_ref().is_err_and(|error| error.kind() == ErrorKind::InvalidData) {
        return Err(InvalidJournal::Foreign);
    }
    let Ok(mut file) = opened else { return Ok(None) };
    // Locked before it is read, so that a dead owner's journal is complete.
    let is_dead = try_lock(&file);
    let text = match read(&mut file) {
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            return Err(InvalidJournal::Foreign);
        }
        Err(_) => return Ok(None),
        Ok(text) => text,
    };
    // The owner, or another recovering process, may have removed or replaced it since.
    if is_dead && !folder.has_open_file(name, &file) {
        return Ok(None);
    }
    let contents = match parse(&text) {
        // The owner may be alive, so the file stays.
        Err(InvalidJournal::Truncated) if !is_dead => return Ok(None),
        parsed => parsed?,
    };
    let supervisor = contents.header.supervisor.as_ref();
    let is_supervised = supervisor.is_some_and(|supervisor| {
        folder.open_file(supervisor).is_ok_and(|supervisor| !try_lock(&supervisor))
    });
    if !is_dead || is_supervised {
        return Ok(Some(OwnedJournal::Live(contents.header.process, contents.runs)));
    }
    // Ends an incomplete last line before lines are appended.
    if !text.ends_with('\n') {
        let _ = file.write_all(b"\n");
    }
    let journal = OrphanedJournal::new(folder, name.to_owned(), contents);
    Ok(Some(OwnedJournal::Orphaned(journal, file)))
}

/// Returns the names of the journals in a folder.
pub(super) fn journal_names(folder: &Folder) -> impl Iterator<Item = String> {
    let names = folder.names().into_iter().flatten();
    names.filter(|name| {
        name.rsplit_once('.').is_some_and(|(stem, it)| it == JOURNAL_EXTENSION && is_stem(stem))
    })
}

/// Returns the journals in a folder without locking them, for a supervisor whose job is dead.
pub(in crate::job) fn journals(folder: &Arc<Folder>) -> impl Iterator<Item = OrphanedJournal> {
    journal_names(folder).filter_map(|name| {
        let mut file = folder.open_file(&name).ok()?;
        let text = read(&mut file).ok()?;
        Some(OrphanedJournal::new(folder, name, parse(&text).ok()?))
    })
}

fn read(file: &mut File) -> io::Result<String> {
    let bytes = read_within(file, MAX_JOURNAL_SIZE)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The files that cannot be read as journals: the first name and the number for each reason.
#[derive(Default)]
struct InvalidFiles(BTreeMap<InvalidJournal, (String, usize)>);

impl InvalidFiles {
    fn add(&mut self, folder: &Folder, name: String, reason: InvalidJournal) {
        if reason == InvalidJournal::Truncated {
            let _ = folder.remove(&name);
        }
        self.0.entry(reason).or_insert((name, 0)).1 += 1;
    }

    /// Logs one line for each reason.
    fn log(&self, folder: &Folder) {
        for (reason, (name, count)) in &self.0 {
            let path = folder.path().join(name);
            let files = match count - 1 {
                0 => path.display().to_string(),
                others => format!("{} and {others} more", path.display()),
            };
            match reason {
                InvalidJournal::Truncated => log::warn(format_args!(
                    "removed {files}: the journal is truncated and contains no run"
                )),
                InvalidJournal::Newer => log::warn(format_args!(
                    "skipped {files}: a newer version of metrics-push wrote this journal"
                )),
                InvalidJournal::Foreign => log::warn(format_args!(
                    "skipped {files}: it is not a journal; move it out of the state directory"
                )),
            }
        }
    }
}

/// Returns the newest start of each group of each sink.
fn newest_starts<'a>(
    runs: impl Iterator<Item = &'a JournaledRun>,
) -> BTreeMap<(&'a GroupingKey, &'a str), f64> {
    let mut newest = BTreeMap::new();
    for run in runs.map(|run| &run.started) {
        for sink in &run.sinks {
            let at = newest.entry((&run.key, sink.as_str())).or_insert(run.at);
            *at = run.at.max(*at);
        }
    }
    newest
}

/// Returns true if the run is reported to the sink of this route.
fn has_sink(run: &Started, route: &Route) -> bool {
    run.sinks.iter().any(|sink| sink == route.url())
}

/// Returns true if a newer run of the same group is known.
fn is_superseded(run: &Started, newest: &BTreeMap<(&GroupingKey, &str), f64>) -> bool {
    run.sinks.iter().any(|sink| newest.get(&(&run.key, sink)).is_some_and(|at| *at > run.at))
}

/// Returns true if an undelivered request of the same group reports a newer run, whose journal is removed.
fn has_spooled_newer_run(route: &Route, run: &Started) -> bool {
    let spooled = route.spool().and_then(|spool| spool.look_up(&run.key));
    let started_at =
        spooled.and_then(|entry| single_value(entry.request.families().get(LAST_START)?));
    // A start in the future was recorded while a clock was wrong.
    started_at.is_some_and(|at| at > run.at && at <= Moment::now().unix_seconds())
}
