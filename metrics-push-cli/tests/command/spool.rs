//! `metrics-push recover` and `spool`.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use metrics_push::testing::{FakeGateway, Fault};

use crate::program::{Ended, metrics_push, piped};
use crate::state_dir::StateDir;

impl StateDir {
    /// Runs the command with this state directory and this URL.
    fn run(&self, url: &str, arguments: &[&str]) -> Ended {
        let mut command = metrics_push(url, arguments);
        command.env("METRICS_PUSH_STATE_DIR", self.path()).env("PATH", "/usr/bin:/bin");
        piped(command, "")
    }

    /// Runs a job that exits with 1.
    fn fail(&self, url: &str, job: &str) -> Ended {
        self.run(url, &["exec", "--job", job, "--timeout", "300ms", "--", "false"])
    }
}

#[test]
fn recover_reports_an_unknown_variable() {
    let gateway = FakeGateway::start();
    let mut recover = metrics_push(&gateway.url(), &["recover"]);
    recover.env("METRICS_PUSH_STATEDIR", "/nonexistent");
    let ended = piped(recover, "");
    assert_eq!(ended.status, 0, "{ended:?}");
    assert_eq!(ended.stderr.matches("METRICS_PUSH_STATEDIR").count(), 1, "{ended:?}");
}

#[test]
fn recover_delivers_spooled_requests() {
    let state = StateDir::new();
    let gateway = FakeGateway::start();
    let with_state = |arguments: &[&str]| state.run(&gateway.url(), arguments);
    gateway.refuse_connections();
    let failed = with_state(&["exec", "--job", "backup", "--timeout", "500ms", "--", "false"]);
    assert_eq!(failed.status, 1, "{failed:?}");
    let still_down = with_state(&["recover", "--timeout", "500ms"]);
    assert_eq!((still_down.status, gateway.groups().len()), (1, 0), "{still_down:?}");
    assert!(still_down.stdout.ends_with(" 1 left.\n"), "{still_down:?}");

    let listed = with_state(&["spool", "list"]);
    assert_eq!(listed.status, 1, "{listed:?}");
    let expected = format!("Z)  add request    {{job=\"backup\"}}  {}\n", gateway.url());
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
}

#[test]
fn spool_drop_discards_requests() {
    let state = StateDir::new();
    let gateway = FakeGateway::start();
    let with_state = |arguments: &[&str]| state.run(&gateway.url(), arguments);
    gateway.refuse_connections();
    for job in ["a", "b", "c"] {
        with_state(&["exec", "--job", job, "--timeout", "300ms", "--", "false"]);
    }
    let pending = || with_state(&["spool", "list"]).stdout.matches(" ago (").count();
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
}

#[test]
fn outcomes_for_a_wrong_url_are_listed_and_delivered_to_the_right_one() {
    let state = StateDir::new();
    let gateway = FakeGateway::start();
    // The same URL in two spellings; credentials are neither stored nor shown.
    let (wrong, other_spelling) = ("http://me:secret@gatway.invalid:80/", "HTTP://GATWAY.invalid");
    let stored = "http://gatway.invalid";
    let line = state.fail(wrong, "backup").stderr;
    assert!(line.contains("the next run for this URL delivers it"), "{line}");
    assert!(line.contains(&format!("run `metrics-push recover --from {stored}`")), "{line}");

    let listed = state.run(&gateway.url(), &["spool", "list"]);
    assert_eq!(listed.status, 1, "{listed:?}");
    let expected = format!(
        "{{job=\"backup\"}}  {stored}\n1 outcome for {stored}, which is not configured; \
         run `metrics-push recover --from {stored}` to deliver to the configured gateway.\n"
    );
    assert!(listed.stdout.ends_with(&expected), "{listed:?}");
    assert!(!format!("{line}{listed:?}").contains("secret"), "{listed:?}");
    let shown = state.run(&gateway.url(), &["spool", "show", "--job", "backup"]);
    assert!(shown.stdout.contains("outcome=\"exit_code\"} 1\n"), "{shown:?}");

    let unmoved = state.run(&gateway.url(), &["recover"]);
    assert!(
        unmoved
            .stdout
            .starts_with("0 outcomes delivered, 0 abandoned runs reported, 0 left.\n1 outcome for"),
        "{unmoved:?}"
    );
    // The gauge counts what waits for the configured gateway.
    state.run(&gateway.url(), &["exec", "--job", "other", "--", "true"]);
    gateway.after_run("other", &[]).assert_value("batch_job_spool_pending", &[], 0.0);

    let unknown = state.run(&gateway.url(), &["recover", "--from", "http://unknown"]);
    assert_eq!(unknown.status, 1, "{unknown:?}");
    assert!(unknown.stderr.contains(&format!("use one of these URLs: {stored}")), "{unknown:?}");
    let recovered = state.run(&gateway.url(), &["recover", "--from", other_spelling]);
    assert_eq!(
        (recovered.status, recovered.stdout.replace(&gateway.url(), "GATEWAY")),
        (
            0,
            format!(
                "Moved 1 outcome from {stored} to GATEWAY.\n\
                 1 outcome delivered, 0 abandoned runs reported, 0 left.\n"
            )
        ),
        "{recovered:?}"
    );
    gateway.after_run("backup", &[]).assert_outcome("exit_code");
    assert_eq!(state.run("", &["spool", "list"]).stdout, "The spool is empty.\n");
}

