//! `metrics-push exec`: preserves the exit status of the command and reports it to the gateway.

use std::ffi::OsString;
#[cfg(target_os = "linux")]
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::ffi::OsStringExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use metrics_push::testing::{FakeGateway, Fault, Group};
use rustix::process::{Pid, Signal, kill_process};

use crate::full_pipe::full_pipe;
use crate::machine::Machine;
use crate::program::{Ended, metrics_push, piped, shell_status};
use crate::signal_defaults::reset_signals;

/// How long a test waits for an event before it fails.
const TIMEOUT: Duration = Duration::from_secs(20);

fn exec(gateway: &FakeGateway, arguments: &[&str], command: &[&str]) -> Command {
    let arguments = [&["exec", "--job", "backup"], arguments, &["--"], command].concat();
    let mut exec = metrics_push(&gateway.url(), &arguments);
    exec.env("PATH", "/usr/bin:/bin");
    exec
}

fn run(gateway: &FakeGateway, command: &[&str]) -> Ended {
    piped(exec(gateway, &[], command), "")
}

fn ended(gateway: &FakeGateway) -> Group {
    gateway.after_run("backup", &[])
}

#[test]
fn exec_reports_every_ending_and_preserves_the_status() {
    for (command, status, outcome) in [
        (&["true"][..], 0, "success"),
        (&["false"], 1, "exit_code"),
        (&["sh", "-c", "exit 3"], 3, "exit_code"),
        (&["sh", "-c", "kill -9 $$"], 137, "signal"),
        (&["sh", "-c", "kill -TERM $$"], 143, "signal"),
        (&["no-such-command"], 127, "exit_code"),
        (&["/etc/passwd"], 126, "exit_code"),
    ] {
        let gateway = FakeGateway::start();
        let ran = run(&gateway, command);
        assert_eq!(ran.status, status, "{command:?}: {ran:?}");
        let group = ended(&gateway);
        group.assert_outcome(outcome);
        match (outcome, status) {
            ("signal", _) => {
                group.assert_value("batch_job_last_run_signal", &[], f64::from(status - 128))
            }
            _ => group.assert_value("batch_job_last_run_exit_code", &[], f64::from(status)),
        };
        let is_success = outcome == "success";
        assert_eq!(group.has_family("batch_job_last_success_timestamp_seconds"), is_success);
        // Only a command that cannot run causes a message.
        let message = format!("metrics-push: Cannot run the command {}: ", command[0]);
        assert_eq!(ran.stderr.starts_with(&message), matches!(status, 126 | 127), "{ran:?}");
        assert!(matches!(status, 126 | 127) || ran.stderr.is_empty(), "{ran:?}");
    }
}

#[test]
fn exec_accepts_a_command_without_dashes() {
    let gateway = FakeGateway::start();
    let arguments = ["exec", "--job", "backup", "sh", "-c", "exit 3", "--job", "another"];
    let mut command = metrics_push(&gateway.url(), &arguments);
    command.env("PATH", "/usr/bin:/bin");
    assert_eq!(piped(command, "").status, 3);
    ended(&gateway).assert_value("batch_job_last_run_exit_code", &[], 3.0);
}

#[test]
fn exec_reports_deadlines_duration_and_memory() {
    let gateway = FakeGateway::start();
    let arguments = ["--every", "24h", "--max-runtime", "1h", "--grouping", "region=eu"];
    assert_eq!(piped(exec(&gateway, &arguments, &["sleep", "0.2"]), "").status, 0);
    let group = gateway.after_run("backup", &[("region", "eu")]);
    group
        .assert_outcome("success")
        .assert_value("batch_job_success_deadline_seconds", &[], 172_800.0)
        .assert_value("batch_job_max_runtime_seconds", &[], 3_600.0)
        .assert_family("batch_job_last_run_max_resident_memory_bytes");
    let took = group.value("batch_job_last_run_duration_seconds", &[]);
    assert!((0.2..10.0).contains(&took), "{took}");
}

