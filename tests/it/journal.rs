//! The journal: a run whose process died without a report is reported as abandoned by a later run of any job.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use metrics_push::testing::{FakeGateway, Fault, Group};

use crate::child::{FinishedJob, JobCommand, PanicStrategy, job, job_command};
use crate::lifecycle::{completions, outcomes};
use crate::programs::program;
use crate::state_dir::StateDir;

/// Returns the command of a job with this name and ending.
fn named_job(gateway: &FakeGateway, state: &StateDir, name: &str, ending: &str) -> JobCommand {
    let command = crate::child::ending(name, &gateway.url(), &[ending]);
    command.variable("METRICS_PUSH_STATE_DIR", state.path())
}

fn run_job(gateway: &FakeGateway, state: &StateDir, name: &str, ending: &str) -> FinishedJob {
    named_job(gateway, state, name, ending).run_to_end()
}

#[track_caller]
fn value(group: &Group, name: &str) -> f64 {
    group.value(&format!("batch_job_{name}"), &[])
}

#[test]
fn journal_of_a_finished_run_is_removed() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    for ending in ["ok", "err", "panic", "exit-3", "exit-in-worker", "panic-in-drop"] {
        let ended = run_job(&gateway, &state, "import", ending);
        assert!(ended.log_lines.is_empty(), "{ending}: {ended:?}");
        assert!(state.journals().is_empty(), "{ending}");
    }
}

#[test]
fn journal_of_a_task_finished_after_main_is_removed() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    for _ in 0..20 {
        run_job(&gateway, &state, "import", "task-in-a-thread-local");
        assert_eq!(state.journals(), Vec::<std::path::PathBuf>::new());
    }
}

#[test]
fn abandoned_run_is_reported_once_by_a_run_of_another_job() {
    for ending in ["exec", "_exit", "abort", "kill", "segv", "overflow"] {
        let (gateway, state) = (FakeGateway::start(), StateDir::new());
        run_job(&gateway, &state, "import", ending);
        assert_eq!(state.journals().len(), 1, "{ending}");
        let ended = run_job(&gateway, &state, "other", "ok");
        assert!(ended.status.success());
        assert!(
            ended.log_lines[0].contains(r#"{job="import"}"#),
            "{ending}: {:?}",
            ended.log_lines
        );
        run_job(&gateway, &state, "other", "ok");
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

/// The `tracing` subscriber of the job blocks in the line about the abandoned run.
#[test]
fn line_about_an_abandoned_run_does_not_delay_the_outcome() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    run_job(&gateway, &state, "import", "kill");
    let command = job_command(program("subscribers"), &["block"]).gateway(&gateway.url());
    let command = command.variable("METRICS_PUSH_TIMEOUT", "2s");
    let running = command.variable("METRICS_PUSH_STATE_DIR", state.path()).start();
    let is_completed = |gateway: &FakeGateway| completions(gateway, "logged") == 1;
    gateway.wait_for(Duration::from_secs(30), is_completed);
    assert!(running.wait().status.success());
    assert_eq!(outcomes(&gateway.group("import", &[])), ["abandoned"]);
}

#[test]
fn last_success_survives_an_abandoned_run() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    run_job(&gateway, &state, "import", "ok");
    let before = value(&gateway.group("import", &[]), "last_success_timestamp_seconds");
    run_job(&gateway, &state, "import", "kill");
    run_job(&gateway, &state, "other", "ok");
    let group = gateway.group("import", &[]);
    assert_eq!(outcomes(&group), ["abandoned"]);
    assert_eq!(value(&group, "last_success_timestamp_seconds").to_bits(), before.to_bits());
    assert!(value(&group, "last_run_success").abs() < f64::EPSILON);
}

#[test]
fn next_run_of_the_job_reports_the_abandoned_run_first() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    run_job(&gateway, &state, "import", "kill");
    run_job(&gateway, &state, "import", "err");
    let group = gateway.group("import", &[]);
    assert_eq!(outcomes(&group), ["error"], "{:?}", gateway.requests());
    assert!(group.has_family("batch_job_last_abandoned_timestamp_seconds"));
    let start = value(&group, "last_start_timestamp_seconds");
    assert!(value(&group, "last_failure_timestamp_seconds") > start);
    assert!(state.journals().is_empty());
}