#[test]
fn spool_move_assigns_outcomes_without_sending_them() {
    let state = StateDir::new();
    let gateway = FakeGateway::start();
    state.fail("http://old.invalid", "backup");
    let to = gateway.url();
    let moved = state.run("", &["spool", "move", "--from", "http://old.invalid/", "--to", &to]);
    assert_eq!((moved.status, gateway.requests().len()), (0, 0), "{moved:?}");
    let listed = state.run(&to, &["spool", "list"]).stdout;
    assert!(listed.ends_with(&format!("{{job=\"backup\"}}  {to}\n")), "{listed}");
    // Any run for the new URL delivers it.
    state.run(&to, &["exec", "--job", "backup", "--", "true"]);
    let group = gateway.after_run("backup", &[]);
    group.assert_outcome("success").assert_family("batch_job_last_failure_timestamp_seconds");

    let neither = state.run("", &["spool", "move", "--from", "http://old.invalid"]);
    assert_eq!(neither.status, 2, "{neither:?}");
}

#[test]
fn recover_from_needs_one_gateway() {
    let state = StateDir::new();
    let (first, second) = (FakeGateway::start(), FakeGateway::start());
    let both = format!("{},{}", first.url(), second.url());
    let before = format!("{},http://old.invalid", first.url());
    state.fail(&before, "backup");
    let from = ["recover", "--from", "http://old.invalid"];
    let ambiguous = state.run(&both, &from);
    assert_eq!(ambiguous.status, 2, "{ambiguous:?}");
    assert!(
        ambiguous.stderr.contains("2 gateways are configured; select one with --url"),
        "{ambiguous:?}"
    );
    assert!(second.groups().is_empty());
    let selected = state.run(&both, &[&from[..], &["--url", &second.url()]].concat());
    assert_eq!(selected.status, 0, "{selected:?}");
    second.after_run("backup", &[]).assert_outcome("exit_code");
}

#[test]
fn spool_drop_selects_any_url() {
    let state = StateDir::new();
    for url in ["http://a.invalid", "http://b.invalid"] {
        state.fail(url, "backup");
    }
    let drop = |arguments: &[&str]| state.run("", &[&["spool", "drop"], arguments].concat());
    let one = drop(&["--job", "backup", "--url", "http://b.invalid:80"]);
    assert_eq!(one.stdout, "Dropped the request for {job=\"backup\"} on http://b.invalid.\n");
    assert_eq!(drop(&["--all"]).stdout, one.stdout.replace("//b", "//a"));
    assert_eq!(drop(&["--all"]).status, 1);
}

#[test]
fn numbers_in_messages_have_the_right_plural() {
    let state = StateDir::new();
    let gateway = FakeGateway::start();
    for job in ["a", "b"] {
        state.fail("http://old.invalid", job);
    }
    let listed = state.run(&gateway.url(), &["spool", "list"]).stdout;
    assert!(listed.contains("\n2 outcomes for http://old.invalid, which"), "{listed}");
}

/// How long a test waits for a child before it fails.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Returns the list of the spool after the end of a killed run. A child of the supervisor that has not executed the command yet
/// holds the lock of the journal until it ends, too.
fn list_when_dead(state: &StateDir) -> String {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let listed = state.run("", &["spool", "list"]).stdout;
        if listed != "The spool is empty.\n" || Instant::now() > deadline {
            return listed;
        }
    }
}