#[test]
fn exec_reports_next_run_grace_and_thresholds() {
    let gateway = FakeGateway::start();
    let schedule = ["--schedule", "0 3 * * *", "--timezone", "Europe/Berlin", "--grace", "10m"];
    let thresholds = ["--failure-threshold", "3", "--recovery-threshold", "2"];
    let arguments = [&schedule[..], &thresholds].concat();
    for (command, is_success) in [("false", false), ("true", true)] {
        piped(exec(&gateway, &arguments, &[command]), "");
        let group = ended(&gateway);
        group
            .assert_value("batch_job_start_grace_seconds", &[], 600.0)
            .assert_value("batch_job_failure_threshold", &[], 3.0)
            .assert_value("batch_job_recovery_threshold", &[], 2.0);
        let started = group.value("batch_job_last_start_timestamp_seconds", &[]);
        let next_run = group.value("batch_job_next_run_timestamp_seconds", &[]);
        // A day on which the clocks change has 25 hours.
        assert!((0.0..=90_000.0).contains(&(next_run - started)), "{started} {next_run}");
        let deadline = "batch_job_success_deadline_seconds";
        assert_eq!(group.has_family(deadline), is_success);
        if is_success {
            let deadline = group.value(deadline, &[]);
            assert!((82_000.0..=176_400.0).contains(&deadline), "{deadline}");
        }
    }
}

#[test]
fn exec_reports_an_unknown_time_zone_once_and_runs() {
    let gateway = FakeGateway::start();
    let arguments = ["--schedule", "@daily", "--timezone", "Europe/Berlni"];
    let ran = piped(exec(&gateway, &arguments, &["true"]), "");
    assert_eq!(ran.status, 0);
    let expected = "metrics-push: unknown time zone \"Europe/Berlni\"; write a name of the time zone database, such as \
                    Europe/Berlin or UTC; the next run is not pushed\n";
    assert_eq!(ran.stderr, expected);
    let group = ended(&gateway);
    group.assert_outcome("success");
    assert!(!group.has_family("batch_job_next_run_timestamp_seconds"));
}

#[test]
fn command_inherits_input_output_and_environment() {
    let gateway = FakeGateway::start();
    let script = r#"cat; echo "[$METRICS_PUSH_SUPERVISOR]"; echo problem >&2"#;
    let ended = piped(exec(&gateway, &[], &["sh", "-c", script]), "line\n");
    assert_eq!(
        (ended.stdout.as_str(), ended.stderr.as_str()),
        ("line\n[]\n", "problem\n"),
        "{ended:?}"
    );
}

/// Prints the signal state and the open standard streams of the shell to the file `$0`.
const PRINT_STATE: &str = "(grep -E 'Sig(Blk|Ign)|Umask' /proc/$$/status; for stream in 0 1 2; do readlink \
                           /proc/$$/fd/$stream; done) > $0; exit 3";

/// Runs a command with arguments of `env` and a redirection, and returns the state that it prints.
fn inherited_state(command: &Command, options: &str, redirection: &str) -> String {
    let file = std::env::temp_dir().join(format!("metrics-push-inherited-{}", std::process::id()));
    let start = format!("umask 027; exec env {options} \"$@\" {redirection}");
    let mut launcher = Command::new("sh");
    launcher
        .args(["-c", &start, "sh"])
        .arg(command.get_program())
        .args(command.get_args())
        .arg(&file);
    launcher.env_clear().env("PATH", "/usr/bin:/bin");
    for (name, value) in command.get_envs() {
        launcher.env(name, value.unwrap_or_default());
    }
    launcher.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = reset_signals(&mut launcher).status().unwrap();
    assert_eq!(status.code(), Some(3), "{options} {redirection}");
    let state = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(file).unwrap();
    state
}

#[test]
fn command_inherits_signals_and_closed_streams_unchanged() {
    let gateway = FakeGateway::start();
    let signals = ["HUP", "INT", "QUIT", "TERM", "PIPE", "CHLD", "USR1", "XCPU", "ALRM", "TSTP"];
    let ignored = signals.map(|signal| (format!("--ignore-signal={signal}"), ""));
    let blocked = signals.map(|signal| (format!("--block-signal={signal}"), ""));
    let all = ["--block-signal", "--ignore-signal", ""].map(|option| (option.to_owned(), ""));
    let streams = ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"].map(|closed| (String::new(), closed));
    let print = ["sh", "-c", PRINT_STATE];
    let mut bare = Command::new(print[0]);
    bare.args(&print[1..]);
    let supervised = exec(&gateway, &[], &print);
    let mut unsupervised = metrics_push("", &[&["exec", "--"], &print[..]].concat());
    unsupervised.env("PATH", "/usr/bin:/bin");
    for (options, redirection) in ignored.into_iter().chain(blocked).chain(all).chain(streams) {
        let expected = inherited_state(&bare, &options, redirection);
        for command in [&supervised, &unsupervised] {
            let state = inherited_state(command, &options, redirection);
            assert_eq!(state, expected, "{options} {redirection}: {command:?}");
        }
    }
}

