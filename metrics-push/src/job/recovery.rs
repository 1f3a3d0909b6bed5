//! Recovery: runs whose process died are reported by a later one, once, oldest first, never over newer facts.
//!
//! Who holds a dead process' lock may speak for it; one process at a time does so in a folder, so that reports are in
//! order. A run is newer than a dead one if another journal knows it, or if the gateway does.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::Extent;
use super::ending::Ending;
use super::entry::{Entry, Head, Known, Opened, Unreadable, parse};
use super::facts::{self, Progress};
use super::journal::{EXTENSION, boot_id};
use super::report::{self, Held};
use super::telling;
use super::usage::Usage;
use crate::clock::Moment;
use crate::delivery::policy::RECEIPT_GRACE as GRACE;
use crate::delivery::{DeliveryClass, Receipt};
use crate::dispatcher::dispatcher;
use crate::log;
use crate::oneshot::Receiver;
use crate::pipeline::Pipeline;
use crate::push_request::{PushRequest, encode};
use crate::sink::Sink;
use crate::sink::pushgateway::StoredGroup;

/// The folder of the state directory.
pub(super) const FOLDER: &str = "journal";

/// The end of the name of a supervisor's file.
pub(super) const SUPERVISOR: &str = "supervisor";

/// The end of the name of the file whose lock says whose turn it is.
const LOCK: &str = "lock";

/// How long a gateway may take to say what it knows. One that takes longer is not asked to say more.
const LISTING: Duration = Duration::from_secs(3);

/// How long a journal waits for somebody who pushes where it wants to be pushed.
const OLDEST: Duration = Duration::from_secs(30 * 24 * 3_600);

/// Files that never got their name: nobody takes this long to give them one.
const UNNAMED: Duration = Duration::from_secs(600);

/// What became of the runs of dead processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recovered {
    /// Runs that were reported.
    pub(crate) reported: usize,
    /// Runs that wait for the next attempt.
    pub(crate) left: usize,
}

/// Reports the runs of dead processes in the pipeline's state directory.
pub(crate) fn recover(pipeline: &Pipeline, budget: Duration) -> Recovered {
    let found = pipeline.state_dir.folder(FOLDER).and_then(|folder| find(&folder, pipeline));
    let Some(mut recovery) = found else { return Recovered::default() };
    recovery.report(pipeline, None);
    recovery.settle(budget)
}

/// A folder's dead, while nobody else may speak for them.
pub(super) struct Recovery {
    /// Its lock is what keeps others out.
    _turn: File,
    dead: Vec<Dead>,
    /// Runs of processes that live, by which the dead ones may be outdated.
    living: Vec<(u32, Known)>,
    /// What the gateways hold, by their URLs, as far as they say.
    stored: BTreeMap<String, Option<Vec<StoredGroup>>>,
    told: Vec<Told>,
}

/// A dead process' journal, its lock held.
pub(super) struct Dead {
    file: File,
    path: PathBuf,
    pub(super) head: Head,
    pub(super) runs: Vec<Known>,
    left: usize,
}

/// What was said of one run, to one sink.
struct Told {
    journal: usize,
    id: u64,
    /// `None`: there was nothing to say any more.
    receiver: Option<Receiver<Receipt>>,
}

/// Whether there is more in the folder than this process' own journal.
pub(super) fn has_work(folder: &Path) -> bool {
    let is_one = |path: &Path| path.extension().is_some_and(|it| it != LOCK);
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(Result::ok).filter(|entry| is_one(&entry.path())).nth(1).is_some()
}

/// Looks for dead processes. `None` if there are none, or somebody else takes care of them.
pub(super) fn find(folder: &Path, pipeline: &Pipeline) -> Option<Recovery> {
    let turn = OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("recovery").with_extension(LOCK))
        .ok()?;
    turn.try_lock().ok()?;
    let mut recovery = Recovery {
        _turn: turn,
        dead: Vec::new(),
        living: Vec::new(),
        stored: BTreeMap::new(),
        told: Vec::new(),
    };
    let mut paths: Vec<_> =
        fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some(EXTENSION) => recovery.look_at(path, folder),
            Some(SUPERVISOR) if File::open(&path).is_ok_and(|file| got_lock(&file)) => {
                drop(fs::remove_file(path));
            }
            Some("new") if is_older(&path, UNNAMED) => drop(fs::remove_file(path)),
            _ => {}
        }
    }
    let ours = sinks_of(pipeline);
    recovery.dead.retain_mut(|dead| keep(dead, &ours));
    if recovery.dead.is_empty() {
        return None;
    }
    let listings = pipeline.routes.iter().map(|sink| (sink.to_string(), listing(sink.sink())));
    recovery.stored = listings.collect();
    Some(recovery)
}