/// Runs a command as a run of a job, and kills its supervisor when the journal contains this text.
fn kill_run(state: &StateDir, url: &str, command: &[&str], text: &str) {
    let mut child = start_run(state, url, command);
    wait_for_journal(state, text);
    child.kill().unwrap();
    child.wait().unwrap();
}

fn start_run(state: &StateDir, url: &str, command: &[&str]) -> Child {
    let arguments = [&["exec", "--job", "backup", "--timeout", "60s", "--"], command].concat();
    let mut exec: Command = metrics_push(url, &arguments);
    exec.env("METRICS_PUSH_STATE_DIR", state.path()).env("PATH", "/usr/bin:/bin");
    exec.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn wait_for_journal(state: &StateDir, text: &str) {
    let deadline = Instant::now() + TIMEOUT;
    let has_text = |path: PathBuf| fs::read_to_string(path).is_ok_and(|found| found.contains(text));
    while !fs::read_dir(state.path().join("journal"))
        .is_ok_and(|mut files| files.any(|file| has_text(file.unwrap().path())))
    {
        assert!(Instant::now() < deadline, "no journal contains {text:?}");
        std::thread::yield_now();
    }
}

#[test]
fn run_with_a_known_ending_counts_as_a_delivered_outcome() {
    let state = StateDir::new();
    let gateway = FakeGateway::start();
    gateway.fault(Fault::hang());
    kill_run(&state, &gateway.url(), &["true"], "outcome=success");
    gateway.heal();
    let listed = state.run(&gateway.url(), &["spool", "list"]);
    let expected = format!("Z)  success run    {{job=\"backup\"}}  {}\n", gateway.url());
    assert!(listed.status == 1 && listed.stdout.ends_with(&expected), "{listed:?}");
    let recovered = state.run(&gateway.url(), &["recover"]);
    assert_eq!(
        (recovered.status, recovered.stdout.as_str(), recovered.stderr.as_str()),
        (0, "1 outcome delivered, 0 abandoned runs reported, 0 left.\n", "")
    );
    gateway.after_run("backup", &[]).assert_outcome("success");
    assert_eq!(state.run(&gateway.url(), &["spool", "list"]).stdout, "The spool is empty.\n");
}

#[test]
fn run_without_a_known_ending_is_listed_and_reported_as_abandoned() {
    let state = StateDir::new();
    let gateway = FakeGateway::start();
    let mut alive = start_run(&state, &gateway.url(), &["sleep", "60"]);
    wait_for_journal(&state, "started");
    let while_alive = state.run(&gateway.url(), &["spool", "list"]);
    assert_eq!((while_alive.status, while_alive.stdout.as_str()), (0, "The spool is empty.\n"));
    alive.kill().unwrap();
    alive.wait().unwrap();
    let listed = list_when_dead(&state);
    assert!(
        listed.contains(&format!("abandoned run  {{job=\"backup\"}}  {}\n", gateway.url())),
        "{listed}"
    );
    let recovered = state.run(&gateway.url(), &["recover"]);
    assert_eq!(recovered.stdout, "0 outcomes delivered, 1 abandoned run reported, 0 left.\n");
    // The line has a date.
    assert!(recovered.stderr.contains("that started at 20"), "{recovered:?}");
    gateway.after_run("backup", &[]).assert_outcome("abandoned");
}

#[test]
fn runs_for_a_wrong_url_are_moved_and_dropped() {
    let state = StateDir::new();
    let gateway = FakeGateway::start();
    gateway.fault(Fault::hang());
    kill_run(&state, &gateway.url(), &["true"], "outcome=success");
    let right = FakeGateway::start();
    let listed = state.run(&right.url(), &["spool", "list"]).stdout;
    assert!(listed.contains(&format!("recover --from {}`", gateway.url())), "{listed}");
    let dry = state.run("", &["spool", "drop", "--all", "--dry-run"]).stdout;
    assert!(dry.starts_with("Would drop the run of {job=\"backup\"} on http://"), "{dry}");
    let recovered = state.run(&right.url(), &["recover", "--from", &gateway.url()]).stdout;
    assert!(
        recovered.ends_with("\n1 outcome delivered, 0 abandoned runs reported, 0 left.\n"),
        "{recovered}"
    );
    right.after_run("backup", &[]).assert_outcome("success");

    kill_run(&state, &gateway.url(), &["true"], "outcome=success");
    let dropped = state.run("", &["spool", "drop", "--job", "backup"]).stdout;
    assert_eq!(dropped, dry.replace("Would drop", "Dropped"));
    assert_eq!(state.run("", &["spool", "list"]).stdout, "The spool is empty.\n");
}

/// Writes journals of dead processes, each with runs of different groups.
fn write_dead_runs(state: &StateDir, url: &str, journals: usize, runs: usize) {
    for journal in 0..journals {
        let mut text = "metrics-push journal 1\tprocess=999999\tboot=earlier\n".to_owned();
        for run in 0..runs {
            text += &format!(
                "started\tid={run}\tat=1764000000\tsink={url}\tjob=dead\tlabel=n={journal}-{run}\tversion=\n"
            );
        }
        state.write(&format!("{journal:020}-999999.journal"), &text);
    }
}

#[test]
fn job_reports_its_ending_before_many_runs_of_dead_processes() {
    let state = StateDir::new();
    let gateway = FakeGateway::start();
    write_dead_runs(&state, &gateway.url(), 1, 3_000);
    let ended = state.run(&gateway.url(), &["exec", "--job", "own", "--", "true"]);
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(ended.stderr.lines().count() <= 10, "{ended:?}");
    assert!(gateway.find_group("own", &[]).is_some(), "{ended:?}");
    let recovered = state.run(&gateway.url(), &["recover", "--timeout", "300s"]);
    assert!(recovered.stdout.ends_with(" 0 left.\n"), "{recovered:?}");
    assert_eq!(gateway.groups().len(), 3_001, "{recovered:?} {ended:?}");
}

#[test]
fn recovery_opens_few_journals_at_once() {
    let state = StateDir::new();
    let gateway = FakeGateway::start();
    write_dead_runs(&state, &gateway.url(), 400, 1);
    let limited = |arguments: &str| {
        let program = env!("CARGO_BIN_EXE_metrics-push");
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n 128; exec '{program}' {arguments}")]);
        command.env("METRICS_PUSH_URL", gateway.url()).env("METRICS_PUSH_STATE_DIR", state.path());
        piped(command, "")
    };
    let listed = limited("spool list");
    assert_eq!((listed.stdout.lines().count(), &*listed.stderr), (400, ""), "{listed:?}");
    let ended = limited("exec --job own -- true");
    assert_eq!(ended.status, 0, "{ended:?}");
    assert!(!ended.stderr.contains("open files"), "{ended:?}");
    assert!(gateway.groups().len() > 1, "{ended:?}");
    let recovered = limited("recover --timeout 300s");
    assert!(recovered.stdout.ends_with(" 0 left.\n"), "{recovered:?}");
    assert_eq!(gateway.groups().len(), 401, "{recovered:?} {ended:?}");
}

/// Returns the number of spooled requests.
fn spooled(state: &StateDir) -> usize {
    let Ok(files) = fs::read_dir(state.path().join("spool")) else { return 0 };
    files
        .filter(|file| file.as_ref().unwrap().path().extension() == Some("request".as_ref()))
        .count()
}

#[test]
fn runs_of_dead_processes_stay_in_their_journal_while_the_gateway_is_down() {
    let state = StateDir::new();
    let gateway = FakeGateway::start();
    gateway.refuse_connections();
    write_dead_runs(&state, &gateway.url(), 1, 1_000);
    let started = Instant::now();
    let ended = state.run(&gateway.url(), &["exec", "--job", "own", "--", "true"]);
    assert!(started.elapsed() < Duration::from_secs(30), "{ended:?}");
    assert_eq!(spooled(&state), 1, "{ended:?}");
    let still_down = state.run(&gateway.url(), &["recover", "--timeout", "2s"]);
    assert!(still_down.stdout.ends_with(" 1001 left.\n"), "{still_down:?}");
    assert_eq!(spooled(&state), 1, "{still_down:?}");
    gateway.accept_connections();
    let recovered = state.run(&gateway.url(), &["recover", "--timeout", "300s"]);
    assert_eq!(
        recovered.stdout, "1 outcome delivered, 1000 abandoned runs reported, 0 left.\n",
        "{recovered:?}"
    );
    assert_eq!(gateway.groups().len(), 1_001, "{recovered:?} {ended:?}");
}

#[test]
fn recover_does_not_fill_the_spool_if_the_gateway_accepts_no_pushes() {
    const RUNS: usize = 5_000;
    let state = StateDir::new();
    let gateway = FakeGateway::start();
    gateway.fault(Fault::status(503).when(|request| request.method != "GET"));
    write_dead_runs(&state, &gateway.url(), 1, RUNS);
    let failed = state.run(&gateway.url(), &["recover", "--timeout", "3s"]);
    assert_eq!(failed.status, 1, "{failed:?}");
    assert!((1..=200).contains(&spooled(&state)), "{} {failed:?}", spooled(&state));
    gateway.heal();
    let recovered = state.run(&gateway.url(), &["recover", "--timeout", "300s"]);
    assert!(recovered.stdout.ends_with(" 0 left.\n"), "{recovered:?}");
    assert_eq!(gateway.groups().len(), RUNS, "{recovered:?} {failed:?}");
    assert!(!state.path().join("spool/dropped").exists(), "{failed:?}");
}

#[test]
fn recover_delivers_the_spool_before_it_reports_runs() {
    let state = StateDir::new();
    let gateway = FakeGateway::start();
    gateway.refuse_connections();
    state.fail(&gateway.url(), "own");
    write_dead_runs(&state, &gateway.url(), 1, 10);
    gateway.accept_connections();
    let recovered = state.run(&gateway.url(), &["recover"]);
    assert!(recovered.stdout.contains("10 abandoned runs reported"), "{recovered:?}");
    let requests = gateway.requests();
    let first = requests.iter().find(|request| request.method != "GET").unwrap();
    assert_eq!(first.path, "/metrics/job/own");
}

#[test]
fn rejected_run_stays_in_its_journal_if_it_cannot_be_spooled() {
    let state = StateDir::new();
    fs::write(state.path().join("spool"), "not a folder").unwrap();
    let gateway = FakeGateway::start();
    gateway.fault(Fault::status(400).when(|request| request.method != "GET"));
    state.fail(&gateway.url(), "backup");
    write_dead_runs(&state, &gateway.url(), 1, 1);
    let rejected = state.run(&gateway.url(), &["recover", "--timeout", "2s"]);
    assert!(rejected.stdout.ends_with(" 2 left.\n"), "{rejected:?}");
    gateway.heal();
    fs::remove_file(state.path().join("spool")).unwrap();
    let recovered = state.run(&gateway.url(), &["recover"]);
    assert_eq!(
        recovered.stdout, "1 outcome delivered, 1 abandoned run reported, 0 left.\n",
        "{recovered:?}"
    );
    gateway.after_run("backup", &[]).assert_outcome("exit_code");
}

#[test]
fn recover_counts_runs_that_another_process_reports_as_left() {
    let state = StateDir::new();
    let gateway = FakeGateway::start();
    write_dead_runs(&state, &gateway.url(), 1, 3);
    let lock = lock_recovery(&state);
    let busy = state.run(&gateway.url(), &["recover", "--timeout", "300ms"]);
    assert_eq!((busy.status, gateway.groups().len()), (1, 0), "{busy:?}");
    assert!(busy.stdout.ends_with(" 3 left.\n"), "{busy:?}");
    drop(lock);
}

/// Locks what a process locks while it reports the runs of dead processes.
fn lock_recovery(state: &StateDir) -> fs::File {
    let lock = fs::File::create(state.path().join("journal/recovery.lock")).unwrap();
    lock.lock().unwrap();
    lock
}

#[test]
fn recover_waits_while_another_process_reports_runs() {
    let state = StateDir::new();
    let gateway = FakeGateway::start();
    write_dead_runs(&state, &gateway.url(), 1, 3);
    let lock = lock_recovery(&state);
    let mut command = metrics_push(&gateway.url(), &["recover"]);
    command
        .env("METRICS_PUSH_STATE_DIR", state.path())
        .stderr(Stdio::null())
        .stdout(Stdio::piped());
    let mut recover = command.spawn().unwrap();
    let descriptors = format!("/proc/{}/fd", recover.id());
    let is_waiting = || {
        let mut targets = fs::read_dir(&descriptors).into_iter().flatten().flatten();
        targets.any(|target| {
            fs::read_link(target.path()).is_ok_and(|path| path.ends_with("recovery.lock"))
        })
    };
    let deadline = Instant::now() + TIMEOUT;
    while !is_waiting() && recover.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "recover does not wait");
    }
    drop(lock);
    let output = recover.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.ends_with("3 abandoned runs reported, 0 left.\n"), "{text}");
    assert_eq!(gateway.groups().len(), 3);
}