/// Starts a command and waits for its line "ready".
fn start_until_ready(mut command: Command) -> Child {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    child
}

fn send(child: &Child, signal: Signal) {
    let id = Pid::from_raw(child.id().cast_signed()).unwrap();
    kill_process(id, signal).unwrap();
}

#[test]
fn exec_forwards_signals_to_the_command() {
    let gateway = FakeGateway::start();
    let dies = "echo ready; exec sleep 60";
    let mut child = start_until_ready(exec(&gateway, &[], &["sh", "-c", dies]));
    // The command does not wait long for the push of its start.
    gateway.wait_for(TIMEOUT, |gateway| gateway.find_group("backup", &[]).is_some());
    let open = gateway.group("backup", &[]);
    assert_eq!(open.outcome(), None, "the start is pushed while the command runs: {open}");
    send(&child, Signal::TERM);
    assert_eq!(shell_status(child.wait().unwrap()), 143);
    ended(&gateway).assert_outcome("signal").assert_value("batch_job_last_run_signal", &[], 15.0);

    gateway.clear();
    let ignores = "trap '' TERM; echo ready; read line; exit 3";
    let mut child = start_until_ready(exec(&gateway, &[], &["sh", "-c", ignores]));
    send(&child, Signal::TERM);
    child.stdin.take().unwrap().write_all(b"go on\n").unwrap();
    assert_eq!(shell_status(child.wait().unwrap()), 3);
    ended(&gateway).assert_value("batch_job_last_run_exit_code", &[], 3.0);
}

#[test]
fn command_that_ends_at_once_is_reported_once_with_both_times() {
    let gateway = FakeGateway::start();
    for _ in 0..20 {
        gateway.clear();
        run(&gateway, &["true"]);
        let group = ended(&gateway);
        let time =
            |name: &str| group.value(&format!("batch_job_last_{name}_timestamp_seconds"), &[]);
        assert!(time("start") <= time("completion"), "{group}");
        let is_completion =
            |body: &[u8]| String::from_utf8_lossy(body).contains("batch_job_last_completion_");
        let requests = gateway.requests();
        let completions: Vec<_> = requests.iter().map(|sent| is_completion(&sent.body)).collect();
        assert!(matches!(completions[..], [true] | [false, true]), "{completions:?}");
    }
}

/// Starts a command that outlives the test, and kills `exec`. Returns when the command has ended.
fn kill_exec(machine: &Machine) {
    let sleeps = ["exec", "--job", "orders", "--", "sh", "-c", "echo ready; exec sleep 600"];
    let mut command = machine.command(&sleeps);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut String::new()).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    // The output is closed when the command has ended.
    assert_eq!(output.read(&mut [0]).unwrap(), 0);
}

#[test]
fn killed_exec_ends_its_command_and_is_reported_once() {
    let machine = Machine::new("killed");
    kill_exec(&machine);
    let waits = ["exec", "--job", "orders", "--", "sh", "-c", "echo ready; read line"];
    let mut next = machine.command(&waits);
    next.stderr(Stdio::null());
    let mut next = start_until_ready(next);
    // A run that has only started does not supersede the killed one.
    let is_abandoned = |group: Group| group.outcome().as_deref() == Some("abandoned");
    let is_reported = |it: &FakeGateway| it.find_group("orders", &[]).is_some_and(is_abandoned);
    machine.gateway.wait_for(TIMEOUT, is_reported);
    next.stdin.take().unwrap().write_all(b"go on\n").unwrap();
    assert!(next.wait().unwrap().success());
    machine.gateway.after_run("orders", &[]).assert_outcome("success");
    assert_eq!(machine.outcomes("orders"), ["success", "abandoned"]);
}

#[test]
fn killed_exec_is_reported_before_a_run_that_ends_at_once() {
    let machine = Machine::new("killed-before");
    kill_exec(&machine);
    for (code, expected) in
        [(0, &["success", "abandoned"][..]), (3, &["exit_code", "success", "abandoned"])]
    {
        machine.exec(&[], code);
        let group = machine.gateway.after_run("orders", &[]);
        group.assert_outcome(expected[0]);
        group.assert_family("batch_job_last_abandoned_timestamp_seconds");
        assert_eq!(machine.outcomes("orders"), expected);
    }
}

