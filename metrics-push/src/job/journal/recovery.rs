//! Reports the runs of dead processes: once, oldest first, and without replacing newer values.
//!
//! One process at a time reports the runs of a folder, under a lock of the folder, so that reports are in order. A run is
//! superseded if another journal, or the gateway, has a newer one of its group.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::abandoned_log::AbandonedLog;
use super::dead_runs::{DeadRun, dead_runs};
use super::ended_runs::EndRecorder;
use super::file_names::{FOLDER, JOURNAL_EXTENSION, SUPERVISOR_EXTENSION, TEMP_EXTENSION};
use super::invalid_files::InvalidFiles;
use super::line::{InvalidJournal, JournaledRun, Started};
use super::orphaned_journal::{
    OrphanedJournal, OwnedJournal, read_journal, try_lock, update_sinks,
};
use super::reconcile::{GatewayState, Recency, ending, unreported_families};
use crate::clock::Moment;
use crate::delivery::policy::{PROBE_TIMEOUT, RECEIPT_GRACE};
use crate::delivery::{DeliveryClass, Receipt, Route, Router};
use crate::dispatcher::dispatcher;
use crate::error::Error;
use crate::exposition::single_value;
use crate::labels::GroupingKey;
use crate::oneshot::Receiver;
use crate::pipeline::Pipeline;
use crate::push_request::{LAST_START, PushRequest};
use crate::sink::{GroupStates, Model};
use crate::spool::Spool;
use crate::state_dir::{Folder, is_process_stem, lock_within, touch};
use crate::sync::Mutex;

/// The file whose lock a recovering process holds.
const LOCK_FILE: &str = "recovery.lock";

/// How long a job waits for the groups of a gateway.
const MAX_QUERY_TIMEOUT: Duration = Duration::from_secs(3);

/// The fraction of its time for which [`recover`] waits for the groups of a gateway, as a divisor.
const QUERY_TIME_DIVISOR: u32 = 4;

/// How old a file without its final name must be to count as abandoned.
const TEMPORARY_FILE_TTL: Duration = Duration::from_secs(600);

/// The number of runs that are reported at the same time: few enough to store all of them in the spool, which may take some
/// milliseconds for each, while the job waits.
const MAX_REPORTED_RUNS: usize = 200;

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
    let timeout = deadline.remaining() / QUERY_TIME_DIVISOR;
    recovery.query_groups(pipeline.all_routes(), pipeline, timeout);
    Some(recovery.report_all(pipeline, deadline))
}

/// The runs of dead processes in a folder, while this process holds the recovery lock.
pub(in crate::job) struct OrphanRecovery {
    /// Holds the lock that excludes other recovering processes.
    _lock: File,
    recorder: EndRecorder,
    journals: Vec<OrphanedJournal>,
    /// Runs of live processes, which may supersede those of dead ones.
    live_runs: Vec<JournaledRun>,
    /// The groups of each route whose sink responds, by the number of the route; `None` if the sink cannot be queried.
    groups: HashMap<usize, Option<GroupStates>>,
    /// The groups that had an undelivered request before the sinks were queried, each with the start of its run.
    spooled_starts: HashMap<GroupingKey, f64>,
    /// The routes whose sinks are not queried before the start, because they are known to be down.
    down: Vec<Route>,
    /// The runs that are not reported yet, oldest first.
    pending: VecDeque<DeadRun>,
    /// The reported runs, each with the position of its journal.
    reported: HashSet<(usize, u64)>,
    reports: Vec<Report>,
    log: AbandonedLog,
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
    static SEARCHED_AT: Mutex<Vec<(u128, Moment)>> = Mutex::new(Vec::new());

    let mut searched_at = SEARCHED_AT.lock();
    let now = Moment::now();
    searched_at.retain(|(_, last)| now.since(*last) < SEARCH_INTERVAL);
    if searched_at.iter().any(|(searched, _)| *searched == folder.id()) {
        return false;
    }
    searched_at.push((folder.id(), now));
    has_other_files(folder)
}

