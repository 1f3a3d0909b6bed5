//! Runs whose process died unseen: a later one, of whatever job, reports them as abandoned.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use metrics_push::testing::{FakeGateway, Fault, Group};

use crate::child::{Ended, Panics, Start, job};
use crate::lifecycle::{completions, outcomes};
use crate::state::StateDir;

/// A run of the job `name`, which ends like that.
fn run(gateway: &FakeGateway, state: &StateDir, name: &str, ending: &str) -> Start {
    let start = job(Panics::Unwind, &[ending]).gateway(&gateway.url());
    start.variable("METRICS_PUSH_JOB", name).variable("METRICS_PUSH_STATE_DIR", state.path())
}

fn end(gateway: &FakeGateway, state: &StateDir, name: &str, ending: &str) -> Ended {
    run(gateway, state, name, ending).run_to_end()
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
fn a_task_that_ends_after_main_leaves_no_journal() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    for _ in 0..20 {
        end(&gateway, &state, "import", "task-in-a-thread-local");
        assert_eq!(state.journals(), Vec::<std::path::PathBuf>::new());
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
        assert_eq!(completions(&gateway, "import"), 1, "{ending}");
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
    let ended = start.run_to_end();
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
    assert_eq!(completions(&gateway, "import"), 0);
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
    start.variable("METRICS_PUSH_HEADERS", "X-Key=s3cret").run_to_end();
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
        let ended = start.variable("METRICS_PUSH_STATE_DIR", directory).run_to_end();
        assert!(ended.status.success());
        assert_eq!(ended.notices.len(), 1, "{directory:?}: {ended:?}");
        assert_eq!(outcomes(&gateway.group("import", &[])), ["success"]);
    }
}

#[test]
fn a_full_disk_costs_one_warning() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    // As on a full disk, files can be made and not written to.
    let launcher = ["sh", "-c", "trap '' XFSZ; ulimit -f 0; exec \"$@\"", "sh"];
    for ending in ["ok", "err", "exit-3"] {
        let bare = job(Panics::Unwind, &[ending]).within(&launcher).run_to_end();
        let ended = run(&gateway, &state, "import", ending).within(&launcher).run_to_end();
        ended.assert_same_as(&bare);
        assert_eq!(ended.notices.len(), 1, "{ending}: {ended:?}");
        assert!(ended.notices[0].contains("can't be written"), "{ended:?}");
        assert_eq!(completions(&gateway, "import"), 1, "{ending}");
        gateway.clear();
    }
    let left = fs::read_dir(state.path().join("journal")).unwrap();
    assert_eq!(left.filter(|it| it.as_ref().unwrap().file_name() != "recovery.lock").count(), 0);
}

#[test]
fn a_synced_run_leaves_no_journal_either() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let start = job(Panics::Unwind, &["synced", "ok"]).gateway(&gateway.url());
    start.variable("METRICS_PUSH_STATE_DIR", state.path()).run_to_end();
    assert_eq!(outcomes(&gateway.group("ending", &[])), ["success"]);
    assert!(state.journals().is_empty());
}

/// Kills the job as soon as the gateway has got a request with this text, of which it says nothing.
fn killed_at(
    gateway: &FakeGateway,
    state: &StateDir,
    name: &str,
    text: &'static str,
    fault: Fault,
) {
    let before = gateway.requests().len();
    gateway.fault(fault.when(move |request| String::from_utf8_lossy(&request.body).contains(text)));
    let running = run(gateway, state, name, "ok").start();
    gateway.wait_for(Duration::from_secs(20), |gateway| {
        gateway
            .requests()
            .iter()
            .skip(before)
            .any(|sent| String::from_utf8_lossy(&sent.body).contains(text))
    });
    running.kill();
    running.wait();
    gateway.heal();
}