#[test]
fn abandoned_run_does_not_overwrite_newer_timestamps() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    run_job(&gateway, &state, "import", "kill");
    // This run is newer and uses another state directory.
    let elsewhere = StateDir::new();
    run_job(&gateway, &elsewhere, "import", "ok");
    let before = gateway.group("import", &[]);
    run_job(&gateway, &state, "other", "ok");
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
fn abandoned_run_does_not_replace_a_newer_outcome_on_disk() {
    const ABANDONED: &str = "batch_job_last_abandoned_timestamp_seconds";

    for is_known_to_be_down in [true, false] {
        let (gateway, state) = (FakeGateway::start(), StateDir::new());
        gateway.refuse_connections();
        for ending in ["kill", "err"] {
            named_job(&gateway, &state, "import", ending).run_to_end();
        }
        gateway.accept_connections();
        if !is_known_to_be_down {
            fs::remove_dir_all(state.path().join("outages")).unwrap();
        }
        run_job(&gateway, &state, "other", "ok");
        let group = gateway.group("import", &[]);
        assert_eq!(outcomes(&group), ["error"], "{:?}", gateway.requests());
        assert!(group.has_family(ABANDONED), "{:?}", gateway.requests());
        assert!(state.journals().is_empty());
    }
}

#[test]
fn abandoned_run_is_reported_by_the_first_run_after_an_outage() {
    for job in ["import", "other"] {
        let (gateway, state) = (FakeGateway::start(), StateDir::new());
        gateway.refuse_connections();
        run_job(&gateway, &state, "import", "kill");
        // Records that the gateway is down.
        named_job(&gateway, &state, "recorder", "ok").run_to_end();
        gateway.accept_connections();
        run_job(&gateway, &state, job, "ok");
        let group = gateway.group("import", &[]);
        let expected = if job == "import" { "success" } else { "abandoned" };
        assert_eq!(outcomes(&group), [expected], "{:?}", gateway.requests());
        assert!(value(&group, "last_abandoned_timestamp_seconds") > 0.0);
        assert!(state.journals().is_empty());
    }
}

#[test]
fn search_for_dead_runs_does_not_wait_for_a_gateway_that_is_down() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    gateway.fault(Fault::hang());
    let run = |ending| {
        let command = named_job(&gateway, &state, "import", ending);
        let started = Instant::now();
        command.variable("METRICS_PUSH_TIMEOUT", "6s").run_to_end();
        started.elapsed()
    };
    run("ok");
    let without_dead_runs = run("ok");
    run("kill");
    let with_dead_runs = run("ok");
    // The run would take two seconds longer if it waited for a query.
    let limit = without_dead_runs + Duration::from_millis(1_500);
    assert!(with_dead_runs < limit, "{with_dead_runs:?}, {without_dead_runs:?}");
    assert_eq!(state.journals().len(), 1, "the dead run stays in its journal");
}

#[test]
fn search_for_dead_runs_asks_all_gateways_at_once() {
    let (silent, other, state) = (FakeGateway::start(), FakeGateway::start(), StateDir::new());
    let urls = format!("{},{}", silent.url(), other.url());
    let job = |ending| {
        let command = crate::child::ending("import", &urls, &[ending]);
        command.variable("METRICS_PUSH_STATE_DIR", state.path())
    };
    job("kill").run_to_end();
    silent.fault(Fault::hang());
    let first_query = |gateway: &FakeGateway| {
        let mut requests = gateway.requests().into_iter();
        requests.find(|request| request.method == "GET").map(|request| request.received)
    };
    let is_asked = |gateway: &FakeGateway| first_query(gateway).is_some();
    let running = job("ok").start();
    silent.wait_for(Duration::from_secs(20), is_asked);
    other.wait_for(Duration::from_secs(20), is_asked);
    // The search waits three seconds for a query.
    let delay = first_query(&other)
        .zip(first_query(&silent))
        .map(|(other, silent)| other.saturating_duration_since(silent));
    assert!(delay < Some(Duration::from_millis(1_500)), "{delay:?}");
    running.kill();
    running.wait();
}

