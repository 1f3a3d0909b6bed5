//! Stored outcomes whose group cannot be read: they may be older than the group, so they are not sent.

use std::fs;
use std::time::{Duration, Instant};

use metrics_push::testing::{FakeGateway, Fault};
use metrics_push::{Job, Outcome};

use super::{
    TIMEOUT, config, fail, job, open_scope, spool_failure_before_a_success, succeed, value,
};
use crate::flushes::flush;
use crate::temp_dir::TempDir;

/// The answers of servers and proxies that do not pass the query API on.
fn unreadable() -> [(&'static str, Fault); 5] {
    [
        ("not found", Fault::status(404)),
        ("not implemented", Fault::status(501)),
        ("a web page", Fault::status(200).body("<html>Sign in</html>")),
        ("another API", Fault::status(200).body(r#"{"status":"success","data":{"result":[]}}"#)),
        ("a truncated list", Fault::status(200).body(r#"{"status":"success","data":[{"labels":"#)),
    ]
}

fn break_query_api(gateway: &FakeGateway, fault: Fault) {
    gateway.fault(fault.when(|request| request.path.starts_with("/api/")));
}

#[test]
fn older_failure_does_not_replace_a_group_that_cannot_be_read() {
    for (name, fault) in unreadable() {
        let gateway = FakeGateway::start();
        let here = spool_failure_before_a_success(&gateway);
        let before = gateway.group("shared", &[]);

        break_query_api(&gateway, fault);
        let _scope = config(&gateway).state_dir(here.path()).scope().unwrap();
        let recovery = metrics_push::recover(super::SHORT_TIMEOUT);
        assert_eq!((recovery.delivered, recovery.left), (0, 1), "{name}");
        assert_eq!(gateway.group("shared", &[]).to_string(), before.to_string(), "{name}");
        // The start of the next run does not contain the failure.
        let run = job("shared").start();
        flush();
        let during = gateway.group("shared", &[]);
        for family in ["last_run_success", "last_completion_timestamp_seconds"] {
            assert_eq!(value(&during, family), value(&before, family), "{name}");
        }
        assert_eq!(here.records().len(), 1, "{name}");

        gateway.heal();
        run.finish(Outcome::Success);
        let after = gateway.group("shared", &[]);
        assert_eq!(value(&after, "last_run_success"), Some(1.0), "{name}");
        assert!(here.records().is_empty(), "{name}");
        let failure = value(&after, "last_failure_timestamp_seconds");
        assert!(failure < value(&before, "last_success_timestamp_seconds"), "{name}: {failure:?}");
    }
}

#[test]
fn new_outcome_is_delivered_to_a_group_that_cannot_be_read() {
    for (name, fault) in unreadable() {
        let (gateway, state) = (FakeGateway::start(), TempDir::new());
        let _scope = open_scope(&gateway, &state);
        gateway.refuse_connections();
        succeed("nightly");
        gateway.accept_connections();
        break_query_api(&gateway, fault);
        fail("nightly");
        let group = gateway.group("nightly", &[]);
        assert_eq!(value(&group, "last_run_success"), Some(0.0), "{name}");
        assert_eq!(value(&group, "last_success_timestamp_seconds"), None, "{name}");
        assert_eq!(state.records().len(), 1, "{name}: the success waits");

        gateway.heal();
        assert_eq!(metrics_push::recover(TIMEOUT).delivered, 1, "{name}");
        let group = gateway.group("nightly", &[]);
        assert_eq!(value(&group, "last_run_success"), Some(0.0), "{name}");
        let success = value(&group, "last_success_timestamp_seconds");
        assert!(success < value(&group, "last_failure_timestamp_seconds"), "{name}: {success:?}");
        assert!(success.is_some() && state.records().is_empty(), "{name}");
    }
}

/// The report of a dead run is stored first, because its group cannot be read. Another process holds the lock of the spool.
#[test]
fn run_ends_at_once_while_the_report_of_a_dead_run_is_stored() {
    let (gateway, state) = (FakeGateway::start(), TempDir::new());
    gateway.fault(Fault::status(404).when(|request| request.method == "GET"));
    let (journal, spool) = (state.path().join("journal"), state.path().join("spool"));
    fs::create_dir_all(&journal).unwrap();
    fs::create_dir_all(&spool).unwrap();
    let dead = format!(
        "metrics-push journal 1\tprocess=999999\tboot=earlier\n\
         started\tid=0\tat=1764000000\tsink={}\tjob=dead\n",
        gateway.url()
    );
    fs::write(journal.join("1-999999.journal"), dead).unwrap();
    let lock = fs::File::create(spool.join(".lock")).unwrap();
    lock.lock().unwrap();
    let _scope = open_scope(&gateway, &state);
    let first = Job::with_name("first").start();
    let deadline = Instant::now() + TIMEOUT;
    while fs::read_dir(&spool).unwrap().count() < 2 {
        assert!(Instant::now() < deadline, "no report is stored");
        std::thread::yield_now();
    }
    let started = Instant::now();
    Job::with_name("second").start().finish(Outcome::Success);
    // Storing waits for three seconds for the lock.
    assert!(started.elapsed() < Duration::from_millis(2_500), "{:?}", started.elapsed());
    drop(lock);
    first.finish(Outcome::Success);
    flush();
}
