//! The examples as a new user runs them.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use metrics_push::testing::FakeGateway;

use crate::programs::{command, program, target_directory};
use crate::real::Directory;
use crate::{ROOT, http};

/// An example without a configured state directory, in a home directory that does not exist yet.
fn example(name: &str, home: &Path) -> Command {
    let mut example = command(program(name));
    example.env_remove("METRICS_PUSH_STATE_DIR").env_remove("XDG_STATE_HOME");
    example.env_remove("STATE_DIRECTORY").env_remove("METRICS_PUSH_URL").env("HOME", home);
    example.stdin(Stdio::null());
    example
}

fn empty_home(name: &str) -> PathBuf {
    let home = format!("{name}-{}", std::process::id());
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(home);
    fs::create_dir_all(&home).unwrap();
    home
}

#[test]
fn examples_leave_no_files_in_the_home_directory() {
    let home = empty_home("home-of-examples");
    let gateway = FakeGateway::start();
    let unreachable = "http://127.0.0.1:9".to_owned();
    for name in ["nightly_import", "etl_steps", "scheduler"] {
        for url in [String::new(), gateway.url(), unreachable.clone()] {
            let mut example = example(name, &home);
            example.env("METRICS_PUSH_URL", &url).env("METRICS_PUSH_TIMEOUT", "500ms");
            let output = example.output().unwrap();
            assert!(output.status.success() || url == unreachable, "{name} {url}: {output:?}");
            let left: Vec<_> = fs::read_dir(&home).unwrap().collect();
            assert!(left.is_empty(), "{name} {url}: {left:?}");
        }
    }
    fs::remove_dir(&home).unwrap();
}

#[test]
fn example_ignores_the_gateway_of_other_programs() {
    let home = empty_home("home-of-others");
    let other = FakeGateway::start();
    let mut nightly_import = example("nightly_import", &home);
    let output = nightly_import.env("PUSHGATEWAY_URL", other.url()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(other.requests().is_empty(), "{other}");
    fs::remove_dir(&home).unwrap();
}

/// The program of an example in an otherwise empty folder, because it writes files beside itself.
fn copy_of(name: &str) -> (Directory, PathBuf) {
    let folder = Directory::new("example");
    let copy = folder.path().join(name);
    fs::hard_link(program(name), &copy).unwrap();
    (folder, copy)
}

/// Runs a program of [`copy_of`] without a gateway and returns what it prints.
fn printed(program: &Path, arguments: &[&str]) -> String {
    let mut example = command(program);
    example.args(arguments).stdin(Stdio::null());
    example.env_remove("METRICS_PUSH_STATE_DIR").env_remove("METRICS_PUSH_URL");
    String::from_utf8(example.output().unwrap().stdout).unwrap()
}

#[test]
fn example_ends_with_the_table_of_status_and_the_path_of_a_page() {
    let (folder, program) = copy_of("nightly_import");
    let first = printed(&program, &[]);
    assert!(first.contains("STATE    JOB  "), "{first}");
    assert!(first.contains("\nsuccess  nightly_import  "), "{first}");
    assert!(first.contains("\n0 of 1 need attention\n"), "{first}");

    let page = folder.path().join("nightly_import.html");
    assert!(first.contains(&format!(": {}\n", page.display())), "{first}");
    let html = fs::read_to_string(page).unwrap();
    assert!(html.contains("</html>") && html.contains(">nightly_import<"), "{html}");
}

#[test]
fn example_shows_its_earlier_runs() {
    let (_folder, program) = copy_of("nightly_import");
    printed(&program, &[]);
    let second = printed(&program, &["--fail"]);
    assert!(second.contains("\nfailing  nightly_import  "), "{second}");
    // The marks of a success and a failure.
    assert!(second.contains("  |x\n"), "{second}");
    let sentence = "nightly_import: failing since ";
    assert!(second.contains(sentence) && second.contains("; last success "), "{second}");
}

#[test]
fn examples_print_their_state_after_a_panic() {
    let (_folder, program) = copy_of("nightly_import");
    let shown = printed(&program, &["--panic"]);
    assert!(shown.contains("\nfailing  nightly_import  ") && shown.contains("(panic)"), "{shown}");
}

#[test]
fn example_prints_all_metrics_on_request() {
    let home = empty_home("home-of-metrics");
    let mut nightly_import = example("nightly_import", &home);
    let output = nightly_import.arg("--metrics").output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains("batch_job_last_run_outcome{outcome=\"success\"} 1\n"), "{printed}");
    fs::remove_dir(&home).unwrap();
}