#[test]
fn undelivered_outcome_is_delivered_by_a_later_run() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    gateway.refuse_connections();
    let command =
        named_job(&gateway, &state, "import", "err").variable("METRICS_PUSH_TIMEOUT", "300ms");
    let ended = command.run_to_end();
    assert!(!ended.log_lines.is_empty());
    gateway.accept_connections();
    run_job(&gateway, &state, "other", "ok");
    assert_eq!(outcomes(&gateway.group("import", &[])), ["error"]);
    assert!(state.journals().is_empty());
}

#[test]
fn running_job_is_not_reported_as_abandoned() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let running = named_job(&gateway, &state, "import", "wait").start().ready();
    run_job(&gateway, &state, "other", "ok");
    assert_eq!(completions(&gateway, "import"), 0);
    assert_eq!(state.journals().len(), 1);
    running.signal("TERM");
    running.wait();
    assert_eq!(outcomes(&gateway.group("import", &[])), ["signal"]);
    assert!(state.journals().is_empty());
}

#[test]
fn abandoned_run_is_reported_only_to_its_own_gateway() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    run_job(&gateway, &state, "import", "kill");
    let elsewhere = FakeGateway::start();
    run_job(&elsewhere, &state, "other", "ok");
    assert!(elsewhere.find_group("import", &[]).is_none());
    assert_eq!(state.journals().len(), 1);
    run_job(&gateway, &state, "other", "ok");
    assert_eq!(outcomes(&gateway.group("import", &[])), ["abandoned"]);
}

#[test]
fn journal_contains_no_credentials() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let url = gateway.url().replace("http://", "http://batch:pa55word@");
    let command = named_job(&gateway, &state, "import", "kill").gateway(&url);
    command.variable("METRICS_PUSH_HEADERS", "X-Key=s3cret").run_to_end();
    let text = fs::read_to_string(&state.journals()[0]).unwrap();
    assert!(text.contains(&gateway.url()), "{text}");
    assert!(
        !text.contains("pa55word") && !text.contains("s3cret") && !text.contains("batch:"),
        "{text}"
    );
}

#[test]
fn unreadable_journals_are_logged_and_do_not_block_others() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    run_job(&gateway, &state, "import", "kill");
    let truncated = state.write("0-1.journal", "metrics-push jou");
    let newer = state.write("0-2.journal", "metrics-push journal 7\tx=y\nstarted\tid=0\n");
    let foreign = state.write("0-3.journal", "some other text\n");
    let ended = run_job(&gateway, &state, "other", "ok");
    for (path, reason) in
        [(&truncated, "truncated"), (&newer, "newer version"), (&foreign, "not a journal")]
    {
        let line =
            |line: &String| line.contains(reason) && line.contains(&*path.display().to_string());
        assert!(ended.log_lines.iter().any(line), "{reason}: {:?}", ended.log_lines);
    }
    assert_eq!((truncated.exists(), newer.exists(), foreign.exists()), (false, true, true));
    assert_eq!(outcomes(&gateway.group("import", &[])), ["abandoned"]);
}

#[test]
fn unusable_state_directory_logs_one_warning() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let file = state.write("file", "");
    let full = Path::new("/dev/full");
    for directory in [file.as_path(), full, &file.join("below")] {
        let command = named_job(&gateway, &state, "import", "ok");
        let ended = command.variable("METRICS_PUSH_STATE_DIR", directory).run_to_end();
        assert!(ended.status.success());
        assert_eq!(ended.log_lines.len(), 1, "{directory:?}: {ended:?}");
        assert_eq!(outcomes(&gateway.group("import", &[])), ["success"]);
    }
}

#[test]
fn full_disk_logs_one_warning() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    // With this limit, as on a full disk, files can be created but not written to.
    let launcher = ["sh", "-c", "trap '' XFSZ; ulimit -f 0; exec \"$@\"", "sh"];
    for ending in ["ok", "err", "exit-3"] {
        let bare = job(PanicStrategy::Unwind, &[ending]).within(&launcher).run_to_end();
        let ended = named_job(&gateway, &state, "import", ending).within(&launcher).run_to_end();
        ended.assert_same_as(&bare);
        assert_eq!(ended.log_lines.len(), 1, "{ending}: {ended:?}");
        assert!(ended.log_lines[0].contains("cannot write the journal"), "{ended:?}");
        assert_eq!(completions(&gateway, "import"), 1, "{ending}");
        gateway.clear();
    }
    let left = fs::read_dir(state.path().join("journal")).unwrap();
    assert_eq!(left.filter(|it| it.as_ref().unwrap().file_name() != "recovery.lock").count(), 0);
}

