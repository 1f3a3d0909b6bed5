//! `metrics-push prune`, `wipe` and `recover`.

use std::path::Path;

use metrics_push::testing::FakeGateway;
use metrics_push::{Gateway, GroupingKey};

use crate::program::{Ended, metrics_push, piped};

fn push(gateway: &FakeGateway, job: &str) {
    let key = GroupingKey::new(job).and_then(|key| key.label("region", "eu")).unwrap();
    Gateway::new(gateway.url()).unwrap().push(&key, &"x 1".parse().unwrap()).unwrap();
}

fn said(gateway: &FakeGateway, arguments: &[&str]) -> String {
    let ended = piped(metrics_push(&gateway.url(), arguments), "");
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{arguments:?}: {ended:?}");
    ended.stdout.replace(&gateway.url(), "GATEWAY")
}

#[test]
fn a_group_is_shown_and_then_removed_and_a_misspelled_one_is_not_there() {
    let gateway = FakeGateway::start();
    push(&gateway, "backup");
    let delete = ["delete", "--job", "backup", "--grouping", "region=eu"];
    let group = "{job=\"backup\",region=\"eu\"}";
    let dry = [&delete[..], &["--dry-run"]].concat();
    assert_eq!(said(&gateway, &dry), format!("Would remove {group} from GATEWAY.\n"));
    assert_eq!(
        said(&gateway, &["delete", "--job", "backup"]),
        "There is no {job=\"backup\"} at GATEWAY.\n"
    );
    assert_eq!(gateway.groups().len(), 1);
    assert_eq!(said(&gateway, &delete), format!("Removed {group} from GATEWAY.\n"));
    assert_eq!(gateway.groups(), []);
    assert_eq!(said(&gateway, &delete), format!("There is no {group} at GATEWAY.\n"));
}

#[test]
fn old_groups_are_shown_and_then_removed() {
    let gateway = FakeGateway::start();
    push(&gateway, "old");
    assert_eq!(
        said(&gateway, &["prune", "--older-than", "1h"]),
        "There is nothing to remove from GATEWAY.\n"
    );
    let dry = ["prune", "--older-than", "1ms", "--dry-run"];
    let expected = "{job=\"old\",region=\"eu\"} from GATEWAY.\n";
    assert_eq!(said(&gateway, &dry), format!("Would remove {expected}"));
    assert_eq!(gateway.groups().len(), 1);
    assert_eq!(said(&gateway, &dry[..3]), format!("Removed {expected}"));
    assert_eq!(gateway.groups(), []);
}

#[test]
fn everything_goes_only_if_that_is_said() {
    let gateway = FakeGateway::builder().admin_api().start();
    push(&gateway, "a");
    push(&gateway, "b");
    let unsure = piped(metrics_push(&gateway.url(), &["wipe"]), "");
    assert_eq!((unsure.status, gateway.groups().len()), (2, 2), "{unsure:?}");
    assert!(unsure.stderr.contains("<--dry-run|--yes>"), "{unsure:?}");
    assert_eq!(said(&gateway, &["wipe", "--dry-run"]).matches("Would remove").count(), 2);
    let mut dry = metrics_push(&gateway.url(), &["wipe", "--yes"]);
    dry.env("METRICS_PUSH_DRY_RUN", "true");
    assert!(piped(dry, "").stdout.contains("Would remove"));
    assert_eq!(gateway.groups().len(), 2);
    assert_eq!(said(&gateway, &["wipe", "--yes"]).matches("Removed").count(), 2);
    assert_eq!(gateway.groups(), []);
}

#[test]
fn a_gateway_without_the_admin_api_says_how_to_get_it() {
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
fn what_waited_on_disk_is_delivered_when_the_gateway_is_back() {
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
    assert_eq!((empty.status, empty.stdout.as_str()), (0, "Nothing waits.\n"));
    std::fs::remove_dir_all(&state).unwrap();
}

#[test]
fn what_nobody_wants_any_more_is_given_up() {
    let state = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("drop-{}", std::process::id()));
    let gateway = FakeGateway::start();
    let with_state = |arguments: &[&str]| with_state(&gateway, &state, arguments);
    gateway.refuse_connections();
    for job in ["a", "b", "c"] {
        with_state(&["exec", "--job", job, "--timeout", "300ms", "--", "false"]);
    }
    let waiting = || with_state(&["spool", "list"]).stdout.matches(" ago  ").count();
    assert_eq!(waiting(), 3);
    assert!(with_state(&["spool", "drop", "--all", "--dry-run"]).stdout.contains("Would drop"));
    assert_eq!(waiting(), 3);
    let dropped = with_state(&["spool", "drop", "--job", "a"]);
    let expected = format!("Dropped what waited for {{job=\"a\"}} at {}.\n", gateway.url());
    assert_eq!((dropped.status, dropped.stdout), (0, expected));
    assert_eq!(waiting(), 2);
    assert_eq!(with_state(&["spool", "drop"]).status, 2);
    assert_eq!(with_state(&["spool", "drop", "--all"]).status, 0);
    assert_eq!(waiting(), 0);
    std::fs::remove_dir_all(&state).unwrap();
}
