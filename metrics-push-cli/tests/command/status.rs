//! `metrics-push status` on a terminal, in a pipe, as JSON, and its exit status.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use metrics_push::testing::{FakeGateway, Fault};
use metrics_push::{Config, Gateway, GroupingKey, Job, Outcome};
use rustix::process::Signal;
use serde_json::Value;

use crate::machine::Machine;
use crate::program::{Ended, Session, metrics_push, on_terminal, piped};

const DAY: Duration = Duration::from_secs(86_400);

fn run(job: &str, shard: &str, outcome: Outcome) {
    let job = Job::with_name(job).every(DAY).whole_process();
    let run = job.start_with(&[("shard", &shard)]);
    run.add_processed(9_000);
    run.add_failed(12);
    run.finish(outcome);
}

/// A gateway with a job that is well, a job with a problem, and a group without runs.
fn populated() -> FakeGateway {
    let gateway = FakeGateway::start();
    let _scope = Config::default().url(gateway.url()).unwrap().scope().unwrap();
    run("nightly_import", "", Outcome::Success);
    run("a_job_with_quite_a_long_name", "a-shard-with-a-name", Outcome::Error);
    let key = GroupingKey::new("legacy").unwrap();
    Gateway::new(gateway.url()).unwrap().add(&key, &"x 1".parse().unwrap()).unwrap();
    gateway
}

fn status(gateway: &FakeGateway, arguments: &[&str]) -> Ended {
    let arguments = [&["status"], arguments].concat();
    piped(metrics_push(&gateway.url(), &arguments), "")
}

/// Removes escape sequences.
fn uncoloured(text: &str) -> String {
    let mut plain = String::new();
    for (position, part) in text.split('\u{1b}').enumerate() {
        plain.push_str(if position == 0 { part } else { part.split_once('m').unwrap().1 });
    }
    plain
}

#[test]
fn terminal_output_has_colours_and_fits_the_width() {
    let gateway = populated();
    let ended = on_terminal(84, metrics_push(&gateway.url(), &["status"]));
    assert_eq!(ended.status, 1, "{}", ended.stdout);
    let red = "\u{1b}[31mfailing\u{1b}[0m";
    let green = "\u{1b}[32msuccess\u{1b}[0m";
    assert!(ended.stdout.contains(red) && ended.stdout.contains(green), "{:?}", ended.stdout);
    let shown = uncoloured(&ended.stdout);
    assert!(shown.lines().all(|line| line.chars().count() <= 84), "{shown}");
    let lines: Vec<_> = shown.lines().collect();
    let words = |line: usize| lines[line].split_whitespace().collect::<Vec<_>>();
    let headings = ["STATE", "JOB", "LAST", "RUN", "LAST", "SUCCESS", "NEXT", "TOOK", "RECORDS"];
    assert_eq!(words(0), headings, "{shown}");
    // The job that needs attention is last, and its values follow on the next line.
    assert_eq!(words(1), ["no", "runs", "legacy", "-", "-", "-", "-", "-"], "{shown}");
    assert_eq!(words(2)[..2], ["success", "nightly_import"], "{shown}");
    assert_eq!(words(2).last(), Some(&"9,000"), "{shown}");
    let long = ["failing", "a_job_with_quite_a_long_name", "shard=a-shard-with-a-name"];
    assert_eq!(words(3), long, "{shown}");
    assert_eq!((words(4)[1], words(4).last()), ("never", Some(&"9,000")), "{shown}");
    let sentences = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(sentences.contains(" (error); it has never succeeded; next run "), "{shown}");
    assert!(shown.ends_with("\n\n1 of 3 needs attention\n"), "{shown}");
}

#[test]
fn narrow_terminal_output_fits_the_width() {
    let gateway = populated();
    let ended = on_terminal(44, metrics_push(&gateway.url(), &["status"]));
    let shown = uncoloured(&ended.stdout);
    assert!(shown.lines().all(|line| line.chars().count() <= 44), "{shown}");
    assert!(shown.split_whitespace().collect::<String>().contains("a_job_with_quite_a_long_name"));
}

#[test]
fn colours_can_be_disabled() {
    let gateway = populated();
    let mut command = metrics_push(&gateway.url(), &["status"]);
    command.env("NO_COLOR", "1");
    assert!(!on_terminal(80, command).stdout.contains('\u{1b}'));
    assert!(!status(&gateway, &[]).stdout.contains('\u{1b}'));
    let never = metrics_push(&gateway.url(), &["status", "--color", "never"]);
    assert!(!on_terminal(80, never).stdout.contains('\u{1b}'));
    assert!(status(&gateway, &["--color", "always"]).stdout.contains('\u{1b}'));
}

