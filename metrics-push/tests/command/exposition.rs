//! `metrics-push push` and `metrics-push delete`: what arrives, and what is said of what can't.

use metrics_push::testing::{FakeGateway, Fault};

use crate::program::{metrics_push, piped};

const METRICS: &str = "# TYPE backup_bytes gauge\nbackup_bytes{disk=\"a\"} 4096\n";

#[test]
fn standard_input_and_files_replace_a_group_or_add_to_it() {
    let gateway = FakeGateway::start();
    let push = |arguments: &[&str], input: &str| {
        let arguments = [&["push", "--job", "backup"], arguments].concat();
        let ended = piped(metrics_push(&gateway.url(), &arguments), input);
        assert_eq!(
            (ended.status, ended.stdout.as_str(), ended.stderr.as_str()),
            (0, "", ""),
            "{ended:?}"
        );
    };
    push(&[], METRICS);
    push(&["--add", "-"], "other 1");
    let group = gateway.group("backup", &[]);
    assert!((group.value("backup_bytes", &[("disk", "a")]) - 4_096.0).abs() < f64::EPSILON);
    assert!(group.has_family("other"));

    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("metrics.prom");
    std::fs::write(&file, "third 3").unwrap();
    push(&[file.to_str().unwrap()], "");
    let group = gateway.group("backup", &[]);
    assert!(group.has_family("third") && !group.has_family("other"));
}

#[test]
fn the_group_comes_from_the_environment_and_arguments_beat_it() {
    let gateway = FakeGateway::start();
    let mut command = metrics_push(
        &gateway.url(),
        &["push", "--grouping", "region=eu", "--grouping", "instance="],
    );
    command.env("METRICS_PUSH_JOB", "backup").env("METRICS_PUSH_INSTANCE", "db-1");
    command.env("METRICS_PUSH_GROUPING", "region=us,tier=a");
    assert_eq!(piped(command, METRICS).status, 0);
    assert!(
        gateway.find_group("backup", &[("region", "eu"), ("tier", "a")]).is_some(),
        "{gateway}"
    );

    let delete = ["delete", "--job", "backup", "--grouping", "region=eu", "--grouping", "tier=a"];
    let ended = piped(metrics_push(&gateway.url(), &delete), "");
    assert_eq!(ended.status, 0);
    let expected =
        format!("Removed {{job=\"backup\",region=\"eu\",tier=\"a\"}} from {}.\n", gateway.url());
    assert_eq!(ended.stdout, expected);
    assert!(gateway.groups().is_empty());
}

#[test]
fn a_dry_run_shows_and_changes_nothing() {
    let gateway = FakeGateway::start();
    let push = ["push", "--job", "backup", "--dry-run"];
    let ended = piped(metrics_push(&gateway.url(), &push), METRICS);
    assert_eq!(ended.status, 0);
    assert!(ended.stderr.contains("dry run: push {job=\"backup\"} to http://"), "{ended:?}");
    assert!(ended.stderr.contains("backup_bytes{disk=\"a\"} 4096"), "{ended:?}");
    assert!(gateway.requests().is_empty());
}

#[test]
fn what_is_wrong_is_said_in_a_sentence_with_the_remedy_before_anything_is_sent() {
    let gateway = FakeGateway::start();
    let with_job = ["push", "--job", "backup"];
    for (arguments, input, expected) in [
        (
            &["push"][..],
            METRICS,
            "No job is named; give its name with --job or in METRICS_PUSH_JOB.",
        ),
        (&with_job, "x{a=1} 1", "Standard input: invalid labels (line: 1); write"),
        (&with_job, "", "The exposition has no metrics"),
        (&with_job, "x{job=\"y\"} 1", "Metric \"x\" has the grouping label \"job\""),
        (&["push", "--job", ""], METRICS, "The job name is empty"),
        (
            &["push", "--job", "a", "no/such/file"],
            "",
            "The file no/such/file can't be read: No such file",
        ),
        (&["push", "--job", "a", "--grouping", "a-b=c"], "", "use letters, digits and underscores"),
        (&["push", "--timeout", "soon"], "", "write it as 10s"),
        (&["push", "--url", "ftp://x"], "", "ftp"),
        (&["pusch"], "", "push"),
    ] {
        let ended = piped(metrics_push(&gateway.url(), arguments), input);
        assert_eq!(ended.status, 2, "{arguments:?}: {ended:?}");
        assert!(ended.stderr.contains(expected), "{arguments:?}: {}", ended.stderr);
    }
    assert!(gateway.requests().is_empty());
}

#[test]
fn a_bad_variable_ends_the_command_and_is_named() {
    let gateway = FakeGateway::start();
    let mut command = metrics_push(&gateway.url(), &["delete", "--job", "a"]);
    command.env("METRICS_PUSH_GROUPING", "region");
    let ended = piped(command, "");
    assert_eq!(ended.status, 2);
    assert!(ended.stderr.contains("variable: METRICS_PUSH_GROUPING"), "{ended:?}");
    assert!(gateway.requests().is_empty());
}

#[test]
fn without_a_gateway_the_remedy_is_told_and_a_switch_is_respected() {
    let unnamed = piped(metrics_push("", &["push", "--job", "a"]), METRICS);
    assert_eq!(unnamed.status, 2);
    assert!(unnamed.stderr.contains("--url or in METRICS_PUSH_URL"), "{unnamed:?}");

    let gateway = FakeGateway::start();
    let mut command = metrics_push(&gateway.url(), &["push", "--job", "a"]);
    command.env("METRICS_PUSH_DISABLED", "yes");
    let switched_off = piped(command, METRICS);
    assert_eq!(switched_off.status, 0);
    assert!(switched_off.stderr.contains("METRICS_PUSH_DISABLED"), "{switched_off:?}");
    assert!(gateway.requests().is_empty());
}

#[test]
fn a_gateway_that_refuses_is_a_failure_and_no_misuse() {
    let gateway = FakeGateway::start();
    gateway.fault(Fault::status(503));
    let push = ["push", "--job", "a", "--timeout", "300ms"];
    let ended = piped(metrics_push(&gateway.url(), &push), METRICS);
    assert_eq!(ended.status, 1, "{ended:?}");
    assert!(
        ended.stderr.starts_with("metrics-push: The gateway cannot accept pushes"),
        "{ended:?}"
    );
}