/// What can be spoken for by a process that pushes to these sinks. The rest waits for others, but not for ever.
fn keep(dead: &mut Dead, ours: &[String]) -> bool {
    let all = dead.runs.len();
    dead.runs.retain(|run| run.opened.sinks.iter().all(|sink| ours.contains(sink)));
    dead.left = all - dead.runs.len();
    if all == 0 || (dead.runs.is_empty() && is_older(&dead.path, OLDEST)) {
        let _ = fs::remove_file(&dead.path);
    }
    !dead.runs.is_empty()
}

pub(super) fn sinks_of(pipeline: &Pipeline) -> Vec<String> {
    pipeline.routes.iter().map(ToString::to_string).collect()
}

fn is_older(path: &Path, age: Duration) -> bool {
    let changed = fs::metadata(path).and_then(|found| found.modified());
    changed.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|since| since > age))
}

/// Whether nobody who lives holds the file's lock. Where there are no locks, nobody is taken for dead.
fn got_lock(file: &File) -> bool {
    match file.try_lock() {
        Ok(()) => true,
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => false,
    }
}

impl Recovery {
    fn look_at(&mut self, path: PathBuf, folder: &Path) {
        let Ok(mut file) = open(&path) else { return };
        // Before it is read: what its owner still wrote is there once the lock is ours.
        let is_dead = got_lock(&file);
        let Ok(text) = read(&mut file) else { return };
        // Its owner, or another one, may have removed it since.
        if is_dead && !path.exists() {
            return;
        }
        let contents = match parse(&text) {
            Ok(contents) => contents,
            Err(why) => return tell_unreadable(&path, why, is_dead),
        };
        let supervisor = contents.head.supervisor.as_ref();
        let is_supervised = supervisor.is_some_and(|name| {
            File::open(folder.join(name)).is_ok_and(|supervisor| !got_lock(&supervisor))
        });
        if is_dead && !is_supervised {
            // The last line may be unfinished, and what is said now is not to be a part of it.
            if !text.ends_with('\n') {
                let _ = file.write_all(b"\n");
            }
            self.dead.push(Dead { file, path, head: contents.head, runs: contents.runs, left: 0 });
        } else {
            let process = contents.head.process;
            self.living.extend(contents.runs.into_iter().map(|run| (process, run)));
        }
    }

    /// Hands over a report of each dead run. `starting` is the number of a run of this process whose own start comes
    /// after them.
    pub(super) fn report(&mut self, pipeline: &Pipeline, starting: Option<u64>) {
        let mut dead: Vec<_> = self
            .dead
            .iter()
            .enumerate()
            .flat_map(|(journal, dead)| dead.runs.iter().map(move |run| (journal, run.clone())))
            .collect();
        let own = std::process::id();
        dead.sort_by(|(_, a), (_, b)| a.opened.started.total_cmp(&b.opened.started));
        for (journal, mut run) in dead.clone() {
            let is_outdated = dead.iter().any(|(_, other)| is_newer(other, &run))
                || self.living.iter().any(|(process, other)| {
                    let is_starting = *process == own && starting == Some(other.id);
                    !is_starting && is_newer(other, &run)
                });
            let found = self.stamp(journal, &mut run);
            for sink in
                pipeline.routes.iter().filter(|sink| run.opened.sinks.contains(&sink.to_string()))
            {
                let stored = self.stored.get(&sink.to_string()).and_then(Option::as_ref);
                let group = stored.map(|groups| Held::of(groups, &run.opened.key));
                let families = report::of(&run, found, is_outdated, group.as_ref());
                let receiver = (!families.is_empty()).then(|| {
                    let request = PushRequest::add(run.opened.key.clone(), families);
                    dispatcher().submit_for_receipt(
                        sink,
                        request,
                        pipeline.timeout,
                        DeliveryClass::Spooled,
                    )
                });
                self.told.push(Told { journal, id: run.id, receiver });
            }
        }
    }

    /// When the run was found, the same time at every attempt: what is said twice says the same.
    fn stamp(&mut self, journal: usize, run: &mut Known) -> f64 {
        let dead = &mut self.dead[journal];
        *run.found.get_or_insert_with(|| {
            let now = Moment::now().unix_seconds();
            if run.ended.is_none() {
                let Head { process, boot, .. } = &dead.head;
                let why = if *boot == boot_id() { "is gone" } else { "went with the machine's last start" };
                log::warn(format_args!(
                    "the run of {} that started at {:.3} was abandoned: its process {process} {why}",
                    run.opened.key, run.opened.started
                ));
            }
            let _ = dead.file.write_all(Entry::Found(run.id, now).to_line().as_bytes());
            now
        })
    }

