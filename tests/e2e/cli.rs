//! The command `metrics-push` against the real gateway, on groups that real jobs have pushed.

use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use metrics_push::{Config, Gateway, Job, Outcome};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::programs::{command, program};
use crate::real::Pushgateway;
use crate::state_dir::StateDir;

/// Returns the path of the command.
pub(crate) fn metrics_push_program() -> PathBuf {
    program("command")
}

fn metrics_push(gateway: &Pushgateway, arguments: &[&str], input: &str) -> Output {
    let mut child = command(metrics_push_program())
        .args(arguments)
        .env("METRICS_PUSH_URL", gateway.url())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Fails if the command exits without reading.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn commands_skip_sinks_that_are_not_pushgateways() {
    let gateway = Pushgateway::start();
    let run = |urls: &str, arguments: &[&str]| {
        command(metrics_push_program())
            .args(arguments)
            .env("METRICS_PUSH_URL", urls)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    };
    let textfile = "textfile:///nonexistent";
    for arguments in [&["status"][..], &["delete", "--job", "missing", "--dry-run"]] {
        let output = run(&format!("{textfile},{}", gateway.url()), arguments);
        let stderr = text(&output.stderr);
        let skipped = format!("Skipped {textfile}: it is not a Pushgateway");
        assert!(stderr.contains(&skipped), "{arguments:?}: {stderr}");
        let output = run(textfile, arguments);
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        let error = format!("No Pushgateway is configured, only {textfile}");
        assert!(stderr.contains(&error), "{arguments:?}: {stderr}");
    }
    // `prune` reads the directory of a textfile sink.
    let output = run(textfile, &["prune", "--older-than", "1h", "--dry-run"]);
    let stderr = text(&output.stderr);
    assert!(stderr.contains("Cannot read the directory (file: /nonexistent"), "{stderr}");
    // Other sinks have no query API, and `recover` needs none.
    let output = run(textfile, &["recover"]);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn status_exit_code_reflects_the_stored_groups() {
    let gateway = Pushgateway::start();
    let _scope = Config::default().url(gateway.url()).unwrap().scope().unwrap();
    let job = Job::new("nightly").every(Duration::from_secs(60)).whole_process();
    let run = |region: &str, outcome: Outcome| {
        let run = job.start_with(&[("region", &region)]);
        run.add_processed(3);
        run.finish(outcome);
    };
    let status = || {
        let output = metrics_push(&gateway, &["status", "--json"], "");
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), json["jobs"].clone())
    };
    assert_eq!(status(), (Some(2), Value::Array(Vec::new())));

    run("", Outcome::Success);
    run("a/b c", Outcome::Success);
    let (code, jobs) = status();
    assert_eq!(code, Some(0), "{jobs}");
    assert_eq!(jobs[1]["labels"]["region"], "a/b c", "{jobs}");
    assert_eq!(jobs[0]["last_run_records"]["processed"], 3, "{jobs}");
    assert!(jobs[0]["success_age_seconds"].as_f64().unwrap().abs() < 60.0, "{jobs}");

    run("a/b c", Outcome::Panic);
    let (code, jobs) = status();
    // The job that needs attention is last.
    assert_eq!((code, &jobs[1]["state"]), (Some(1), &"failing".into()), "{jobs}");
    assert_eq!(jobs[1]["outcome"], "panic", "{jobs}");
    assert!(jobs[1]["last_success_timestamp_seconds"].is_number(), "{jobs}");
    let table = text(&metrics_push(&gateway, &["status"], "").stdout);
    assert!(table.contains("nightly region=\"a/b c\""), "{table}");
}

