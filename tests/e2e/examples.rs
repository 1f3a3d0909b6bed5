//! The examples as a new user runs them.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use metrics_push::testing::FakeGateway;

use crate::programs::{command, program, target_directory};
use crate::{ROOT, cli, http};

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

/// The cells of each line, without the ages of the last run and of the last success and the time until the next run.
fn cells(table: &str) -> Vec<Vec<String>> {
    let line = |line: &str| {
        let cells = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty());
        let cells = cells.enumerate().filter(|(column, _)| !(2..5).contains(column));
        cells.map(|(_, cell)| cell.to_owned()).collect()
    };
    table.lines().map(line).collect()
}

#[test]
fn example_prints_the_table_of_status() {
    let home = empty_home("home-of-table");
    for (arguments, state) in [(&[][..], "success"), (&["--fail"], "failing")] {
        let gateway = FakeGateway::start();
        let mut nightly_import = example("nightly_import", &home);
        nightly_import.args(arguments).env("METRICS_PUSH_URL", gateway.url());
        let printed = String::from_utf8(nightly_import.output().unwrap().stdout).unwrap();
        let mut status = command(cli::metrics_push_program());
        status.args(["status", "--url", &gateway.url()]);
        let shown = String::from_utf8(status.output().unwrap().stdout).unwrap();
        let tables = [&printed, &shown].map(|text| {
            let start = text.find("STATE ").unwrap_or_else(|| panic!("no table: {text}"));
            text[start..].split("\n\n").next().unwrap().to_owned()
        });
        let [example, command] = tables.each_ref().map(|table| cells(table));
        assert_eq!(example, command, "{tables:#?}");
        assert_eq!(example[1][..2], [state, "nightly_import"]);
    }
    fs::remove_dir(&home).unwrap();
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

#[test]
fn demo_prints_working_links_and_the_table_of_status() {
    let mut demo = demo(&[]);
    let mut child = demo.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    // The servers run while this test reads the list.
    let links: usize = lines.by_ref().map(|line| count_working_links(&line)).take(12).sum();
    assert_eq!(links, 6);
    let shown: Vec<_> = lines.collect();
    assert!(child.wait().unwrap().success(), "{shown:#?}");
    let count = |text: &str| shown.iter().filter(|line| line.starts_with(text)).count();
    let status = "$ metrics-push status --url http://";
    assert_eq!((count(status), count("STATE  "), count("success  ")), (2, 2, 2), "{shown:#?}");
}

#[test]
fn demo_of_samples_prints_working_links() {
    let mut demo = demo(&["--samples"]);
    let mut child = demo.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let links: usize = lines.by_ref().map(|line| count_working_links(&line)).take(12).sum();
    assert_eq!(links, 4);
    let shown: Vec<_> = lines.collect();
    assert!(child.wait().unwrap().success(), "{shown:#?}");
    assert!(shown.iter().any(|line| line.ends_with("run 1 ended with status 0")), "{shown:#?}");
}
