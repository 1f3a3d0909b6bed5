//! The dependencies of the published crates: each is documented, has an allowed licence and exists in one version.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::ROOT;

const PAGE: &str = include_str!("../../metrics-push/src/guide/dependencies.md");
const COSTS: &str = include_str!("../../metrics-push/src/guide/costs.md");
const README: &str = include_str!("../../README.md");

/// The maximum numbers of dependencies.
const MAX_CRATES: usize = 104;
const MAX_CRATES_WITHOUT_TLS: usize = 87;

/// The headings of the dependencies that only one feature adds.
const TLS: &str = "## What the feature `tls` adds";
const SCHEDULE: &str = "## What the feature `schedule` adds";
const KAFKA: &str = "## What the feature `kafka` adds";

fn cargo(arguments: &[&str]) -> String {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(cargo).args(arguments).current_dir(ROOT).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The crates that users of the library build on Linux, with their versions. Features that other packages of the workspace
/// enable are not included.
fn tree(features: &[&str]) -> BTreeSet<(String, String)> {
    let mut arguments =
        vec!["tree", "--package", "metrics-push", "--edges", "normal,build", "--no-dedupe"];
    arguments.extend(["--target", "x86_64-unknown-linux-gnu", "--prefix", "none"]);
    arguments.extend(features);
    let lines = cargo(&arguments);
    let crates = lines.lines().filter_map(|line| {
        let (name, rest) = line.split_once(' ')?;
        Some((name.to_owned(), rest.split(' ').next()?.to_owned()))
    });
    crates.collect()
}

/// Reads the page: each crate, with the crates that require it.
fn documented(page: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut rows = BTreeMap::new();
    for row in page.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = row.trim_matches(['|', ' ']).split(" | ").collect();
        let [name, required_by, purpose] = cells[..] else { panic!("three cells: {row}") };
        assert!(!purpose.trim().is_empty(), "{row}");
        let previous = rows.insert(name.trim_matches('`'), quoted(required_by));
        assert_eq!(previous, None, "duplicate row: {row}");
    }
    rows
}

/// Returns the texts between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn dependencies_page_lists_exactly_the_dependencies() {
    let (without_kafka, _) = PAGE.split_once(KAFKA).expect("a section about Kafka");
    let (without_schedule, _) =
        without_kafka.split_once(SCHEDULE).expect("a section about schedules");
    let (without_tls, _) = without_schedule.split_once(TLS).expect("a section about TLS");
    let others = ["--no-default-features", "--features=remote-write"];
    for (features, page) in [
        (&others[..], without_tls),
        (&["--features=tls"], without_schedule),
        (&["--features=tls,schedule"], without_kafka),
        (&["--features=tls,schedule,kafka-tls"], PAGE),
    ] {
        let names: BTreeSet<_> = tree(features).into_iter().map(|(name, _)| name).collect();
        let known: BTreeSet<_> =
            documented(page).into_keys().chain(["metrics-push"]).map(str::to_owned).collect();
        let missing: Vec<_> = names.difference(&known).collect();
        assert!(missing.is_empty(), "{features:?}: the page does not list {missing:?}");
        let removed: Vec<_> = known.difference(&names).collect();
        assert!(removed.is_empty(), "{features:?}: the page lists {removed:?}");
    }
}

#[test]
fn number_of_dependencies_is_limited() {
    for (features, max) in
        [("--no-default-features", MAX_CRATES_WITHOUT_TLS), ("--features=tls", MAX_CRATES)]
    {
        let crates = tree(&[features]).len();
        assert!(crates <= max, "{features}: {crates} crates");
    }
    let sentence = format!(
        "A job compiles at most {MAX_CRATES} crates, or {MAX_CRATES_WITHOUT_TLS} without TLS."
    );
    assert!(README.contains(&sentence), "README.md does not contain: {sentence}");
}

#[test]
fn costs_page_has_the_number_of_dependencies() {
    for (features, program) in [("", "job_without_tls"), ("tls", "job")] {
        let crates = tree(&["--no-default-features", "--features", features]).len();
        for row in
            [format!("| {program} | {crates} |"), format!("| crates of {program} | {crates}.00 |")]
        {
            assert!(COSTS.contains(&row), "costs.md does not contain: {row}");
        }
    }
}

