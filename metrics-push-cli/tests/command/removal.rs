//! `metrics-push delete`, `prune` and `wipe`.

use metrics_push::testing::FakeGateway;
use metrics_push::{Gateway, GroupingKey};

use crate::program::{metrics_push, piped};

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
fn delete_lists_then_removes_the_group() {
    let gateway = FakeGateway::start();
    push(&gateway, "backup");
    let delete = ["delete", "--job", "backup", "--grouping", "region=eu"];
    let group = "{job=\"backup\",region=\"eu\"}";
    let dry = [&delete[..], &["--dry-run"]].concat();
    assert_eq!(output(&gateway, &dry), format!("  {group}\nWould remove 1 group from GATEWAY.\n"));
    assert_eq!(gateway.groups().len(), 1);
    assert_eq!(output(&gateway, &delete), format!("  {group}\nRemoved 1 group from GATEWAY.\n"));
    assert_eq!(gateway.groups(), []);
}

#[test]
fn delete_of_a_missing_group_names_the_groups_of_the_job() {
    let gateway = FakeGateway::start();
    let missing = |arguments: &[&str]| {
        let ended = piped(metrics_push(&gateway.url(), &[&["delete"], arguments].concat()), "");
        assert_eq!((ended.status, ended.stderr.as_str()), (1, ""), "{ended:?}");
        ended.stdout.replace(&gateway.url(), "GATEWAY")
    };
    assert_eq!(
        missing(&["--job", "backup"]),
        "No group {job=\"backup\"} on GATEWAY, so nothing is removed; the gateway has 0 groups.\n"
    );
    push(&gateway, "backup");
    push(&gateway, "other");
    for dry_run in [&[][..], &["--dry-run"]] {
        let shown = missing(&[&["--job", "backup"], dry_run].concat());
        let (first, list) = shown.split_once('\n').unwrap();
        assert!(first.ends_with("nothing is removed; the job has 1 group."), "{shown}");
        assert!(list.starts_with("  {job=\"backup\",region=\"eu\"}  last push "), "{shown}");
        assert!(!list.contains("other"), "{shown}");
    }
    let misspelled = missing(&["--job", "bakup", "--grouping", "region=eu"]);
    assert!(misspelled.contains("the gateway has 2 groups.\n  {job=\"backup\""), "{misspelled}");
    for number in 0..20 {
        push(&gateway, &format!("many_{number}"));
    }
    let many = missing(&["--job", "bakup"]);
    assert!(many.contains("22 groups") && many.lines().count() == 12, "{many}");
    assert!(many.ends_with("run `metrics-push status`.\n"), "{many}");
    assert_eq!(gateway.groups().len(), 22);
}

#[test]
fn prune_lists_then_removes_old_groups_with_their_last_push() {
    let gateway = FakeGateway::start();
    push(&gateway, "old");
    push(&gateway, "older");
    assert_eq!(
        output(&gateway, &["prune", "--older-than", "1h"]),
        "Removed 0 groups from GATEWAY.\n"
    );
    let dry = ["prune", "--older-than", "1ms", "--dry-run"];
    let shown = output(&gateway, &dry);
    let lines: Vec<_> = shown.lines().collect();
    assert_eq!(lines[2], "Would remove 2 groups from GATEWAY.");
    for (line, job) in lines.iter().zip(["old", "older"]) {
        let expected = format!("  {{job=\"{job}\",region=\"eu\"}}  last push ");
        assert!(line.starts_with(&expected) && line.ends_with("Z)"), "{line}");
        assert!(line.contains("ms ago (20") || line.contains("s ago (20"), "{line}");
    }
    assert_eq!(gateway.groups().len(), 2);
    assert!(output(&gateway, &dry[..3]).ends_with("\nRemoved 2 groups from GATEWAY.\n"));
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
    assert!(
        output(&gateway, &["wipe", "--dry-run"]).ends_with("Would remove 2 groups from GATEWAY.\n")
    );
    let mut dry = metrics_push(&gateway.url(), &["wipe", "--yes"]);
    dry.env("METRICS_PUSH_DRY_RUN", "true");
    assert!(piped(dry, "").stdout.contains("Would remove"));
    assert_eq!(gateway.groups().len(), 2);
    assert!(output(&gateway, &["wipe", "--yes"]).ends_with("Removed 2 groups from GATEWAY.\n"));
    assert_eq!(gateway.groups(), []);
}

#[test]
fn wipe_without_admin_api_names_the_flag() {
    let gateway = FakeGateway::start();
    push(&gateway, "a");
    for confirmation in ["--yes", "--dry-run"] {
        let ended = piped(metrics_push(&gateway.url(), &["wipe", confirmation]), "");
        assert_eq!((ended.status, ended.stdout.as_str()), (2, ""), "{ended:?}");
        assert!(
            ended.stderr.contains("start the gateway with --web.enable-admin-api"),
            "{ended:?}"
        );
    }
    assert_eq!(gateway.groups().len(), 1);
}

#[test]
fn prune_removes_the_files_of_retired_jobs() {
    let directory = std::env::temp_dir().join(format!("metrics-push-prune-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let url = format!("textfile://{}", directory.display());
    let pushed = piped(metrics_push(&url, &["exec", "--job", "retired", "--", "true"]), "");
    assert_eq!((pushed.status, pushed.stderr.as_str()), (0, ""), "{pushed:?}");
    let files = || {
        let names = std::fs::read_dir(&directory).unwrap().map(|it| it.unwrap().file_name());
        names.filter(|name| name.to_str().unwrap().ends_with(".prom")).count()
    };
    assert_eq!(files(), 1);
    let prune = |arguments: &[&str]| {
        let ended = piped(metrics_push(&url, &[&["prune"], arguments].concat()), "");
        assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{ended:?}");
        ended.stdout
    };
    assert_eq!(prune(&["--older-than", "1h"]), format!("Removed 0 files from {url}.\n"));
    let dry = prune(&["--older-than", "1ms", "--dry-run"]);
    assert!(dry.contains(".prom  last push ") && dry.contains("s ago (20"), "{dry}");
    assert!(dry.ends_with(&format!("Would remove 1 file from {url}.\n")), "{dry}");
    assert_eq!(files(), 1);
    let removed = prune(&["--older-than", "1ms"]);
    assert!(removed.ends_with(&format!("Removed 1 file from {url}.\n")), "{removed}");
    assert_eq!(files(), 0);
    std::fs::remove_dir_all(&directory).unwrap();
}