#[test]
fn pipe_output_has_one_line_per_group() {
    let gateway = populated();
    let ended = status(&gateway, &[]);
    assert_eq!((ended.status, ended.stderr.as_str()), (1, ""));
    let table = ended.stdout.split("\n\n").next().unwrap();
    assert_eq!(table.lines().count(), 4, "{table}");
    let long = "a_job_with_quite_a_long_name shard=a-shard-with-a-name";
    assert!(table.contains(long), "{table}");
    assert!(table.contains("no runs  legacy"), "{table}");
}

#[test]
fn json_output_on_a_terminal_has_no_control_characters() {
    let gateway = FakeGateway::start();
    let name = "a\u{9b}2J\u{202e}b";
    let key = GroupingKey::new(name).unwrap();
    Gateway::new(gateway.url()).unwrap().add(&key, &"x 1".parse().unwrap()).unwrap();
    let arguments = ["status", "--json"];
    let shown = on_terminal(80, metrics_push(&gateway.url(), &arguments)).stdout;
    assert!(shown.contains(r"a\u{9b}2J\u{202e}b") && !shown.contains(['\u{9b}', '\u{202e}']));
    let piped = piped(metrics_push(&gateway.url(), &arguments), "");
    let json: Value = serde_json::from_str(&piped.stdout).unwrap();
    assert_eq!(json["jobs"][0]["labels"]["job"], name);
}

#[test]
fn json_output_has_all_values() {
    let gateway = populated();
    let ended = status(&gateway, &["--json"]);
    assert_eq!(ended.status, 1);
    let json: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((&json["verdict"], &json["gateways"][0]["error"]), (&"wrong".into(), &Value::Null));
    let [_, well, failing] = &json["jobs"].as_array().unwrap()[..] else { panic!("{json}") };
    assert_eq!(failing["labels"]["shard"], "a-shard-with-a-name");
    assert_eq!((&failing["state"], &failing["outcome"]), (&"failing".into(), &"error".into()));
    assert_eq!(
        (&failing["needs_attention"], &well["needs_attention"]),
        (&true.into(), &false.into())
    );
    assert!(failing["why"].as_str().unwrap().contains("; it has never succeeded"), "{failing}");
    assert_eq!(well["last_run_records"]["processed"], 9_000);
    assert_eq!(well["success_deadline_seconds"], 172_800);
    let records = well["metrics"]["batch_job_last_run_records"].as_array().unwrap();
    let failed = records.iter().find(|metric| metric["labels"]["result"] == "failed").unwrap();
    assert_eq!(failed["value"], 12);
    let age = well["success_age_seconds"].as_f64().unwrap();
    assert!((-1.0..60.0).contains(&age), "{age}");
    assert!(failing["last_success_timestamp_seconds"].is_null());
}

/// Collects the paths of all fields of a document; `[]` stands for the elements of an array.
fn fields(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields_of) if !path.ends_with(".labels") && !path.ends_with(".metrics") => {
            for (name, value) in fields_of {
                let dot = if path.is_empty() { "" } else { "." };
                fields(value, &format!("{path}{dot}{name}"), found);
            }
        }
        Value::Array(elements) if !path.ends_with(".warnings") && !path.ends_with(".runs") => {
            for element in elements {
                fields(element, &format!("{path}[]"), found);
            }
        }
        _ => {
            found.insert(path.to_owned());
        }
    }
}

#[test]
fn help_lists_exactly_the_json_fields() {
    let urls = format!("{},http://127.0.0.1:9", populated().url());
    let gateway = populated();
    let answered = status(&gateway, &["--json"]).stdout;
    let refused = piped(metrics_push(&urls, &["status", "--json"]), "").stdout;
    let mut found = BTreeSet::new();
    for text in [answered, refused] {
        fields(&serde_json::from_str(&text).unwrap(), "", &mut found);
    }
    let help = piped(metrics_push("", &["help", "status"]), "").stdout;
    let (_, json) = help.split_once("\nJSON:\n").unwrap();
    let (json, _) = json.split_once("\n\n").unwrap();
    let terms = json.lines().filter(|line| !line.starts_with("   ")).map(str::trim);
    let documented: BTreeSet<String> = terms.map(str::to_owned).collect();
    assert_eq!(found, documented);
}

