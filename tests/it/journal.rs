//! Runs whose process died unseen: a later one, of whatever job, reports them as abandoned.

use std::fs;
use std::path::Path;

use metrics_push::testing::{FakeGateway, Group};

use crate::child::{Ended, Panics, Start, job};
use crate::lifecycle::{endings, outcomes};
use crate::state::StateDir;

/// A run of the job `name`, which ends like that.
fn run(gateway: &FakeGateway, state: &StateDir, name: &str, ending: &str) -> Start {
    let start = job(Panics::Unwind, &[ending]).gateway(&gateway.url());
    start.variable("METRICS_PUSH_JOB", name).variable("METRICS_PUSH_STATE_DIR", state.path())
}

fn end(gateway: &FakeGateway, state: &StateDir, name: &str, ending: &str) -> Ended {
    run(gateway, state, name, ending).to_its_end()
}

#[track_caller]
fn value(group: &Group, name: &str) -> f64 {
    group.value(&format!("batch_job_{name}"), &[])
}

#[test]
fn a_run_that_ends_leaves_no_journal() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    for ending in ["ok", "err", "panic", "exit-3", "exit-in-worker", "panic-in-drop"] {
        let ended = end(&gateway, &state, "import", ending);
        assert!(ended.notices.is_empty(), "{ending}: {ended:?}");
        assert!(state.journals().is_empty(), "{ending}");
    }
}

#[test]
fn each_unseen_death_is_reported_by_another_jobs_run_once() {
    for ending in ["exec", "_exit", "abort", "kill", "segv", "overflow"] {
        let (gateway, state) = (FakeGateway::start(), StateDir::new());
        end(&gateway, &state, "import", ending);
        assert_eq!(state.journals().len(), 1, "{ending}");
        let ended = end(&gateway, &state, "other", "ok");
        assert!(ended.status.success());
        assert!(ended.notices[0].contains(r#"{job="import"}"#), "{ending}: {:?}", ended.notices);
        end(&gateway, &state, "other", "ok");
        let group = gateway.group("import", &[]);
        assert_eq!(outcomes(&group), ["abandoned"], "{ending}");
        assert_eq!(endings(&gateway, "import"), 1, "{ending}");
        assert!(
            value(&group, "last_completion_timestamp_seconds")
                >= value(&group, "last_start_timestamp_seconds")
        );
        assert!(state.journals().is_empty(), "{ending}");
    }
}

#[test]
fn the_last_success_survives_an_abandoned_run() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    end(&gateway, &state, "import", "ok");
    let before = value(&gateway.group("import", &[]), "last_success_timestamp_seconds");
    end(&gateway, &state, "import", "kill");
    end(&gateway, &state, "other", "ok");
    let group = gateway.group("import", &[]);
    assert_eq!(outcomes(&group), ["abandoned"]);
    assert_eq!(value(&group, "last_success_timestamp_seconds").to_bits(), before.to_bits());
    assert!(value(&group, "last_run_success").abs() < f64::EPSILON);
}

#[test]
fn the_next_run_of_the_same_job_reports_before_it_starts() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    end(&gateway, &state, "import", "kill");
    end(&gateway, &state, "import", "err");
    let group = gateway.group("import", &[]);
    assert_eq!(outcomes(&group), ["error"], "{:?}", gateway.requests());
    assert!(group.has_family("batch_job_last_abandoned_timestamp_seconds"));
    let start = value(&group, "last_start_timestamp_seconds");
    assert!(value(&group, "last_failure_timestamp_seconds") > start);
    assert!(state.journals().is_empty());
}

#[test]
fn an_abandoned_run_moves_no_newer_fact_back() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    end(&gateway, &state, "import", "kill");
    // Somewhere else, without this state directory.
    let elsewhere = StateDir::new();
    end(&gateway, &elsewhere, "import", "ok");
    let before = gateway.group("import", &[]);
    end(&gateway, &state, "other", "ok");
    let after = gateway.group("import", &[]);
    assert_eq!(outcomes(&after), ["success"]);
    for name in [
        "last_start_timestamp_seconds",
        "last_completion_timestamp_seconds",
        "last_success_timestamp_seconds",
    ] {
        assert_eq!(value(&after, name).to_bits(), value(&before, name).to_bits(), "{name}");
    }
    assert!(
        value(&after, "last_abandoned_timestamp_seconds")
            > value(&after, "last_completion_timestamp_seconds")
    );
    assert!(state.journals().is_empty());
}

