//! `metrics-push push` and `metrics-push delete`: stored metrics and error messages.

use std::path::Path;

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

    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("metrics.prom");
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
fn message_about_an_invalid_url_contains_no_secret() {
    for url in ["http://user:hunter2@gw:bad", "http://gw?token=hunter2", "http://gw/#hunter2"] {
        let push = ["push", "--job", "backup", "--url", url];
        let ended = piped(metrics_push("", &push), METRICS);
        assert!(ended.status == 2 && ended.stderr.contains("invalid URL"), "{ended:?}");
        assert!(!ended.stderr.contains("hunter2"), "{ended:?}");
    }
}

#[test]
fn line_about_stored_metrics_names_the_request() {
    let state = std::env::temp_dir().join(format!("metrics-push-line-{}", std::process::id()));
    let mut command = metrics_push("http://127.0.0.1:1", &["push", "--job", "backup", "--spool"]);
    command.env("METRICS_PUSH_STATE_DIR", &state).env("METRICS_PUSH_TIMEOUT", "1s");
    let ended = piped(command, METRICS);
    std::fs::remove_dir_all(state).unwrap();
    let line = "metrics-push: the push request for {job=\"backup\"} is not delivered yet";
    assert!(ended.status == 0 && ended.stderr.starts_with(line), "{ended:?}");
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
        (
            &with_job,
            "x{a=1} 1",
            "Standard input: the value of the label \"a\" is not in quotes (line: 1); write",
        ),
        (
            &with_job,
            "x 1\nx{b=\"\\d\"} 1",
            "in the value of the label \"b\" (line: 2); write \\\\ for",
        ),
        (&with_job, "r -nan", "Standard input: invalid value \"-nan\" (line: 1); write a number"),
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

/// Writes a file into a new folder of the test, and returns its path.
fn file(test: &str, name: &str, content: &[u8]) -> String {
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(name), content).unwrap();
    folder.join(name).to_str().unwrap().to_owned()
}

#[test]
fn push_reads_many_files_as_one_push() {
    let gateway = FakeGateway::start();
    let file = |name, content: &str| file("many", name, content.as_bytes());
    let disks = file("disks.prom", "# TYPE free gauge\nfree{disk=\"a\"} 1\n");
    let more = file("more.prom", "# TYPE free gauge\nfree{disk=\"b\"} 2\nload 3\n");
    let push = |files: &[&str], input| {
        piped(metrics_push(&gateway.url(), &[&["push", "--job", "a"], files].concat()), input)
    };
    let ended = push(&[&disks, "-", &more], "stdin 4\n");
    assert_eq!((ended.status, gateway.requests().len()), (0, 1), "{ended:?}");
    let group = gateway.group("a", &[]);
    assert_eq!(group.get("free", &[("disk", "a")]), Some(1.0));
    assert_eq!(group.get("free", &[("disk", "b")]), Some(2.0));
    assert_eq!((group.get("load", &[]), group.get("stdin", &[])), (Some(3.0), Some(4.0)));

    let mistaken = file("mistaken.prom", "ok 1\n# TYPE free counter\n");
    let refused = push(&[&disks, &mistaken], "");
    assert_eq!((refused.status, gateway.requests().len()), (2, 1), "{refused:?}");
    let place = format!(
        "The file {mistaken}: the type of \"free\" is counter here and gauge in an earlier text (line: 2)"
    );
    assert!(refused.stderr.contains(&place), "{refused:?}");
    let twice = push(&[&disks, &disks], "");
    assert!(twice.stderr.contains("duplicate series free{disk=\"a\"} (line: 2)"), "{twice:?}");
}

#[test]
fn push_explains_a_file_in_another_encoding() {
    let gateway = FakeGateway::start();
    let utf16: Vec<u8> = "x 1\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (name, content, expected) in [
        ("utf16.prom", &*utf16, "the text is UTF-16"),
        ("latin1.prom", b"x 1\ny{a=\"\xe9\"} 1\n", "the byte 0xE9 is not UTF-8 (line: 2)"),
    ] {
        let path = file("encoding", name, content);
        let ended = piped(metrics_push(&gateway.url(), &["push", "--job", "a", &path]), "");
        assert_eq!(ended.status, 2, "{ended:?}");
        assert!(ended.stderr.contains(&format!("The file {path}: {expected}")), "{ended:?}");
    }
    assert!(gateway.requests().is_empty());
}

#[test]
fn push_with_spool_stores_the_metrics_until_the_gateway_is_back() {
    let gateway = FakeGateway::start();
    let state = file("spool", "unused", b"");
    let state = Path::new(&state).with_file_name("state");
    let run = |arguments: &[&str]| {
        let mut command = metrics_push(&gateway.url(), arguments);
        command.env("METRICS_PUSH_STATE_DIR", &state);
        piped(command, METRICS)
    };
    gateway.refuse_connections();
    let push = ["push", "--job", "backup", "--timeout", "300ms"];
    assert_eq!(run(&push).status, 1);
    assert_eq!(run(&["spool", "list"]).stdout, "The spool is empty.\n");
    let stored = run(&[&push[..], &["--spool"]].concat());
    assert_eq!(stored.status, 0, "{stored:?}");
    assert!(stored.stderr.contains("is not delivered yet"), "{stored:?}");
    assert!(run(&["spool", "list"]).stdout.contains("{job=\"backup\"}"));

    gateway.accept_connections();
    assert_eq!(run(&["recover"]).status, 0);
    assert!(!gateway.group("backup", &[]).samples().is_empty());
    std::fs::remove_dir_all(&state).unwrap();

    let without = piped(metrics_push(&gateway.url(), &[&push[..], &["--spool"]].concat()), METRICS);
    assert_eq!(without.status, 2, "{without:?}");
    assert!(without.stderr.contains("set METRICS_PUSH_STATE_DIR"), "{without:?}");
}