/// Sends TERM until `exec`, whose command has ended, ends as well.
fn end_wait(mut child: Child) -> i32 {
    let started = std::time::Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return shell_status(status);
        }
        assert!(started.elapsed() < TIMEOUT, "exec still runs");
        send(&child, Signal::TERM);
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn signal_ends_the_wait_for_a_gateway_that_hangs() {
    let machine = Machine::new("hangs");
    // The next run queries the gateway, to report this one.
    kill_exec(&machine);
    for arguments in [&["--job", "orders"][..], &["--job", "backup"]] {
        machine.gateway.clear();
        machine.gateway.fault(Fault::hang());
        let arguments =
            [&["exec", "--timeout", "10m"], arguments, &["--", "sh", "-c", "exit 3"]].concat();
        let mut command = machine.command(&arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        machine.gateway.wait_for(TIMEOUT, |gateway| !gateway.requests().is_empty());
        // The output is closed when the command has ended.
        assert_eq!(child.stdout.take().unwrap().read(&mut [0]).unwrap(), 0);
        assert_eq!(end_wait(child), 3, "{arguments:?}");
        machine.gateway.heal();
    }
    let recovered = machine.run(&["recover"]);
    assert_eq!(recovered.status, 0, "{recovered:?}");
    machine.gateway.after_run("orders", &[]).assert_outcome("exit_code");
    machine.gateway.after_run("backup", &[]).assert_outcome("exit_code");
}

/// Some packages start a program through the dynamic loader. Such a program cannot execute itself again, because its path is
/// that of the loader.
#[test]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn exec_runs_the_command_if_it_cannot_execute_itself_again() {
    let gateway = FakeGateway::start();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mut files = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
    let loader = files.find(|file| file.contains("/ld-")).unwrap();
    let program = exec(&gateway, &[], &["sh", "-c", "exit 3"]);
    let mut command = Command::new(loader);
    command.arg(program.get_program()).args(program.get_args()).env_clear();
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let ran = piped(command, "");
    assert_eq!(ran.status, 3, "{ran:?}");
    ended(&gateway).assert_outcome("exit_code");
}

#[test]
fn exec_kills_the_command_after_max_runtime() {
    let gateway = FakeGateway::start();
    let arguments = ["--max-runtime", "200ms", "--kill"];
    let ended_late = piped(exec(&gateway, &arguments, &["sleep", "60"]), "");
    assert_eq!(ended_late.status, 143, "{ended_late:?}");
    ended(&gateway).assert_outcome("timeout");
}

#[test]
fn exec_runs_the_command_despite_metrics_errors() {
    let command = ["exec", "--", "sh", "-c", "echo done; exit 3"];
    let unconfigured = piped(metrics_push("", &command), "");
    assert_eq!(
        (unconfigured.status, unconfigured.stdout.as_str(), unconfigured.stderr.as_str()),
        (3, "done\n", "")
    );
    let down = piped(
        metrics_push(
            "http://127.0.0.1:9",
            &[&["exec", "--timeout", "300ms"], &command[1..]].concat(),
        ),
        "",
    );
    assert_eq!((down.status, down.stdout.as_str()), (3, "done\n"));
    assert!(down.stderr.contains("http://127.0.0.1:9"), "{down:?}");

    let gateway = FakeGateway::start();
    let mut misconfigured = metrics_push(&gateway.url(), &command);
    misconfigured.env("METRICS_PUSH_TIMEOUT", "soon").env("METRICS_PUSH_GROUPING", "region=eu");
    let ended = piped(misconfigured, "");
    assert_eq!((ended.status, ended.stdout.as_str()), (3, "done\n"));
    assert_eq!(ended.stderr.matches("METRICS_PUSH_TIMEOUT").count(), 1, "{ended:?}");
    // The default job name is the name of the command.
    gateway.after_run("sh", &[("region", "eu")]).assert_outcome("exit_code");
}

#[test]
fn exec_runs_the_command_if_stderr_is_not_read() {
    let gateway = FakeGateway::start();
    let (_reader, stderr) = full_pipe();
    let mut command = exec(&gateway, &["--every", "daily"], &["sh", "-c", "exit 3"]);
    let mut child = command.stderr(stderr).spawn().unwrap();
    ended(&gateway).assert_outcome("exit_code");
    assert_eq!(shell_status(child.wait().unwrap()), 3);
}

