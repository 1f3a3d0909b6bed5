//! `metrics-push delete`, `prune`, `wipe`, `recover` and `spool`.

use std::path::Path;

use metrics_push::testing::FakeGateway;
use metrics_push::{Gateway, GroupingKey};

use crate::program::{Ended, metrics_push, piped};

fn push(gateway: &FakeGateway, job: &str) {
    let key = GroupingKey::new(job).and_then(|key| key.label("region", "eu")).unwrap();
    Gateway::new(gateway.url()).unwrap().push(&key, &"x 1".parse().unwrap()).unwrap();
}

fn output(gateway: &FakeGateway, arguments: &[&str]) -> String {
    let ended = piped(metrics_push(&gateway.url(), arguments), "");
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{arguments:?}: {ended:?}");
    ended.stdout.replace(&gateway.url(), "GATEWAY")
}

#[test]
fn delete_lists_then_removes_and_reports_missing_groups() {
    let gateway = FakeGateway::start();
    push(&gateway, "backup");
    let delete = ["delete", "--job", "backup", "--grouping", "region=eu"];
    let group = "{job=\"backup\",region=\"eu\"}";
    let dry = [&delete[..], &["--dry-run"]].concat();
    assert_eq!(output(&gateway, &dry), format!("Would remove {group} from GATEWAY.\n"));
    assert_eq!(
        output(&gateway, &["delete", "--job", "backup"]),
        "No group {job=\"backup\"} on GATEWAY.\n"
    );
    assert_eq!(gateway.groups().len(), 1);
    assert_eq!(output(&gateway, &delete), format!("Removed {group} from GATEWAY.\n"));
    assert_eq!(gateway.groups(), []);
    assert_eq!(output(&gateway, &delete), format!("No group {group} on GATEWAY.\n"));
}

#[test]
fn prune_lists_then_removes_old_groups() {
    let gateway = FakeGateway::start();
    push(&gateway, "old");
    assert_eq!(
        output(&gateway, &["prune", "--older-than", "1h"]),
        "No groups to remove from GATEWAY.\n"
    );
    let dry = ["prune", "--older-than", "1ms", "--dry-run"];
    let expected = "{job=\"old\",region=\"eu\"} from GATEWAY.\n";
    assert_eq!(output(&gateway, &dry), format!("Would remove {expected}"));
    assert_eq!(gateway.groups().len(), 1);
    assert_eq!(output(&gateway, &dry[..3]), format!("Removed {expected}"));
    assert_eq!(gateway.groups(), []);
}

#[test]
fn wipe_needs_confirmation() {
    let gateway = FakeGateway::builder().admin_api().start();
    push(&gateway, "a");
    push(&gateway, "b");
    let unconfirmed = piped(metrics_push(&gateway.url(), &["wipe"]), "");
    assert_eq!((unconfirmed.status, gateway.groups().len()), (2, 2), "{unconfirmed:?}");
    assert!(unconfirmed.stderr.contains("<--dry-run|--yes>"), "{unconfirmed:?}");
    assert_eq!(output(&gateway, &["wipe", "--dry-run"]).matches("Would remove").count(), 2);
    let mut dry = metrics_push(&gateway.url(), &["wipe", "--yes"]);
    dry.env("METRICS_PUSH_DRY_RUN", "true");
    assert!(piped(dry, "").stdout.contains("Would remove"));
    assert_eq!(gateway.groups().len(), 2);
    assert_eq!(output(&gateway, &["wipe", "--yes"]).matches("Removed").count(), 2);
    assert_eq!(gateway.groups(), []);
}

#[test]
fn wipe_without_admin_api_names_the_flag() {
    let gateway = FakeGateway::start();
    push(&gateway, "a");
    let ended = piped(metrics_push(&gateway.url(), &["wipe", "--yes"]), "");
    assert_eq!(ended.status, 2);
    assert!(ended.stderr.contains("start the gateway with --web.enable-admin-api"), "{ended:?}");
}

fn with_state(gateway: &FakeGateway, state: &Path, arguments: &[&str]) -> Ended {
    let mut command = metrics_push(&gateway.url(), arguments);
    command.env("METRICS_PUSH_STATE_DIR", state).env("PATH", "/usr/bin:/bin");
    piped(command, "")
}

#[test]
fn recover_delivers_spooled_requests() {
    let state =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("recover-{}", std::process::id()));
    let gateway = FakeGateway::start();
    let with_state = |arguments: &[&str]| with_state(&gateway, &state, arguments);
    gateway.refuse_connections();
    let failed = with_state(&["exec", "--job", "backup", "--timeout", "500ms", "--", "false"]);
    assert_eq!(failed.status, 1, "{failed:?}");
    let still_down = with_state(&["recover", "--timeout", "500ms"]);
    assert_eq!((still_down.status, gateway.groups().len()), (1, 0), "{still_down:?}");
    assert!(still_down.stdout.ends_with("1 left.\n"), "{still_down:?}");

    let listed = with_state(&["spool", "list"]);
    assert_eq!(listed.status, 1, "{listed:?}");
    let expected = format!(" ago  add     {{job=\"backup\"}}  {}\n", gateway.url());
    assert!(listed.stdout.ends_with(&expected), "{listed:?}");
    let shown = with_state(&["spool", "show", "--job", "backup"]);
    assert!(shown.stdout.contains("outcome=\"exit_code\"} 1\n"), "{shown:?}");
    assert_eq!(with_state(&["spool", "show", "--job", "other"]).status, 1);

    gateway.accept_connections();
    let back = with_state(&["recover"]);
    assert_eq!(
        (back.status, back.stdout.as_str()),
        (0, "1 outcome delivered, 0 abandoned runs reported, 0 left.\n"),
        "{back:?}"
    );
    gateway.after_run("backup", &[]).assert_outcome("exit_code");
    assert!(with_state(&["recover"]).stdout.starts_with("0 outcomes delivered"));
    let empty = with_state(&["spool", "list"]);
    assert_eq!((empty.status, empty.stdout.as_str()), (0, "The spool is empty.\n"));
    std::fs::remove_dir_all(&state).unwrap();
}

#[test]
fn spool_drop_discards_requests() {
    let state = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("drop-{}", std::process::id()));
    let gateway = FakeGateway::start();
    let with_state = |arguments: &[&str]| with_state(&gateway, &state, arguments);
    gateway.refuse_connections();
    for job in ["a", "b", "c"] {
        with_state(&["exec", "--job", job, "--timeout", "300ms", "--", "false"]);
    }
    let pending = || with_state(&["spool", "list"]).stdout.matches(" ago  ").count();
    assert_eq!(pending(), 3);
    assert!(with_state(&["spool", "drop", "--all", "--dry-run"]).stdout.contains("Would drop"));
    assert_eq!(pending(), 3);
    let dropped = with_state(&["spool", "drop", "--job", "a"]);
    let expected = format!("Dropped the request for {{job=\"a\"}} on {}.\n", gateway.url());
    assert_eq!((dropped.status, dropped.stdout), (0, expected));
    assert_eq!(pending(), 2);
    assert_eq!(with_state(&["spool", "drop"]).status, 2);
    assert_eq!(with_state(&["spool", "drop", "--all"]).status, 0);
    assert_eq!(pending(), 0);
    std::fs::remove_dir_all(&state).unwrap();
}