#[test]
fn an_outcome_that_no_gateway_took_is_delivered_by_a_later_run() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    gateway.refuse_connections();
    let start = run(&gateway, &state, "import", "err").variable("METRICS_PUSH_TIMEOUT", "300ms");
    let ended = start.to_its_end();
    assert!(!ended.notices.is_empty());
    gateway.accept_connections();
    end(&gateway, &state, "other", "ok");
    assert_eq!(outcomes(&gateway.group("import", &[])), ["error"]);
    assert!(state.journals().is_empty());
}

#[test]
fn a_live_run_is_nobodys_to_report() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let running = run(&gateway, &state, "import", "wait").start().ready();
    end(&gateway, &state, "other", "ok");
    assert_eq!(endings(&gateway, "import"), 0);
    assert_eq!(state.journals().len(), 1);
    running.signal("TERM");
    running.wait();
    assert_eq!(outcomes(&gateway.group("import", &[])), ["signal"]);
    assert!(state.journals().is_empty());
}

#[test]
fn only_who_pushes_there_reports_there() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    end(&gateway, &state, "import", "kill");
    let elsewhere = FakeGateway::start();
    end(&elsewhere, &state, "other", "ok");
    assert!(elsewhere.find_group("import", &[]).is_none());
    assert_eq!(state.journals().len(), 1);
    end(&gateway, &state, "other", "ok");
    assert_eq!(outcomes(&gateway.group("import", &[])), ["abandoned"]);
}

#[test]
fn no_credentials_are_in_the_journal() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let url = gateway.url().replace("http://", "http://batch:pa55word@");
    let start = run(&gateway, &state, "import", "kill").gateway(&url);
    start.variable("METRICS_PUSH_HEADERS", "X-Key=s3cret").to_its_end();
    let text = fs::read_to_string(&state.journals()[0]).unwrap();
    assert!(text.contains(&gateway.url()), "{text}");
    assert!(
        !text.contains("pa55word") && !text.contains("s3cret") && !text.contains("batch:"),
        "{text}"
    );
}

#[test]
fn torn_foreign_and_newer_journals_are_told_of_and_keep_nobody_from_the_others() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    end(&gateway, &state, "import", "kill");
    let torn = state.write("0-1.journal", "metrics-push jou");
    let newer = state.write("0-2.journal", "metrics-push journal 7\tx=y\nopen\tid=0\n");
    let foreign = state.write("0-3.journal", "Dear diary,\n");
    let ended = end(&gateway, &state, "other", "ok");
    for (path, what) in [(&torn, "torn"), (&newer, "newer version"), (&foreign, "no journal")] {
        let line =
            |line: &String| line.contains(what) && line.contains(&*path.display().to_string());
        assert!(ended.notices.iter().any(line), "{what}: {:?}", ended.notices);
    }
    assert_eq!((torn.exists(), newer.exists(), foreign.exists()), (false, true, true));
    assert_eq!(outcomes(&gateway.group("import", &[])), ["abandoned"]);
}

#[test]
fn an_unusable_state_directory_costs_one_warning() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let file = state.write("file", "");
    let full = Path::new("/dev/full");
    for directory in [file.as_path(), full, &file.join("below")] {
        let start = run(&gateway, &state, "import", "ok");
        let ended = start.variable("METRICS_PUSH_STATE_DIR", directory).to_its_end();
        assert!(ended.status.success());
        assert_eq!(ended.notices.len(), 1, "{directory:?}: {ended:?}");
        assert_eq!(outcomes(&gateway.group("import", &[])), ["success"]);
    }
}

#[test]
fn a_synced_run_leaves_no_journal_either() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let start = job(Panics::Unwind, &["synced", "ok"]).gateway(&gateway.url());
    start.variable("METRICS_PUSH_STATE_DIR", state.path()).to_its_end();
    assert_eq!(outcomes(&gateway.group("ending", &[])), ["success"]);
    assert!(state.journals().is_empty());
}