#[test]
fn durable_journal_of_a_finished_run_is_removed() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let command = job(PanicStrategy::Unwind, &["durable-journal", "ok"]).gateway(&gateway.url());
    command.variable("METRICS_PUSH_STATE_DIR", state.path()).run_to_end();
    assert_eq!(outcomes(&gateway.group("ending", &[])), ["success"]);
    assert!(state.journals().is_empty());
}

/// Runs a job and kills it when the gateway has received a request that contains `text`. The fault applies to such
/// requests.
fn kill_on_request(
    gateway: &FakeGateway,
    state: &StateDir,
    name: &str,
    text: &'static str,
    fault: Fault,
) {
    let before = gateway.requests().len();
    gateway.fault(fault.when(move |request| String::from_utf8_lossy(&request.body).contains(text)));
    let running = named_job(gateway, state, name, "ok").start();
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
fn run_killed_at_any_point_is_reported_with_its_outcome() {
    const START: &str = "batch_job_last_start_";
    const COMPLETION: &str = "batch_job_last_success_";
    const ABANDONED: &str = "outcome=\"abandoned\"} 1";
    let stored = || Fault::hang().after_storing();
    for (point, text, fault, outcome) in [
        // The outcome is written to the journal before it is sent, so a later run can report it.
        ("completion sent", COMPLETION, Fault::hang(), "success"),
        ("completion stored, not acknowledged", COMPLETION, stored(), "success"),
    ] {
        let (gateway, state) = (FakeGateway::start(), StateDir::new());
        kill_on_request(&gateway, &state, "import", text, fault);
        assert_eq!(state.journals().len(), 1, "{point}");
        run_job(&gateway, &state, "other", "ok");
        assert_eq!(outcomes(&gateway.group("import", &[])), [outcome], "{point}");
        assert!(state.journals().is_empty(), "{point}");
    }
    for (point, text, fault) in
        [("start sent", START, Fault::hang()), ("start stored, not acknowledged", START, stored())]
    {
        let (gateway, state) = (FakeGateway::start(), StateDir::new());
        gateway.fault(
            fault.when(move |request| String::from_utf8_lossy(&request.body).contains(text)),
        );
        let running = named_job(&gateway, &state, "import", "wait").start().ready();
        gateway.wait_for(Duration::from_secs(20), |gateway| !gateway.requests().is_empty());
        running.kill();
        running.wait();
        gateway.heal();
        run_job(&gateway, &state, "other", "ok");
        assert_eq!(outcomes(&gateway.group("import", &[])), ["abandoned"], "{point}");
        assert!(state.journals().is_empty(), "{point}");
    }
    for (point, fault) in [
        ("abandoned run sent", Fault::hang()),
        ("abandoned run stored, not acknowledged", stored()),
    ] {
        let (gateway, state) = (FakeGateway::start(), StateDir::new());
        run_job(&gateway, &state, "import", "kill");
        kill_on_request(&gateway, &state, "other", ABANDONED, fault);
        run_job(&gateway, &state, "third", "ok");
        let reports = gateway.requests().into_iter().filter(|sent| sent.path.ends_with("/import"));
        let reports: BTreeSet<_> = reports
            .map(|sent| String::from_utf8_lossy(&sent.body).into_owned())
            .filter(|body| body.contains(ABANDONED))
            .map(|body| body.lines().filter(|line| !line.contains("pushed_at")).collect::<String>())
            .collect();
        assert_eq!(reports.len(), 1, "{point}: the repeated report differs: {reports:?}");
        assert_eq!(outcomes(&gateway.group("import", &[])), ["abandoned"], "{point}");
        assert!(state.journals().is_empty(), "{point}: {:?}", state.journals());
    }
}

#[test]
fn temporary_journal_file_is_removed_when_stale() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    let recent = state.write("1-1.new", "metrics-push journal 1\tprocess=1\n");
    let stale = state.write("0-1.new", "metrics-push journal 1\tprocess=1\n");
    let an_hour_ago = SystemTime::now() - Duration::from_secs(3_600);
    fs::File::options().append(true).open(&stale).unwrap().set_modified(an_hour_ago).unwrap();
    run_job(&gateway, &state, "other", "ok");
    assert_eq!((recent.exists(), stale.exists()), (true, false));
}