fn has_other_files(folder: &Folder) -> bool {
    let names = folder.names().into_iter().flatten();
    names.filter(|name| name != LOCK_FILE).nth(1).is_some()
}

/// Looks for journals of dead processes. Returns `None` if there are none, or another process is recovering them.
pub(in crate::job) fn find(folder: &Arc<Folder>, pipeline: &Pipeline) -> Option<OrphanRecovery> {
    let mut recovery = find_locked(folder, lock(folder, Duration::ZERO)?, pipeline)?;
    pipeline.all_routes().for_each(Route::load_state);
    let (down, up) = pipeline.all_routes().partition::<Vec<_>, _>(|route| route.is_down());
    recovery.query_groups(up.into_iter(), pipeline, pipeline.timeout.min(MAX_QUERY_TIMEOUT));
    recovery.down = down.into_iter().cloned().collect();
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
        groups: HashMap::new(),
        spooled_starts: HashMap::new(),
        down: Vec::new(),
        pending: VecDeque::new(),
        reported: HashSet::new(),
        reports: Vec::new(),
        log: AbandonedLog::default(),
    };
    // The oldest journals come first.
    let mut names: Vec<_> = folder.names().ok()?.collect();
    names.sort_unstable();
    let mut invalid = InvalidFiles::default();
    for name in names {
        match name.rsplit_once('.') {
            Some((stem, JOURNAL_EXTENSION)) => {
                let read = if is_process_stem(stem) {
                    recovery.add_journal(folder, &name, pipeline, now)
                } else {
                    Err(InvalidJournal::Foreign)
                };
                if let Err(reason) = read {
                    invalid.add(folder, name, reason);
                }
            }
            Some((stem, SUPERVISOR_EXTENSION)) if is_process_stem(stem) => {
                remove_unlocked(folder, &name);
            }
            Some((stem, TEMP_EXTENSION)) if is_process_stem(stem) => {
                remove_older(folder, &name, now);
            }
            _ => {}
        }
    }
    invalid.log(folder);
    (!recovery.journals.is_empty()).then_some(recovery)
}

/// Removes a temporary file of a dead process.
fn remove_older(folder: &Folder, name: &str, now: SystemTime) {
    if folder.entry(name).is_some_and(|entry| entry.age(now) > TEMPORARY_FILE_TTL) {
        let _ = folder.remove(name);
    }
}

/// Removes the file of a dead supervisor.
fn remove_unlocked(folder: &Folder, name: &str) {
    if folder.open_file(name).is_ok_and(|file| try_lock(&file)) {
        let _ = folder.remove(name);
    }
}

impl OrphanRecovery {
    /// Adds the runs of a journal. Returns why the file cannot be read as one.
    fn add_journal(
        &mut self,
        folder: &Arc<Folder>,
        name: &str,
        pipeline: &Pipeline,
        now: SystemTime,
    ) -> Result<(), InvalidJournal> {
        match read_journal(folder, name)? {
            // The recovery lock excludes other processes.
            Some(OwnedJournal::Orphaned(journal)) => {
                self.journals.extend(journal.with_runs_for(pipeline, now));
            }
            Some(OwnedJournal::Live(mut runs)) => {
                for run in &mut runs {
                    update_sinks(&mut run.started, pipeline);
                }
                self.live_runs.extend(runs);
            }
            None => {}
        }
        Ok(())
    }