#[test]
fn push_stores_metrics_and_explains_a_rejection() {
    let gateway = Pushgateway::start();
    let push = |job: &str, input: &str| {
        metrics_push(&gateway, &["push", "--job", job, "--grouping", "dir=/srv/a b"], input)
    };
    let histogram = "# TYPE size_bytes histogram\nsize_bytes_bucket{le=\"1\"} 1\n\
                     size_bytes_bucket{le=\"+Inf\"} 2\nsize_bytes_sum 3\nsize_bytes_count 2\n\
                     # HELP note With \\\\ and \\n.\nnote{text=\"a \\\"b\\\" \\\\ c\\n\"} -1.5e-3";
    let output = push("first", histogram);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let stored = Gateway::new(gateway.url()).unwrap().metrics().unwrap().remove(0);
    assert_eq!(stored.labels["dir"], "/srv/a b");
    assert_eq!(stored.families["size_bytes"].kind, "histogram");
    assert_eq!(stored.value("note", &[("text", "a \"b\" \\ c\n")]), Some(-1.5e-3));

    assert!(push("second", "other 1").status.success());
    let output = push("second", "# TYPE note counter\nnote 1\n");
    assert_eq!(output.status.code(), Some(1));
    let stderr = text(&output.stderr);
    assert!(stderr.contains("The metrics clash with metrics in the gateway"), "{stderr}");
    assert!(stderr.contains("rename one of them, or delete the other group"), "{stderr}");

    let output = metrics_push(&gateway, &["status"], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).starts_with("STATE    JOB"), "{}", text(&output.stdout));
    for job in ["first", "second"] {
        let delete = ["delete", "--job", job, "--grouping", "dir=/srv/a b"];
        assert!(metrics_push(&gateway, &delete, "").status.success());
    }
    // The gateway deletes groups asynchronously.
    let deadline = Instant::now() + Duration::from_secs(60);
    while !Gateway::new(gateway.url()).unwrap().metrics().unwrap().is_empty() {
        assert!(Instant::now() < deadline, "the groups still exist");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn delete_and_prune_name_the_stored_groups() {
    let gateway = Pushgateway::start();
    for host in ["a", "b"] {
        let arguments = ["push", "--job", "db_backup", "--grouping", &format!("host={host}")];
        assert!(metrics_push(&gateway, &arguments, "x 1\n").status.success());
    }
    let missing = metrics_push(&gateway, &["delete", "--job", "db_backup"], "");
    let shown = text(&missing.stdout);
    assert_eq!(missing.status.code(), Some(1), "{shown}");
    assert!(shown.contains("nothing is removed; the job has 2 groups"), "{shown}");
    for host in ["a", "b"] {
        assert!(shown.contains(&format!("{{job=\"db_backup\",host=\"{host}\"}}")), "{shown}");
    }
    let old = metrics_push(&gateway, &["prune", "--older-than", "1ms", "--dry-run"], "");
    let shown = text(&old.stdout);
    assert!(shown.matches("ago (20").count() == 2, "{shown}");
    assert!(
        shown.ends_with(&format!("Would remove 2 groups from {}.\n", gateway.url())),
        "{shown}"
    );
    // The gateway runs without its admin API.
    for confirmation in ["--dry-run", "--yes"] {
        let wiped = metrics_push(&gateway, &["wipe", confirmation], "");
        let shown = text(&wiped.stderr);
        assert!(wiped.status.code() == Some(2) && wiped.stdout.is_empty(), "{shown}");
        assert!(shown.contains("--web.enable-admin-api"), "{shown}");
    }
}

/// Returns the standard output of a subcommand that succeeds.
fn printed(subcommand: &str) -> String {
    let output = command(metrics_push_program()).arg(subcommand).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    text(&output.stdout)
}

#[test]
fn rules_prints_all_shipped_rules_as_one_valid_file() {
    let printed = printed("rules");
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/../metrics-push-cli/monitoring/rules");
    let mut count = 0;
    for file in std::fs::read_dir(rules).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for line in text.lines().filter(|line| !line.is_empty() && *line != "groups:") {
            assert!(printed.contains(line), "{line}");
            count += usize::from(line.contains("- alert:"));
        }
    }
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("printed-rules.yaml");
    std::fs::write(&file, &printed).unwrap();
    let check = command("promtool").args(["check", "rules"]).arg(&file).output().unwrap();
    assert!(check.status.success(), "{check:?}");
    assert!(count > 10 && printed.matches("- alert:").count() == count, "{count}");
}

#[test]
fn dashboard_prints_the_shipped_file() {
    let dashboard =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../metrics-push-cli/monitoring/dashboard.json");
    assert_eq!(printed("dashboard"), std::fs::read_to_string(dashboard).unwrap());
}

/// The signal may arrive in each of the programs that replace each other until the command runs.
#[test]
fn exec_is_ended_by_a_signal_at_any_time_of_its_start() {
    let gateway = Pushgateway::start();
    let state = StateDir::new();
    for step in 0..60 {
        let mut job = command(metrics_push_program())
            .args(["exec", "--job", "early", "--", "sleep", "60"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .env("METRICS_PUSH_URL", gateway.url())
            .env("METRICS_PUSH_STATE_DIR", state.path())
            .spawn()
            .unwrap();
        let delay = Duration::from_micros(500 * step);
        thread::sleep(delay);
        let id = Pid::from_raw(job.id().cast_signed()).unwrap();
        kill_process(id, Signal::TERM).unwrap();
        let status = job.wait().unwrap();
        assert_eq!(status.signal(), Some(libc::SIGTERM), "after {delay:?}: {status}");
    }
}

#[test]
fn exec_reports_any_command_and_preserves_its_status() {
    let gateway = Pushgateway::start();
    for (job, command, status, outcome) in [
        ("fine", &["sleep", "1"][..], Some(0), "success"),
        ("fails", &["false"], Some(1), "exit_code"),
        ("killed", &["sh", "-c", "kill -9 $$"], None, "signal"),
        ("missing", &["no-such-command"], Some(127), "exit_code"),
        ("stubborn", &["sh", "-c", "trap '' TERM; kill -TERM $$; exit 4"], Some(4), "exit_code"),
    ] {
        let arguments = [&["exec", "--job", job, "--every", "24h", "--"], command].concat();
        let output = metrics_push(&gateway, &arguments, "");
        assert_eq!(output.status.code(), status, "{job}: {}", text(&output.stderr));
        let groups = Gateway::new(gateway.url()).unwrap().metrics().unwrap();
        let group = groups.iter().find(|group| group.labels["job"] == job).unwrap();
        let stored = group.value("batch_job_last_run_outcome", &[("outcome", outcome)]);
        assert_eq!(stored, Some(1.0), "{job}: {group:?}");
        // A run that a signal ends has no exit code, which is exported as 0.
        let exit_code = group.value("batch_job_last_run_exit_code", &[]);
        assert_eq!(exit_code, Some(status.unwrap_or(0).into()), "{job}: {group:?}");
    }
    assert_eq!(metrics_push(&gateway, &["status", "--job", "fine"], "").status.code(), Some(0));
    assert_eq!(metrics_push(&gateway, &["status"], "").status.code(), Some(1));
}