#[test]
fn exit_status_is_the_verdict() {
    let gateway = populated();
    assert_eq!(status(&gateway, &["--job", "nightly_import"]).status, 0);
    assert_eq!(status(&gateway, &["--job", "a_job_with_quite_a_long_name"]).status, 1);
    assert_eq!(status(&gateway, &["--job", "legacy"]).status, 2);
    let missing = status(&gateway, &["--job", "misspelled"]);
    assert_eq!(missing.status, 2);
    assert!(missing.stdout.contains("has no groups of job \"misspelled\"."), "{missing:?}");
    let empty = status(&FakeGateway::start(), &[]);
    assert_eq!(empty.status, 2);
    assert!(empty.stdout.ends_with("has no groups.\n"), "{empty:?}");
}

#[test]
fn running_job_that_failed_before_is_a_problem() {
    let gateway = FakeGateway::start();
    let _scope = Config::default().url(gateway.url()).unwrap().scope().unwrap();
    run("orders", "", Outcome::Error);
    let next = Job::with_name("orders").every(DAY).whole_process().start();
    let is_open = |gateway: &FakeGateway| {
        let group = gateway.group("orders", &[]);
        let instant =
            |event| group.value(&format!("batch_job_last_{event}_timestamp_seconds"), &[]);
        instant("start") > instant("completion")
    };
    gateway.wait_for(Duration::from_secs(10), is_open);
    let failing = status(&gateway, &["--color", "always"]);
    assert_eq!(failing.status, 1, "{failing:?}");
    assert!(failing.stdout.contains("\u{1b}[31mfailing\u{1b}[0m"), "{failing:?}");
    assert!(failing.stdout.contains("orders: running for "), "{failing:?}");
    assert!(failing.stdout.contains(" (failing before); failing"), "{failing:?}");
    let about = failing.stdout.lines().filter(|line| line.starts_with("orders: ")).count();
    assert_eq!(about, 1, "{failing:?}");
    assert!(failing.stdout.contains("; it has never succeeded; next run "), "{failing:?}");

    next.finish(Outcome::Success);
    let well = status(&gateway, &[]);
    assert_eq!((well.status, well.stdout.contains("success")), (0, true), "{well:?}");
}

#[test]
fn status_names_unreachable_gateway_and_shows_others() {
    let gateway = populated();
    let urls = format!("{},http://127.0.0.1:9", gateway.url());
    let ended = piped(metrics_push(&urls, &["status", "--job", "nightly_import"]), "");
    assert_eq!(ended.status, 2);
    assert!(ended.stdout.contains("success  nightly_import"), "{ended:?}");
    assert!(
        ended.stdout.contains("\n127.0.0.1:9 does not respond (connection refused)\n"),
        "{ended:?}"
    );
    assert!(ended.stderr.contains("http://127.0.0.1:9"), "{ended:?}");

    gateway.fault(Fault::status(401));
    let refused = status(&gateway, &[]);
    assert_eq!(refused.status, 2, "{refused:?}");
    assert!(refused.stdout.contains(" does not respond ("), "{refused:?}");
    assert!(
        refused.stderr.contains(
            "check METRICS_PUSH_USERNAME and METRICS_PUSH_PASSWORD, or METRICS_PUSH_TOKEN."
        ),
        "{refused:?}"
    );
}

#[test]
fn status_names_the_first_version_with_a_query_api() {
    let gateway = FakeGateway::start();
    gateway.fault(Fault::status(404).body("404 page not found\n"));
    let ended = status(&gateway, &[]);
    assert_eq!(ended.status, 2, "{ended:?}");
    let line = format!(
        "metrics-push: The response is not from a Pushgateway's query API (status: 404, url: {}); check the port",
        gateway.url()
    );
    assert!(ended.stderr.starts_with(&line), "{ended:?}");
    assert!(ended.stderr.ends_with("that the gateway is 1.2 or newer.\n"), "{ended:?}");
}

#[test]
fn text_of_the_gateway_is_escaped() {
    let gateway = FakeGateway::start();
    let key = GroupingKey::new("evil\u{1b}[2J\u{202e}").unwrap();
    let text = "batch_job_last_start_timestamp_seconds 1\nbatch_job_last_completion_timestamp_seconds 2\n\
                batch_job_last_run_success 0\nbatch_job_last_run_outcome{outcome=\"\u{1b}]0;x\u{7}\"} 1\n";
    Gateway::new(gateway.url()).unwrap().push(&key, &text.parse().unwrap()).unwrap();
    let ended = status(&gateway, &["--color", "never"]);
    assert!(ended.stdout.contains(r"evil\u{1b}[2J\u{202e}"), "{ended:?}");
    assert!(ended.stdout.contains(r"\u{1b}]0;x\u{7}"), "{ended:?}");
    let lines = on_terminal(200, metrics_push(&gateway.url(), &["status", "--color", "never"]));
    for text in [ended.stdout, lines.stdout] {
        assert!(!text.contains(|c: char| c.is_control() && !"\r\n".contains(c)), "{text:?}");
        assert!(!text.contains('\u{202e}'), "{text:?}");
    }
}