    /// Queries the groups of sinks. Those that refuse connections or have no address count as unreachable.
    fn query_groups<'a>(
        &mut self,
        routes: impl Iterator<Item = &'a Route>,
        pipeline: &Pipeline,
        timeout: Duration,
    ) {
        let routes: Vec<_> = routes.collect();
        if routes.is_empty() {
            return;
        }
        let runs = self.journals.iter().flat_map(|journal| &journal.runs);
        let keys: BTreeSet<_> = runs.map(|run| run.started.key.clone()).collect();
        // Reads the spool before the queries, so that a request that is delivered between the two is found in the spool or in
        // its group.
        let spooled =
            keys.iter().filter_map(|key| Some((key.clone(), spooled_start(pipeline, key)?)));
        self.spooled_starts.extend(spooled);
        let deadline = Moment::now().after(timeout);
        let query = |route| (route, spawn_query(route, &keys, timeout));
        let queries: Vec<_> = routes.into_iter().map(query).collect();
        for (route, query) in queries {
            match query.and_then(|query| query.wait(deadline.remaining()).flatten()) {
                Some(Err(error)) if error.is_unconnected() => {}
                Some(Ok(groups)) => {
                    route.record_answer();
                    self.groups.insert(route.id(), Some(groups));
                }
                _ => drop(self.groups.insert(route.id(), None)),
            }
        }
    }

    /// Reports the oldest runs. `starting` is the id of a run whose start is submitted after these reports, so it does not
    /// supersede them.
    pub(in crate::job) fn report_oldest(&mut self, pipeline: &Pipeline, starting: Option<&str>) {
        self.sort_runs(starting);
        self.submit_next(pipeline);
    }

    /// Reports all runs before the deadline, until the sinks accept none of them. The reports that the sinks have not accepted
    /// are in the spool, so their number is limited.
    fn report_all(mut self, pipeline: &Pipeline, deadline: Moment) -> RecoveredRuns {
        self.sort_runs(None);
        let mut recovered = RecoveredRuns { left: self.pending.len(), ..RecoveredRuns::default() };
        let mut is_accepting = true;
        while is_accepting && !self.pending.is_empty() && !deadline.remaining().is_zero() {
            self.submit_next(&pipeline.with_timeout(deadline.remaining()));
            self.log.log_lines();
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

    /// Compares the runs with those of live processes, except the one with the id `starting`.
    fn sort_runs(&mut self, starting: Option<&str>) {
        let live = self.live_runs.iter().filter(|run| starting != Some(&*run.started.run));
        self.pending = dead_runs(&self.journals, live);
        self.pending.retain(|dead| !self.reported.contains(&(dead.journal, dead.run.id)));
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
        let is_reachable =
            |route: &Route| !route.is_down() && self.groups.contains_key(&route.id());
        let has_room = |route: &Route| route.spool().is_none_or(Spool::has_room_for_reports);
        run.sinks.is_empty()
            || routes_of(run, pipeline).any(is_reachable) && routes_of(run, pipeline).all(has_room)
    }

    /// Submits the reports of a run to all its sinks.
    fn submit(&mut self, dead: &DeadRun, pipeline: &Pipeline) {
        let DeadRun { journal, run, is_superseded } = dead;
        let key = &run.started.key;
        let spooled = [self.spooled_starts.get(key).copied(), spooled_start(pipeline, key)];
        let is_older = |start| start > run.started.at;
        let is_superseded = *is_superseded || spooled.into_iter().flatten().any(is_older);
        let found_at = self.journals[*journal].record_found(run, &mut self.log);
        let ending = Arc::new(ending(run, found_at));
        let receipts = routes_of(&run.started, pipeline).filter_map(|route| {
            let state = self.group_state(route, &run.started.key);
            let request = |is_newest: bool| {
                let is_newest = is_newest && !is_superseded;
                let recency = if is_newest { Recency::Newest } else { Recency::Superseded };
                let families = unreported_families(run, found_at, recency, state.as_ref());
                (!families.is_empty()).then(|| {
                    let request = PushRequest::add(run.started.key.clone(), families);
                    request.reporting(Arc::clone(&ending))
                })
            };
            if state.is_none() {
                self.replay_report(route, &run.started, request, pipeline.timeout)
            } else {
                self.submit_report(route, &run.started, request, pipeline.timeout)
            }
        });
        let receipts = receipts.collect();
        let is_finished = run.finished.is_some();
        self.reported.insert((*journal, run.id));
        self.reports.push(Report { journal: *journal, id: run.id, is_finished, receipts });
    }

    /// Submits a report. Returns `None` if there is nothing to report.
    fn submit_report(
        &self,
        route: &Route,
        run: &Started,
        request: impl Fn(bool) -> Option<PushRequest>,
        timeout: Duration,
    ) -> Option<Receiver<Receipt>> {
        self.recorder.submit_report(run, |is_newest| {
            let class = DeliveryClass::Spooled;
            let request = request(is_newest)?;
            Some(dispatcher().submit_for_receipt(route, request, timeout, class))
        })
    }

    /// Stores a report and submits it. The state of its group is unknown, so the group may be newer than the report: the
    /// delivery of a stored request compares it with the group. It is stored without the lock of the recorder, so that a
    /// slow disk does not delay the completions of this process.
    fn replay_report(
        &self,
        route: &Route,
        run: &Started,
        request: impl Fn(bool) -> Option<PushRequest>,
        timeout: Duration,
    ) -> Option<Receiver<Receipt>> {
        let mut report = request(self.recorder.is_newest(run))?;
        // The spool does not store the runs that a request reports.
        route.record_runs(report.key(), report.endings()).add_to(&mut report);
        if route.spool().is_some_and(|spool| spool.store(&report).is_ok()) {
            let class = DeliveryClass::Spooled;
            return Some(dispatcher().replay(route, run.key.clone(), timeout, class));
        }
        self.submit_report(route, run, request, timeout)
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

    /// Logs the abandoned runs and waits for the receipts. Then queries the sinks that are known to be down, and reports the
    /// runs of those that respond again. The start of a run of this process does not wait for this, so it supersedes these runs.
    pub(in crate::job) fn settle(mut self, pipeline: &Pipeline) {
        self.log.log_lines();
        self.log.log_others();
        self.settle_reports(pipeline.timeout);
        let down = std::mem::take(&mut self.down);
        self.query_groups(down.iter(), pipeline, PROBE_TIMEOUT.min(pipeline.timeout));
        if down.iter().any(|route| !route.is_down()) {
            self.report_oldest(pipeline, None);
            self.log.log_lines();
            self.settle_reports(pipeline.timeout);
        }
        self.log.log_others();
    }
}

/// Queries a sink for groups in the background; `None` if it cannot be queried.
fn spawn_query(
    route: &Route,
    keys: &BTreeSet<GroupingKey>,
    timeout: Duration,
) -> Option<Receiver<Option<Result<GroupStates, Error>>>> {
    route.sink().query()?;
    let (sink, keys) = (Arc::clone(route.sink()), keys.clone());
    Some(dispatcher().spawn(async move { Some(sink.query()?.groups(keys, timeout).await) }))
}

/// Returns the routes on which the run is reported.
fn routes_of<'a>(run: &'a Started, pipeline: &'a Pipeline) -> impl Iterator<Item = &'a Route> {
    let routers = pipeline.routers.iter();
    let has_sink = |router: &&Router| run.sinks.iter().any(|sink| sink == router.url());
    routers.filter(has_sink).map(|router| router.route(&run.key))
}

/// Returns the start of the newest run that an undelivered request of this group reports. The journal of such a run is removed.
fn spooled_start(pipeline: &Pipeline, key: &GroupingKey) -> Option<f64> {
    let start = |route: &Route| {
        let spooled = route.spool()?.look_up(key)?;
        single_value(spooled.request.families().get(LAST_START)?)
    };
    // A start in the future was recorded while a clock was wrong.
    let is_past = |start: &f64| *start <= Moment::now().unix_seconds();
    pipeline.routes_for(key).filter_map(start).filter(is_past).max_by(f64::total_cmp)
}