    /// Waits for the receipts.
    pub(super) fn settle(mut self, budget: Duration) -> Recovered {
        settle(&mut self.dead, self.told, budget)
    }
}

/// Waits for the receipts. Journals of which nothing is left are removed.
fn settle(journals: &mut [Dead], told: Vec<Told>, budget: Duration) -> Recovered {
    let deadline = Moment::now().after(budget.saturating_add(GRACE));
    let mut lost: BTreeMap<(usize, u64), bool> = BTreeMap::new();
    for Told { journal, id, receiver } in told {
        let is_lost =
            receiver.is_some_and(|receiver| telling::is_lost(receiver.wait(deadline.remaining())));
        *lost.entry((journal, id)).or_default() |= is_lost;
    }
    let mut recovered = Recovered::default();
    for ((journal, id), is_lost) in lost {
        let dead = &mut journals[journal];
        if is_lost {
            recovered.left += 1;
            dead.left += 1;
        } else {
            recovered.reported += 1;
            let _ = dead.file.write_all(Entry::Done(id).to_line().as_bytes());
        }
    }
    for dead in journals.iter().filter(|dead| dead.left == 0) {
        let _ = fs::remove_file(&dead.path);
    }
    recovered
}

/// The journals in a folder whose owners are dead, for somebody who knows that one of them is.
pub(super) fn journals(folder: &Path) -> impl Iterator<Item = Dead> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let journals =
        paths.filter(|path| path.extension().is_some_and(|extension| extension == EXTENSION));
    journals.filter_map(|path| {
        let mut file = open(&path).ok()?;
        let text = read(&mut file).ok()?;
        let contents = parse(&text).ok()?;
        Some(Dead { file, path, head: contents.head, runs: contents.runs, left: 0 })
    })
}

/// Reports the runs of a process that has just died, whose ends are known.
pub(super) fn report_at_once(mut dead: Dead, pipeline: &Pipeline, usage: Usage) {
    let mut told = Vec::new();
    for run in &dead.runs {
        let Some(ended) = &run.ended else { continue };
        // Should this process die, too, a later one knows as much.
        let _ = dead.file.write_all(Entry::Ended(run.id, ended.clone()).to_line().as_bytes());
        let Opened { started, extent, expected, .. } = &run.opened;
        let usage = (*extent == Extent::Process).then_some(usage);
        let ending = Ending {
            duration: ended.duration,
            usage,
            ..Ending::at(ended.cause, *started, ended.at)
        };
        let families = encode(&facts::at_end(expected, &Progress::default(), &ending));
        for sink in &pipeline.routes {
            let request = PushRequest::add(run.opened.key.clone(), families.clone());
            let receiver = dispatcher().submit_for_receipt(
                sink,
                request,
                pipeline.timeout,
                DeliveryClass::Final,
            );
            told.push(Told { journal: 0, id: run.id, receiver: Some(receiver) });
        }
    }
    settle(&mut [dead], told, pipeline.timeout);
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).open(path)
}

fn read(file: &mut File) -> io::Result<String> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn tell_unreadable(path: &Path, why: Unreadable, is_dead: bool) {
    let path = path.display();
    match why {
        Unreadable::Torn if is_dead => {
            log::warn(format_args!("{path} was torn before it said anything; it is removed"));
            let _ = fs::remove_file(path.to_string());
        }
        Unreadable::Torn => {}
        Unreadable::Newer => {
            log::warn(format_args!("{path} was written by a newer version and is left to it"));
        }
        Unreadable::Foreign => {
            log::warn(format_args!("{path} is no journal and is left alone; move it elsewhere"));
        }
    }
}

fn is_newer(other: &Known, run: &Known) -> bool {
    let (other, run) = (&other.opened, &run.opened);
    other.key == run.key
        && other.started > run.started
        && other.sinks.iter().any(|sink| run.sinks.contains(sink))
}

/// What the gateway holds; `None` if it does not say.
fn listing(sink: &Sink) -> Option<Vec<StoredGroup>> {
    let Sink::Pushgateway(gateway) = sink.clone() else { return None };
    dispatcher().spawn(async move { gateway.metrics(LISTING).await.ok() }).wait(LISTING).flatten()
}