#[test]
fn killed_at_each_point_of_the_journals_life_a_run_is_told_as_what_it_was() {
    const START: &str = "batch_job_last_start_";
    const END: &str = "batch_job_last_success_";
    const REPORT: &str = "outcome=\"abandoned\"} 1";
    let stored = || Fault::hang().after_storing();
    for (point, text, fault, outcome) in [
        // Once a process has sent its start, its body runs or has run: what it knew last is in the journal.
        ("when its end was sent", END, Fault::hang(), "success"),
        ("when its end had arrived and was not confirmed", END, stored(), "success"),
    ] {
        let (gateway, state) = (FakeGateway::start(), StateDir::new());
        killed_at(&gateway, &state, "import", text, fault);
        assert_eq!(state.journals().len(), 1, "{point}");
        end(&gateway, &state, "other", "ok");
        assert_eq!(outcomes(&gateway.group("import", &[])), [outcome], "{point}");
        assert!(state.journals().is_empty(), "{point}");
    }
    for (point, text, fault) in [
        ("when its start was sent", START, Fault::hang()),
        ("when its start had arrived and was not confirmed", START, stored()),
    ] {
        let (gateway, state) = (FakeGateway::start(), StateDir::new());
        gateway.fault(
            fault.when(move |request| String::from_utf8_lossy(&request.body).contains(text)),
        );
        let running = run(&gateway, &state, "import", "wait").start().ready();
        gateway.wait_for(Duration::from_secs(20), |gateway| !gateway.requests().is_empty());
        running.kill();
        running.wait();
        gateway.heal();
        end(&gateway, &state, "other", "ok");
        assert_eq!(outcomes(&gateway.group("import", &[])), ["abandoned"], "{point}");
        assert!(state.journals().is_empty(), "{point}");
    }
    for (point, fault) in [
        ("when a report was sent", Fault::hang()),
        ("when a report had arrived and was not confirmed", stored()),
    ] {
        let (gateway, state) = (FakeGateway::start(), StateDir::new());
        end(&gateway, &state, "import", "kill");
        killed_at(&gateway, &state, "other", REPORT, fault);
        end(&gateway, &state, "third", "ok");
        let reports = gateway.requests().into_iter().filter(|sent| sent.path.ends_with("/import"));
        let reports: BTreeSet<_> = reports
            .map(|sent| String::from_utf8_lossy(&sent.body).into_owned())
            .filter(|body| body.contains(REPORT))
            .map(|body| body.lines().filter(|line| !line.contains("pushed_at")).collect::<String>())
            .collect();
        assert_eq!(reports.len(), 1, "{point}: what is said twice says the same: {reports:?}");
        assert_eq!(outcomes(&gateway.group("import", &[])), ["abandoned"], "{point}");
        assert!(state.journals().is_empty(), "{point}: {:?}", state.journals());
    }
}

#[test]
fn a_file_that_never_got_its_name_is_nobodys_run() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let fresh = state.write("1-1.new", "metrics-push journal 1\tprocess=1\n");
    let old = state.write("0-1.new", "metrics-push journal 1\tprocess=1\n");
    let long_ago = SystemTime::now() - Duration::from_secs(3_600);
    fs::File::options().append(true).open(&old).unwrap().set_modified(long_ago).unwrap();
    end(&gateway, &state, "other", "ok");
    assert_eq!((fresh.exists(), old.exists()), (true, false));
}

#[test]
fn a_run_of_before_a_restart_of_the_machine_was_abandoned_with_it() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    end(&gateway, &state, "import", "kill");
    let journal = state.journals().remove(0);
    let text = fs::read_to_string(&journal).unwrap();
    let (before, after) = text.split_once("\tboot=").unwrap();
    let rest = after.split_once('\n').unwrap().1;
    fs::write(&journal, format!("{before}\tboot=another\n{rest}")).unwrap();
    let ended = end(&gateway, &state, "other", "ok");
    assert!(ended.notices[0].contains("the machine's last start"), "{:?}", ended.notices);
    assert_eq!(outcomes(&gateway.group("import", &[])), ["abandoned"]);
}