/// Requests the URLs in a line of the list that the demo prints.
fn count_working_links(line: &str) -> usize {
    let words = line.strip_prefix("  ").unwrap_or_default().split_whitespace();
    let links = words.filter_map(|word| word.strip_prefix("http://"));
    let request = |link: &str| {
        // The expression of a graph is encoded, so nothing follows its link.
        assert!(!link.contains("g0.expr=") || line.ends_with(link), "{line}");
        let (address, path) = link.split_once('/').unwrap_or((link, ""));
        let response = http::send(address.parse().unwrap(), "GET", &format!("/{path}"), b"");
        assert!(matches!(response.unwrap().status, 200 | 302), "{line}");
    };
    links.map(request).count()
}

/// The demo, which ends after one second.
fn demo(arguments: &[&str]) -> Command {
    let mut demo = command(Path::new(ROOT).join("examples/monitoring/run.sh"));
    demo.args(arguments).arg("1").env("CARGO_TARGET_DIR", target_directory()).stdin(Stdio::null());
    demo
}

/// Starts the demo, requests the links of its list, and returns their number with the rest of its output.
fn links_and_rest(mut demo: Command) -> (usize, Vec<String>) {
    let mut child = demo.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    // The servers run while this test reads the list.
    let list = lines.by_ref().take_while(|line| !line.starts_with("In another terminal"));
    let links = list.map(|line| count_working_links(&line)).sum();
    let rest: Vec<_> = lines.collect();
    assert!(child.wait().unwrap().success(), "{rest:#?}");
    (links, rest)
}

fn count_lines(lines: &[String], start: &str) -> usize {
    lines.iter().filter(|line| line.starts_with(start)).count()
}

#[test]
fn demo_names_working_pages_and_prints_the_table_of_status() {
    let (links, shown) = links_and_rest(demo(&[]));
    assert_eq!(links, 7);
    assert_eq!(count_lines(&shown, "  metrics-push "), 3, "{shown:#?}");
    for text in ["$ metrics-push status --url http://", "STATE    ", "success  nightly_import"] {
        assert_eq!(count_lines(&shown, text), 2, "{shown:#?}");
    }
    assert_eq!(count_lines(&shown, "batch_job_"), 0, "{shown:#?}");
}

#[test]
fn demo_prints_the_stored_metrics_on_request() {
    let (_, shown) = links_and_rest(demo(&["--raw"]));
    let success =
        "batch_job_last_run_outcome{instance=\"\",job=\"nightly_import\",outcome=\"success\"} 1";
    assert_eq!(count_lines(&shown, success), 2, "{shown:#?}");
}

#[test]
fn demo_of_samples_names_working_pages_and_prints_the_table_of_status() {
    let (links, shown) = links_and_rest(demo(&["--samples"]));
    assert_eq!(links, 6);
    assert!(shown.iter().any(|line| line.ends_with("run 1 ended with status 0")), "{shown:#?}");
    assert!(count_lines(&shown, "success  nightly_import") > 0, "{shown:#?}");
}

#[test]
fn demo_rejects_an_invalid_number_of_seconds() {
    let mut demo = command(Path::new(ROOT).join("examples/monitoring/run.sh"));
    let output = demo.args(["--raw", "soon"]).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("invalid number of seconds \"soon\""), "{message}");
}