#[test]
fn dependencies_page_names_the_dependents_of_each_crate() {
    let metadata = metadata();
    let names: BTreeMap<_, _> =
        published(&metadata).into_iter().map(|package| (id(package), name(package))).collect();
    let mut edges = BTreeSet::new();
    for node in metadata["resolve"]["nodes"].as_array().unwrap() {
        for dependency in node["dependencies"].as_array().unwrap() {
            let dependency = names.get(dependency.as_str().unwrap());
            edges.extend(names.get(id(node)).zip(dependency));
        }
    }
    for (dependency, dependents) in documented(PAGE) {
        for dependent in dependents {
            let is_edge = edges.contains(&(&dependent, &dependency));
            assert!(is_edge, "{dependent} does not depend on {dependency}");
        }
    }
}

fn metadata() -> Value {
    serde_json::from_str(&cargo(&["metadata", "--format-version", "1", "--all-features"])).unwrap()
}

/// Reads one array of strings in `deny.toml`.
fn deny_list(array: &str) -> Vec<String> {
    let text = std::fs::read_to_string(Path::new(ROOT).join("deny.toml")).unwrap();
    let (_, after) = text.split_once(&format!("{array} = [")).unwrap();
    let (inside, _) = after.split_once("\n]").unwrap();
    let lines = inside.lines().map(|line| line.split('#').next().unwrap_or_default());
    lines.flat_map(|line| line.split('"').skip(1).step_by(2)).map(str::to_owned).collect()
}

/// The normal and build dependencies of the published crates.
fn published(metadata: &Value) -> Vec<&Value> {
    let packages: BTreeMap<&str, &Value> =
        metadata["packages"].as_array().unwrap().iter().map(|p| (id(p), p)).collect();
    let nodes: BTreeMap<&str, &Value> =
        metadata["resolve"]["nodes"].as_array().unwrap().iter().map(|n| (id(n), n)).collect();
    let mut reached = BTreeSet::new();
    let mut queue: Vec<&str> =
        packages.iter().filter(|(_, p)| is_published(p)).map(|(id, _)| *id).collect();
    while let Some(package) = queue.pop() {
        if !reached.insert(package) {
            continue;
        }
        for dependency in nodes[package]["deps"].as_array().unwrap() {
            let kinds = dependency["dep_kinds"].as_array().unwrap();
            if kinds.iter().any(|kind| kind["kind"] != "dev") {
                queue.push(dependency["pkg"].as_str().unwrap());
            }
        }
    }
    reached.into_iter().map(|id| packages[id]).collect()
}

fn is_published(package: &Value) -> bool {
    ["metrics-push", "metrics-push-cli"].contains(&name(package))
}

fn id(value: &Value) -> &str {
    value["id"].as_str().unwrap()
}

fn name(package: &Value) -> &str {
    package["name"].as_str().unwrap()
}

#[test]
fn licences_are_allowed() {
    let allowed = deny_list("allow");
    let metadata = metadata();
    for package in published(&metadata) {
        let licence = package["license"].as_str().unwrap_or("none");
        let is_allowed = licence.split(" AND ").all(|part| {
            let part = part.trim_matches(['(', ')', ' ']);
            part.split(" OR ").flat_map(|choice| choice.split('/')).any(|choice| {
                allowed.iter().any(|known| known == choice.trim_matches(['(', ')', ' ']))
            })
        });
        assert!(is_allowed, "{} has the licence {licence}", package["name"]);
    }
}

#[test]
fn each_crate_has_one_version() {
    let skipped = deny_list("skip");
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, version) in tree(&["--package", "metrics-push-cli", "--all-features"]) {
        if !skipped.contains(&name) {
            versions.entry(name).or_default().insert(version);
        }
    }
    assert!(versions.len() > 30, "{versions:?}");
    versions.retain(|_, versions| versions.len() > 1);
    assert!(versions.is_empty(), "{versions:?}");
}