#[test]
fn run_from_before_a_reboot_is_reported_as_abandoned() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    run_job(&gateway, &state, "import", "kill");
    let journal = state.journals().remove(0);
    let text = fs::read_to_string(&journal).unwrap();
    let (before, after) = text.split_once("\tboot=").unwrap();
    let rest = after.split_once('\n').unwrap().1;
    fs::write(&journal, format!("{before}\tboot=another\n{rest}")).unwrap();
    let ended = run_job(&gateway, &state, "other", "ok");
    assert!(ended.log_lines[0].contains("when the machine restarted"), "{:?}", ended.log_lines);
    assert_eq!(outcomes(&gateway.group("import", &[])), ["abandoned"]);
}

#[test]
fn many_foreign_files_are_logged_in_one_line() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    run_job(&gateway, &state, "import", "kill");
    let foreign: Vec<_> =
        (0..1_000).map(|number| state.write(&format!("notes-{number}.journal"), "notes")).collect();
    let ended = run_job(&gateway, &state, "other", "ok");
    assert_eq!(ended.log_lines.len(), 2, "{:?}", ended.log_lines);
    assert!(ended.log_lines[0].contains("and 999 more: it is not a journal"), "{ended:?}");
    assert_eq!(outcomes(&gateway.group("import", &[])), ["abandoned"]);
    assert!(foreign.iter().all(|path| path.exists()));
}

/// Links, FIFOs, devices and large files in place of the files of the journal.
#[test]
#[cfg(target_os = "linux")]
fn irregular_files_do_not_stop_a_job() {
    let (gateway, state) = (FakeGateway::start(), StateDir::new());
    run_job(&gateway, &state, "import", "kill");
    let folder = state.path().join("journal");
    let make_fifo = |name: &str| {
        let status = std::process::Command::new("mkfifo").arg(folder.join(name)).status();
        assert!(status.unwrap().success());
    };
    for name in ["1-1.journal", "1-1.supervisor", "1-1.new", "1-1.lock"] {
        make_fifo(name);
        std::os::unix::fs::symlink("/dev/zero", folder.join(name.replace("1-1", "2-2"))).unwrap();
        let large = fs::File::create(folder.join(name.replace("1-1", "3-3"))).unwrap();
        large.set_len(1 << 32).unwrap();
    }
    let ended = run_job(&gateway, &state, "other", "ok");
    assert!(ended.status.success());
    assert_eq!(ended.log_lines.len(), 2, "{:?}", ended.log_lines);
    assert!(
        ended.log_lines[0].contains("1-1.journal and 2 more: it is not a journal"),
        "{ended:?}"
    );
    assert_eq!(outcomes(&gateway.group("import", &[])), ["abandoned"]);

    run_job(&gateway, &state, "import", "kill");
    fs::remove_file(folder.join("recovery.lock")).unwrap();
    make_fifo("recovery.lock");
    let ended = run_job(&gateway, &state, "other", "ok");
    assert!(ended.status.success());
    assert_eq!(outcomes(&gateway.group("other", &[])), ["success"]);
}

#[test]
#[cfg(unix)]
fn journal_is_private_with_any_umask() {
    use std::os::unix::fs::PermissionsExt as _;

    for umask in ["0000", "0022", "0777"] {
        let (gateway, state) = (FakeGateway::start(), StateDir::new());
        fs::remove_dir(state.path().join("journal")).unwrap();
        let launcher = ["sh", "-c", "umask $0; exec \"$@\"", umask];
        named_job(&gateway, &state, "import", "kill").within(&launcher).run_to_end();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&state.path().join("journal")), 0o700, "{umask}");
        assert_eq!(mode(&state.journals()[0]), 0o600, "{umask}");
    }
}