#[test]
fn hanging_gateway_delays_the_command_briefly() {
    let gateway = FakeGateway::start();
    gateway.fault(Fault::hang());
    let started = std::time::Instant::now();
    let child = exec(&gateway, &["--timeout", "60s"], &["sh", "-c", "echo ready"]);
    let mut child = start_until_ready(child);
    assert!(started.elapsed() < TIMEOUT, "{:?}", started.elapsed());
    gateway.heal();
    assert_eq!(shell_status(child.wait().unwrap()), 0);
}

#[test]
fn exec_reports_an_unknown_variable_once_and_runs_the_command() {
    let gateway = FakeGateway::start();
    let mut misspelled = exec(&gateway, &[], &["sh", "-c", "echo done; exit 3"]);
    misspelled.env("METRICS_PUSH_STATEDIR", "/nonexistent").env("METRICS_PUSH_TOKEN_1", "t");
    let ran = piped(misspelled, "");
    assert_eq!((ran.status, ran.stdout.as_str()), (3, "done\n"), "{ran:?}");
    let [line] = &ran.stderr.lines().collect::<Vec<_>>()[..] else { panic!("{ran:?}") };
    assert!(line.contains("METRICS_PUSH_STATEDIR") && line.ends_with("METRICS_PUSH_STATE_DIR."));
}

/// The options of `exec` in its help, without the help itself, and whether each takes a value.
fn options() -> Vec<(String, bool)> {
    let help = piped(metrics_push("", &["exec", "--help"]), "").stdout;
    let lines = help.lines().filter_map(|line| line.trim_start().strip_prefix("--"));
    let options = lines.filter_map(|line| {
        let mut words = line.split(' ');
        let name = words.next().filter(|name| !name.is_empty())?;
        Some((format!("--{name}"), words.next().is_some_and(|word| word.starts_with('<'))))
    });
    let options: Vec<_> = options.collect();
    assert!(options.len() >= 9 && options.contains(&("--every".into(), true)), "{options:?}");
    options
}

/// Runs `exec` with these options and a command that prints a line and exits with 3. Checks that the command ran, and
/// returns the lines on stderr.
fn run_with_options(options: &[OsString]) -> Vec<String> {
    let mut command = metrics_push("", &["exec"]);
    command.args(options).args(["--", "/bin/sh", "-c", "echo done; exit 3"]);
    let ran = piped(command, "");
    assert_eq!((ran.status, ran.stdout.as_str()), (3, "done\n"), "{options:?}: {ran:?}");
    ran.stderr.lines().map(str::to_owned).collect()
}

#[test]
fn exec_runs_the_command_despite_any_invalid_option() {
    let mut mistakes = 0;
    for (name, takes_value) in options() {
        let misspelled = name.replacen("--", "--x", 1);
        let mut variants: Vec<Vec<OsString>> = vec![
            vec![name.clone().into(), "".into()],
            vec![format!("{name}=").into()],
            vec![name.clone().into(), "no such value".into()],
            vec![format!("{name}=\u{1b}[2J\u{202e}").into()],
            vec![OsString::from_vec([name.as_bytes(), b"=\xff\xfe"].concat())],
            vec![OsString::from_vec([name.as_bytes(), b"\xff"].concat())],
            vec![format!("{name}=1h").into(), format!("{name}=1h").into()],
            vec![format!("{name}={}", "9".repeat(400)).into()],
            vec![misspelled.clone().into()],
            vec![format!("{misspelled}=1h").into()],
            vec![misspelled.into(), "1h".into()],
        ];
        // A value of a flag is the command.
        if !takes_value {
            variants
                .retain(|options| options.len() == 1 || options[1].to_string_lossy().contains('-'));
        }
        variants.push(vec![name.into()]);
        for options in variants {
            let lines = run_with_options(&options);
            // A valid URL causes lines about the gateway.
            let ignored = lines.iter().filter(|line| line.starts_with("metrics-push: Ignored "));
            mistakes += ignored.clone().count();
            assert!(ignored.count() <= 2, "{options:?}: {lines:?}");
            let is_clean = |line: &String| !line.contains(['\u{1b}', '\u{202e}']);
            assert!(lines.iter().all(is_clean), "{options:?}: {lines:?}");
        }
    }
    assert!(mistakes > 80, "{mistakes}");
}

