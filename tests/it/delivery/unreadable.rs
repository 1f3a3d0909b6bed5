//! Stored outcomes whose group cannot be read: they may be older than the group, so they are not sent.

use metrics_push::testing::{FakeGateway, Fault};

use super::{
    TIMEOUT, config, fail, job, open_scope, spool_failure_before_a_success, succeed, value,
};
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
        assert_eq!(metrics_push::flush(TIMEOUT), 0, "{name}");
        let during = gateway.group("shared", &[]);
        for family in ["last_run_success", "last_completion_timestamp_seconds"] {
            assert_eq!(value(&during, family), value(&before, family), "{name}");
        }
        assert_eq!(here.records().len(), 1, "{name}");

        gateway.heal();
        run.finish(metrics_push::Outcome::Success);
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
