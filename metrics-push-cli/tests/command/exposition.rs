//! `metrics-push push` and `metrics-push delete`: stored metrics and error messages.

use metrics_push::testing::{FakeGateway, Fault};

use crate::program::{metrics_push, piped};

const METRICS: &str = "# TYPE backup_bytes gauge\nbackup_bytes{disk=\"a\"} 4096\n";

#[test]
fn push_reads_stdin_or_a_file_and_replaces_or_adds() {
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
fn arguments_override_the_group_of_the_environment() {
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
    let group = "{job=\"backup\",region=\"eu\",tier=\"a\"}";
    let expected = format!("  {group}\nRemoved 1 group from {}.\n", gateway.url());
    assert_eq!(ended.stdout, expected);
    assert!(gateway.groups().is_empty());
}

#[test]
fn push_dry_run_prints_and_sends_nothing() {
    let gateway = FakeGateway::start();
    let push = ["push", "--job", "backup", "--dry-run"];
    let ended = piped(metrics_push(&gateway.url(), &push), METRICS);
    assert_eq!(ended.status, 0);
    assert!(ended.stderr.contains("dry run: push {job=\"backup\"} to http://"), "{ended:?}");
    assert!(ended.stderr.contains("backup_bytes{disk=\"a\"} 4096"), "{ended:?}");
    assert!(gateway.requests().is_empty());
}

#[test]
fn push_explains_invalid_input_and_sends_nothing() {
    let gateway = FakeGateway::start();
    let with_job = ["push", "--job", "backup"];
    for (arguments, input, expected) in [
        (
            &["push"][..],
            METRICS,
            "No job is selected; set its name with --job or METRICS_PUSH_JOB.",
        ),
        (&with_job, "x{a=1} 1", "Standard input: invalid labels (line: 1); write"),
        (&with_job, "", "The exposition has no metrics"),
        (&with_job, "x{job=\"y\"} 1", "Metric \"x\" has the grouping label \"job\""),
        (&["push", "--job", ""], METRICS, "the job name is empty"),
        (
            &["push", "--job", "a", "no/such/file"],
            "",
            "Cannot read the file no/such/file: No such file",
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
fn invalid_variable_ends_the_command() {
    let gateway = FakeGateway::start();
    let mut command = metrics_push(&gateway.url(), &["delete", "--job", "a"]);
    command.env("METRICS_PUSH_GROUPING", "region");
    let ended = piped(command, "");
    assert_eq!(ended.status, 2);
    assert!(ended.stderr.contains("variable: METRICS_PUSH_GROUPING"), "{ended:?}");
    assert!(gateway.requests().is_empty());
}

#[test]
fn push_without_gateway_or_while_disabled_sends_nothing() {
    let unconfigured = piped(metrics_push("", &["push", "--job", "a"]), METRICS);
    assert_eq!(unconfigured.status, 2);
    assert!(unconfigured.stderr.contains("--url or METRICS_PUSH_URL"), "{unconfigured:?}");

    let gateway = FakeGateway::start();
    let mut command = metrics_push(&gateway.url(), &["push", "--job", "a"]);
    command.env("METRICS_PUSH_DISABLED", "yes");
    let disabled = piped(command, METRICS);
    assert_eq!(disabled.status, 0);
    assert!(disabled.stderr.contains("METRICS_PUSH_DISABLED"), "{disabled:?}");
    assert!(gateway.requests().is_empty());
}

#[test]
fn rejected_push_is_a_failure_not_a_usage_error() {
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