#[test]
fn exec_names_the_option_the_mistake_and_the_remedy() {
    for (options, expected) in [
        (
            &["--every", "daily"][..],
            r#"Ignored --every: invalid duration "daily"; write it as 10s, 1500ms, 2m, 1h30m or 7d."#,
        ),
        (
            &["--every", ""],
            r#"Ignored --every: invalid duration ""; write it as 10s, 1500ms, 2m, 1h30m or 7d."#,
        ),
        (&["--timeout"], "Ignored --timeout: the value is missing; write --timeout DURATION."),
        (
            &["--grouping", "a"],
            r#"Ignored --grouping: invalid grouping label "a"; write it as name=value."#,
        ),
        (
            &["--job", ""],
            "Ignored --job: the job name is empty; set a job name, which every group needs.",
        ),
        (
            &["--ok-exit-code", "3,x"],
            r#"Ignored --ok-exit-code: invalid exit code "x"; write a number from 0 to 255, and commas between several."#,
        ),
        (
            &["--skip-exit-code", "75,256"],
            r#"Ignored --skip-exit-code: invalid exit code "256"; write a number from 0 to 255, and commas between several."#,
        ),
        (&["--kill"], "Ignored --kill: it needs --max-runtime; write --max-runtime 1h --kill."),
        (
            &["--kill=yes", "--max-runtime", "1h"],
            "Ignored --kill: the option has no value; write --kill.",
        ),
        (&["--evry", "24h"], r#"Ignored the unknown option "--evry"; write --every."#),
        (&["-q"], r#"Ignored the unknown option "-q"; run `metrics-push exec --help` for a list."#),
        (&["--job", "a", "--job", "b"], "Ignored --job: the option is repeated; write it once."),
        (
            &["--schedule", "0 24 * * *"],
            r#"Ignored --schedule: invalid schedule "0 24 * * *": invalid hour "24"; use 0-23, in lists, ranges and steps such as 1,3, 1-5 and */2."#,
        ),
        (
            &["--every", "24h", "--schedule", "@daily"],
            "Ignored --schedule: it excludes --every; remove one of the two.",
        ),
        (
            &["--timezone", "UTC"],
            "Ignored --timezone: it needs --schedule; write --schedule @daily --timezone UTC.",
        ),
        (
            &["--grace", "10m"],
            "Ignored --grace: it needs --every or --schedule; write --every 24h --grace 10m.",
        ),
        (
            &["--failure-threshold", "0"],
            r#"Ignored --failure-threshold: invalid number of runs "0"; write a number of at least 1, such as 3."#,
        ),
    ] {
        let options: Vec<OsString> = options.iter().map(Into::into).collect();
        assert_eq!(run_with_options(&options), [format!("metrics-push: {expected}")]);
    }
    for options in [&["--url", ""][..], &["--url="], &["--every", "24h"], &["--job", "a"]] {
        let options: Vec<OsString> = options.iter().map(Into::into).collect();
        assert_eq!(run_with_options(&options), [""; 0], "{options:?}");
    }
    let secret = run_with_options(&["--url".into(), "http://user:secret@host:port".into()]);
    assert!(!secret[0].contains("secret"), "{secret:?}");
}

#[test]
fn exec_uses_the_valid_options_beside_an_invalid_one() {
    let gateway = FakeGateway::start();
    let arguments =
        ["--every", "daily", "--max-runtime", "1h", "--bogus", "--grouping", "region=eu"];
    let ran = piped(exec(&gateway, &arguments, &["false"]), "");
    assert_eq!((ran.status, ran.stderr.lines().count()), (1, 2), "{ran:?}");
    let group = gateway.after_run("backup", &[("region", "eu")]);
    group.assert_outcome("exit_code").assert_value("batch_job_max_runtime_seconds", &[], 3_600.0);
}

#[test]
fn exec_reports_to_the_valid_sinks_beside_an_invalid_one() {
    let (valid, invalid) = (FakeGateway::start(), FakeGateway::start());
    let mut exec = exec(&valid, &["--grouping", "region=eu"], &["false"]);
    exec.env("METRICS_PUSH_URL", [valid.url(), invalid.url()].join(","));
    exec.env("METRICS_PUSH_PASSWORD_2", "x");
    let ran = piped(exec, "");
    assert_eq!((ran.status, ran.stderr.lines().count()), (1, 1), "{ran:?}");
    assert!(ran.stderr.contains("METRICS_PUSH_USERNAME_2"), "{ran:?}");
    valid.after_run("backup", &[("region", "eu")]).assert_outcome("exit_code");
    assert!(invalid.requests().is_empty());
}

#[test]
fn misspelled_option_does_not_hide_the_command() {
    let shell = ["/bin/sh", "-c", "echo done; exit 3"];
    for (options, command) in [
        (&["exec", "--evry", "24h"][..], &shell[..]),
        (&["exec", "--bogus"], &shell),
        (&["exec", "--bogus", "5", "--job", "x"], &shell),
        (&["--bogus", "exec"], &shell),
        (&["--url", "", "--every", "x", "exec", "--job", "x"], &shell),
    ] {
        let ran = piped(metrics_push("", &[options, command].concat()), "");
        assert_eq!((ran.status, ran.stdout.as_str()), (3, "done\n"), "{options:?}: {ran:?}");
    }
    for arguments in [&["exec"][..], &["exec", "--every", "daily"], &["exec", "--job", "x", "--"]] {
        let ended = piped(metrics_push("", arguments), "");
        assert_eq!((ended.status, ended.stderr.starts_with("error: ")), (2, true), "{ended:?}");
    }
    let help = piped(metrics_push("", &["exec", "--every", "daily", "--help"]), "");
    assert!(help.status == 0 && help.stdout.contains("Usage: metrics-push exec"), "{help:?}");
}

#[test]
fn exec_warns_about_the_name_of_a_shell_or_wrapper() {
    let gateway = FakeGateway::start();
    let run = |arguments: &[&str], name: &str| {
        gateway.clear();
        let mut command = metrics_push(&gateway.url(), &[&["exec"], arguments].concat());
        command.env("PATH", "/usr/bin:/bin");
        let ran = piped(command, "");
        let _ = gateway.after_run(name, &[]);
        ran
    };
    for (command, name) in [
        (&["/bin/sh", "-c", "exit 3"][..], "sh"),
        (&["bash", "-c", "exit 3"], "bash"),
        (&["env", "sh", "-c", "exit 3"], "env"),
        (&["timeout", "5", "sh", "-c", "exit 3"], "timeout"),
        (&["perl", "-e", "exit 3"], "perl"),
    ] {
        let ran = run(command, name);
        let expected = format!(
            "metrics-push: The job has the name {name:?}, which is the name of the program that runs it; \
             set another one with --job NAME.\n"
        );
        assert_eq!((ran.status, ran.stderr.as_str()), (3, expected.as_str()), "{ran:?}");
    }
    let named = run(&["--job", "backup", "sh", "-c", "exit 3"], "backup");
    assert_eq!((named.status, named.stderr.as_str()), (3, ""), "{named:?}");
    let help = piped(metrics_push("", &["exec", "--help"]), "").stdout;
    assert!(help.contains(" bash ") && help.contains(" timeout "), "{help}");
}

#[test]
fn listed_exit_codes_are_not_failures() {
    let gateway = FakeGateway::start();
    let options = ["--skip-exit-code", "75,76", "--ok-exit-code", "1", "--ok-exit-code=2"];
    for (code, outcome) in [
        (75, "skipped"),
        (76, "skipped"),
        (1, "success"),
        (2, "success"),
        (0, "success"),
        (3, "exit_code"),
    ] {
        gateway.clear();
        let script = format!("exit {code}");
        let ran = piped(exec(&gateway, &options, &["sh", "-c", &script]), "");
        assert_eq!((ran.status, ran.stderr.as_str()), (code, ""), "{ran:?}");
        let group = ended(&gateway);
        group.assert_outcome(outcome);
        group.assert_value("batch_job_last_run_exit_code", &[], f64::from(code));
        let has_succeeded = group.has_family("batch_job_last_success_timestamp_seconds");
        assert_eq!(has_succeeded, outcome == "success", "{code}");
    }
}

#[test]
fn exec_works_with_an_empty_or_no_search_path() {
    for path in [None, Some(""), Some("/nonexistent")] {
        for command in [&["/bin/sh", "-c", "exit 3"][..], &["sh", "-c", "exit 3"], &["./sh"]] {
            let with_path = |mut command: Command| {
                command.env_remove("PATH").current_dir("/");
                path.map(|path| command.env("PATH", path));
                command
            };
            let mut bare = Command::new("/usr/bin/env");
            bare.args(command);
            let bare = piped(with_path(bare), "");
            let gateway = FakeGateway::start();
            let ran = piped(with_path(exec(&gateway, &[], command)), "");
            assert_eq!(
                (ran.status, &ran.stdout),
                (bare.status, &bare.stdout),
                "{path:?} {command:?}"
            );
            let group = ended(&gateway);
            group.assert_value("batch_job_last_run_exit_code", &[], f64::from(bare.status));
        }
    }
}

#[test]
fn exec_stores_the_last_lines_of_a_failed_command() {
    let machine = Machine::new("output");
    let script =
        "echo out; echo one >&2; echo 'two http://user:pass@host' >&2; echo three >&2; exit 3";
    let arguments = ["exec", "--job", "orders", "--output-lines", "2", "--", "sh", "-c", script];
    let ended = machine.run(&arguments);
    assert_eq!((ended.status, ended.stdout.as_str()), (3, "out\n"), "{ended:?}");
    assert_eq!(ended.stderr, "one\ntwo http://user:pass@host\nthree\n");
    assert_eq!(machine.reasons("orders"), [Some(r"two http://…@host\nthree".to_owned())]);
}

#[test]
fn exec_stores_no_output_of_a_success_and_none_by_default() {
    let machine = Machine::new("no-output");
    for (arguments, status) in [
        (&["--output-lines", "5", "--", "sh", "-c", "echo warning >&2"][..], 0),
        (&["--", "sh", "-c", "echo secret >&2; exit 1"], 1),
    ] {
        let ended = machine.run(&[&["exec", "--job", "orders"], arguments].concat());
        assert_eq!(ended.status, status, "{ended:?}");
    }
    assert_eq!(machine.reasons("orders"), [None, None]);
}

#[test]
fn exec_copies_all_output_of_a_command_that_a_signal_ends() {
    let machine = Machine::new("long-output");
    let script = "i=0; while [ $i -lt 20000 ]; do echo line $i >&2; i=$((i+1)); done; kill -9 $$";
    let arguments = ["exec", "--job", "orders", "--output-lines", "1", "--", "sh", "-c", script];
    let ended = machine.run(&arguments);
    assert_eq!((ended.status, ended.stderr.lines().count()), (137, 20_000));
    assert_eq!(machine.reasons("orders"), [Some("line 19999".to_owned())]);
}

#[test]
#[cfg(target_os = "linux")]
fn command_continues_if_the_disk_of_stderr_is_full() {
    let machine = Machine::new("full-log");
    // More than a pipe can hold, so that the command notices if the pipe is closed.
    let script = "i=0; while [ $i -lt 20000 ]; do echo line $i >&2; i=$((i+1)); done; exit 3";
    let arguments = ["exec", "--job", "orders", "--output-lines", "1", "--", "sh", "-c", script];
    let full = File::options().write(true).open("/dev/full").unwrap();
    let status = machine.command(&arguments).stderr(full).status().unwrap();
    assert_eq!(status.code(), Some(3), "{status:?}");
    assert_eq!(machine.reasons("orders"), [Some("line 19999".to_owned())]);
}

#[test]
fn exec_with_output_lines_does_not_wait_for_processes_in_the_background() {
    let machine = Machine::new("background");
    let script = "sleep 60 & echo left $! >&2; exit 1";
    let arguments = ["exec", "--job", "orders", "--output-lines", "1", "--", "sh", "-c", script];
    // The process in the background has inherited stdout, and the test reads that to its end.
    let mut command = machine.command(&arguments);
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert_eq!(status.code(), Some(1));
    let reason = machine.reasons("orders").remove(0).unwrap();
    let id = reason.strip_prefix("left ").and_then(|id| Pid::from_raw(id.parse().ok()?)).unwrap();
    kill_process(id, Signal::KILL).unwrap();
}

#[test]
fn exec_gives_the_id_of_its_run_to_the_command() {
    let machine = Machine::new("run-id");
    let ended =
        machine.run(&["exec", "--job", "orders", "--", "sh", "-c", "echo $METRICS_PUSH_RUN_ID"]);
    let history = machine.json(&["history", "orders", "--json"]);
    assert_eq!(history["runs"][0]["id"], ended.stdout.trim_end());
    assert!(ended.stdout.len() == 17 && ended.stderr.is_empty(), "{ended:?}");
    // The command in the command has another run.
    let inner = [env!("CARGO_BIN_EXE_metrics-push"), "exec", "--job", "inner", "--", "sh", "-c"];
    let arguments = [&["exec", "--job", "outer", "--"][..], &inner, &["echo $METRICS_PUSH_RUN_ID"]];
    let ended = machine.run(&arguments.concat());
    assert!(ended.stderr.is_empty(), "{ended:?}");
    let id = |job| machine.json(&["history", job, "--json"])["runs"][0]["id"].clone();
    assert_eq!(id("inner"), ended.stdout.trim_end());
    assert_ne!(id("inner"), id("outer"));
}