/// Serves one response to every request. Writes `rest` after it until the client closes the connection.
fn serve(response: String, rest: &'static str) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4_096]);
            let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
            let _ = stream.write_all(format!("{head}{response}").as_bytes());
            let rest = rest.repeat(16 * 1024);
            while !rest.is_empty() && stream.write_all(rest.as_bytes()).is_ok() {}
        }
    });
    url
}

/// Returns the command with a limit of its memory: a larger process aborts.
fn with_limited_memory(command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", r#"ulimit -v 400000; exec "$@""#, "sh"]).arg(command.get_program());
    shell.args(command.get_args()).env_clear();
    for (name, value) in command.get_envs() {
        shell.env(name, value.unwrap_or_default());
    }
    shell
}

#[test]
fn endless_list_of_groups_is_an_error() {
    for rest in ["0,", "[[", "<p>"] {
        let url = serve(r#"{"status":"success","data":["#.to_owned(), rest);
        let ended = piped(with_limited_memory(&metrics_push(&url, &["status"])), "");
        assert_eq!(ended.status, 2, "{rest}: {}", ended.stderr);
        assert!(ended.stderr.contains("Pushgateway"), "{rest}: {}", ended.stderr);
    }
}

#[test]
fn gateway_with_twenty_thousand_groups_is_listed() {
    const GROUPS: usize = 20_000;
    let gauge = |job: &str, name: &str, value: &str| {
        format!(
            r#""{name}":{{"time_stamp":"2026-11-26T18:00:00Z","type":"GAUGE","help":"Help.","metrics":[{{"labels":{{"instance":"","job":"{job}"}},"value":"{value}"}}]}}"#
        )
    };
    let group = |number| {
        let job = format!("job_{number}");
        let families = [
            ("batch_job_last_completion_timestamp_seconds", "1.795716e+09"),
            ("batch_job_last_start_timestamp_seconds", "1.795715e+09"),
            ("push_time_seconds", "1.795716e+09"),
        ];
        let families = families.map(|(name, value)| gauge(&job, name, value)).join(",");
        format!(r#"{{{families},"labels":{{"job":"{job}"}},"last_push_successful":true}}"#)
    };
    let groups: Vec<_> = (0..GROUPS).map(group).collect();
    let response = format!(r#"{{"status":"success","data":[{}]}}"#, groups.join(","));
    let url = serve(response, "");
    let ended = piped(metrics_push(&url, &["status", "--json", "--timeout", "60s"]), "");
    let json: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(json["jobs"].as_array().unwrap().len(), GROUPS, "{}", ended.stderr);
}

#[test]
fn watch_draws_in_place_until_q() {
    let gateway = populated();
    let mut command = metrics_push(&gateway.url(), &["status", "--watch", "500ms"]);
    command.env("TERM", "xterm");
    let mut session = Session::start(command);
    session.expect("1 of 3 needs attention");
    gateway.fault(Fault::status(503));
    session.expect("does not respond").press("q");
    // The alternate screen is left, and the cursor is visible again.
    session.expect("\u{1b}[?1049l");
    assert_eq!(session.wait(), 2);
}

#[test]
fn watch_restores_the_terminal_after_a_signal() {
    let gateway = populated();
    let mut command = metrics_push(&gateway.url(), &["status", "--watch"]);
    command.env("TERM", "xterm");
    let mut session = Session::start(command);
    session.expect("1 of 3 needs attention").signal(Signal::TERM);
    session.expect("\u{1b}[?1049l");
    assert_eq!(session.wait(), 128 + Signal::TERM.as_raw());
}

#[test]
fn watch_in_a_pipe_prints_changes_only() {
    let gateway = populated();
    let mut command = metrics_push(&gateway.url(), &["status", "--watch", "500ms"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut wait_for = |text: &str| lines.by_ref().take_while(|line| !line.contains(text)).count();
    assert_eq!(wait_for("1 of 3 needs attention"), 7);
    let requests = gateway.requests().len();
    gateway.wait_for(Duration::from_secs(20), |gateway| gateway.requests().len() >= requests + 2);
    {
        // One request, so that the command finds no run in progress.
        let config = Config::default().url(gateway.url()).unwrap().batch(DAY);
        let _scope = config.scope().unwrap();
        let job = Job::with_name("nightly_import").every(DAY);
        job.start_with(&[("shard", &"")]).finish(Outcome::Error);
        assert_eq!(metrics_push::flush(Duration::from_secs(20)), 0);
    }
    // An empty line and the table follow, without a repetition of the first one.
    assert_eq!(wait_for("2 of 3 need attention"), 9);
    drop(lines);
    {
        let _scope = Config::default().url(gateway.url()).unwrap().scope().unwrap();
        run("nightly_import", "", Outcome::Success);
    }
    // The reader is gone.
    assert!(child.wait().unwrap().success());
}

#[test]
fn watch_needs_the_table() {
    let ended = status(&FakeGateway::start(), &["--watch", "--json"]);
    assert_eq!(ended.status, 2, "{ended:?}");
}

/// Pushes groups whose runs started 3 days, 4 hours and a half ago, so that all ages stay the same for a while.
fn push_old_groups(gateway: &FakeGateway, count: usize) {
    let start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64() - 275_400.0;
    let client = Gateway::new(gateway.url()).unwrap();
    for number in 0..count {
        let failed = number % 20 == 0;
        let outcome = if failed { "error" } else { "success" };
        let success = if failed { start - 86_400.0 } else { start + 60.0 };
        let text = format!(
            "batch_job_last_start_timestamp_seconds {start}\n\
             batch_job_last_completion_timestamp_seconds {}\n\
             batch_job_last_success_timestamp_seconds {success}\n\
             batch_job_last_failure_timestamp_seconds {start}\n\
             batch_job_last_run_success {}\n\
             batch_job_last_run_duration_seconds 60\n\
             batch_job_last_run_outcome{{outcome=\"{outcome}\"}} 1\n",
            start + 60.0,
            u8::from(!failed),
        );
        let key = GroupingKey::new(format!("job_{number:04}")).unwrap();
        let key = key.label("tenant", "a tenant with a name").unwrap();
        client.add(&key, &text.parse().unwrap()).unwrap();
    }
}

#[test]
fn table_of_any_number_of_groups_fits_the_terminal() {
    let gateway = FakeGateway::start();
    for (count, failing) in [(0, 0), (1, 1), (40, 2), (1_001, 51)] {
        push_old_groups(&gateway, count);
        for columns in [80, 200] {
            let started = Instant::now();
            let ended = on_terminal(columns, metrics_push(&gateway.url(), &["status"]));
            println!("{count} groups at {columns} columns: {:?}", started.elapsed());
            let shown = uncoloured(&ended.stdout);
            let columns = usize::from(columns);
            assert!(shown.lines().all(|line| line.chars().count() <= columns), "{shown}");
            if count == 0 {
                assert!(shown.ends_with(" has no groups.\n"), "{shown}");
                continue;
            }
            let name = "job_0000 tenant=\"a tenant with a name\"";
            let row = format!("failing  {name}      3d4h          4d4h    1m\n");
            assert!(shown.contains(&row), "{shown}");
            let rows = shown.lines().filter(|line| line.ends_with("    1m")).count();
            assert_eq!(rows, count, "{shown}");
            assert!(shown.contains(&format!("{name}: failing since ")), "{shown}");
            let summary = match count {
                1 => "1 of 1 needs attention",
                40 => "2 of 40 need attention",
                _ => "51 of 1,001 need attention",
            };
            assert_eq!(shown.lines().last(), Some(summary));
            assert_eq!(shown.matches("\nfailing  ").count(), failing, "{shown}");
        }
    }
}

#[test]
fn json_has_the_circuit_breaker_of_each_gateway() {
    let machine = Machine::new("breaker");
    let run = |url: &str, arguments: &[&str]| {
        let mut command = machine.command(arguments);
        command.env("METRICS_PUSH_URL", url).env("METRICS_PUSH_TIMEOUT", "1s");
        piped(command, "")
    };
    let breaker = |url: &str| {
        let ended = run(url, &["status", "--json"]);
        let document: Value = serde_json::from_str(&ended.stdout).unwrap();
        document["gateways"][0]["circuit_breaker"].clone()
    };
    let (reachable, unreachable) = (machine.gateway.url(), "http://127.0.0.1:9");
    assert_eq!([breaker(&reachable), breaker(unreachable)], ["closed", "closed"]);
    for url in [reachable.as_str(), unreachable] {
        run(url, &["exec", "--job", "import", "--", "true"]);
    }
    assert_eq!([breaker(&reachable), breaker(unreachable)], ["closed", "open"]);
}
