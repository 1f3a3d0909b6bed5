//! Starts a run: determines its key, installs the hooks, writes the journal, submits the start.

use std::fmt;
use std::sync::{Arc, Weak};

use super::active_run::ActiveRun;
use super::hooks::{self, exit, signal};
use super::journal::JournalEntry;
use super::journal::line::Started;
use super::journal::recovery::{self, OrphanRecovery};
use super::process_state::FinishAll;
use super::run_id::new_run_id;
use super::run_metrics::Expectations;
use super::run_record::RunRecord;
use super::spec::{Extent, JobSpec, SignalHooks};
use super::supervisor;
use crate::clock::Moment;
use crate::dispatcher::dispatcher;
use crate::error::Error;
use crate::labels::{GroupingKey, format_grouping};
use crate::log;
use crate::oneshot;
use crate::pipeline::Pipeline;
use crate::state_dir::Folder;

/// Starts a run of a job.
pub(super) fn start_run(
    spec: JobSpec,
    grouping: &[(&str, &dyn fmt::Display)],
    finish_all: FinishAll,
) -> Arc<ActiveRun> {
    let pipeline = Pipeline::current();
    let mut key = if pipeline.routers.is_empty() {
        None
    } else {
        grouping_key(&spec, &pipeline, grouping)
            .map_err(|error| log::warn(format_args!("{error:?}; this run is not pushed")))
            .ok()
    };
    supervisor::ensure(&spec);
    let is_pushed_here = !supervisor::is_copy();
    if is_pushed_here && key.is_some() && hooks::install(&pipeline, finish_all).is_err() {
        key = None;
    }
    let started = Moment::now();
    if key.is_some() {
        report_invalid_schedule(&spec, started);
    }
    let id = new_run_id();
    let record = key.as_ref().and_then(|key| record_start(&spec, &pipeline, key, &id, started));
    let run = ActiveRun::new(spec, key, id, pipeline, started, record);
    if is_pushed_here && run.key().is_some() {
        submit_start(&run);
    }
    run
}

/// Installs the signal handlers that report the active runs before a signal ends this process, unless nothing is pushed.
pub(super) fn report_signals(finish_all: FinishAll) {
    let pipeline = Pipeline::current();
    if !pipeline.routers.is_empty() && hooks::install(&pipeline, finish_all).is_ok() {
        signal::start_listener();
    }
}

/// Returns the grouping key: the labels of the attribute, overridden by those of the configuration.
fn grouping_key(
    spec: &JobSpec,
    pipeline: &Pipeline,
    grouping: &[(&str, &dyn fmt::Display)],
) -> Result<GroupingKey, Error> {
    let name = match (&pipeline.job, spec.extent) {
        (Some(name), Extent::Process) => name.as_str(),
        _ => &spec.name,
    };
    let mut key = GroupingKey::new(name)?;
    for (name, value) in grouping {
        key = key.label(*name, format_grouping(name, *value))?;
    }
    for (name, value) in &pipeline.grouping {
        key = key.label(name, value)?;
    }
    Ok(key)
}

/// Logs why a job has no next run. The run is reported without one.
fn report_invalid_schedule(spec: &JobSpec, started: Moment) {
    let next_run = spec.timing().map(|timing| timing.next_run(started.unix_seconds()));
    if let Some(Err(error)) = next_run {
        log::warn_once(format_args!("{error:?}; the next run is not pushed"));
    }
}

fn record_start(
    spec: &JobSpec,
    pipeline: &Pipeline,
    key: &GroupingKey,
    id: &str,
    started: Moment,
) -> Option<RunRecord> {
    let run = Started {
        run: id.to_owned(),
        key: key.clone(),
        sinks: pipeline.urls(),
        at: started.unix_seconds(),
        extent: spec.extent,
        expected: Expectations::from(spec),
    };
    RunRecord::start(run, spec.durability, pipeline)
}

/// Installs the signal handlers of a whole process, submits the start, and starts the heartbeat.
fn submit_start(run: &Arc<ActiveRun>) {
    if run.spec().is_process() && run.spec().signal_hooks == SignalHooks::Enabled {
        signal::start_listener();
    }
    let folder = run.record().and_then(RunRecord::journal).map(JournalEntry::folder);
    let due = folder.filter(|folder| recovery::take_due_search(folder));
    let is_deferred = due.is_some_and(|folder| submit_start_after_recovery(run, folder));
    if !is_deferred {
        run.submit_start(|| {});
    }
    start_heartbeat(run);
}

/// Starts a thread that reports the runs of dead processes and then submits the start. Returns false if the thread
/// cannot be started.
fn submit_start_after_recovery(run: &Arc<ActiveRun>, folder: &Arc<Folder>) -> bool {
    let (sender, submitted) = oneshot::channel();
    let folder = Arc::clone(folder);
    let thread_run = Arc::clone(run);
    let spawned = exit::run_before_exit(move || {
        let run = thread_run;
        let pipeline = run.pipeline();
        let mut recovery = recovery::find(&folder, pipeline);
        run.submit_start(|| report_dead_runs(&run, recovery.as_mut()));
        sender.send(());
        if let Some(recovery) = recovery {
            recovery.settle(pipeline);
        }
    });
    if spawned.is_ok() {
        run.set_start_submitted(submitted);
    }
    spawned.is_ok()
}

fn report_dead_runs(run: &ActiveRun, recovery: Option<&mut OrphanRecovery>) {
    if let Some(recovery) = recovery {
        // If the run is finished, its completion supersedes the dead runs. Its start does not.
        let starting = (!run.is_finished()).then_some(run.id());
        recovery.report_oldest(run.pipeline(), starting);
    }
}

fn start_heartbeat(run: &Arc<ActiveRun>) {
    if let Some(interval) = run.spec().heartbeat {
        let run: Weak<ActiveRun> = Arc::downgrade(run);
        dispatcher().spawn_interval(interval, move || {
            run.upgrade().is_some_and(|run| run.submit_heartbeat())
        });
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::config::Config;

    #[test]
    fn configuration_overrides_the_attribute() {
        let config = Config::default().job("deployed").unwrap().grouping("region", "eu").unwrap();
        let _scope = config.grouping("shard", "").unwrap().scope().unwrap();
        let grouping: [(&str, &dyn fmt::Display); 2] = [("region", &"us"), ("shard", &7)];
        let key = |extent| {
            let spec = JobSpec { extent, ..JobSpec::new(Cow::Borrowed("task")) };
            grouping_key(&spec, &Pipeline::current(), &grouping).unwrap().to_string()
        };
        assert_eq!(key(Extent::Task), r#"{job="task",region="eu"}"#);
        assert_eq!(key(Extent::Process), r#"{job="deployed",region="eu"}"#);
    }
}
