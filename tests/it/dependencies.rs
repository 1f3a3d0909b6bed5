//! What comes along with the published crates: explained, licensed, and each once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::ROOT;

const PAGE: &str = include_str!("../../metrics-push/src/guide/dependencies.md");

/// Where the page comes to what only the feature `tls` brings.
const TLS: &str = "## What the feature `tls` adds";

fn cargo(arguments: &[&str]) -> String {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(cargo).args(arguments).current_dir(ROOT).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The crates that users of the library build, with their versions. Platforms differ in what they need, and nobody
/// builds for two at once. The features are those of this package alone, whatever others in the workspace ask of the
/// same crates.
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

/// What the page says: each crate with the crates that bring it.
fn explained(page: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut rows = BTreeMap::new();
    for row in page.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = row.trim_matches(['|', ' ']).split(" | ").collect();
        let [name, comes_with, what_for] = cells[..] else { panic!("three cells: {row}") };
        assert!(!what_for.trim().is_empty(), "{row}");
        let known = rows.insert(name.trim_matches('`'), quoted(comes_with));
        assert_eq!(known, None, "one line for each: {row}");
    }
    rows
}

/// What is between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_crate_that_comes_along_has_a_line_and_every_line_a_crate() {
    let (without_tls, _) = PAGE.split_once(TLS).expect("a part about TLS");
    for (features, page) in [("--no-default-features", without_tls), ("--features=tls", PAGE)] {
        let names: BTreeSet<_> = tree(&[features]).into_iter().map(|(name, _)| name).collect();
        let known: BTreeSet<_> =
            explained(page).into_keys().chain(["metrics-push"]).map(str::to_owned).collect();
        let unexplained: Vec<_> = names.difference(&known).collect();
        assert!(unexplained.is_empty(), "{features} brings {unexplained:?}: what for?");
        let gone: Vec<_> = known.difference(&names).collect();
        assert!(gone.is_empty(), "{features} doesn't bring {gone:?}");
    }
}

#[test]
fn not_too_many_crates_come_along() {
    for (features, most) in [("--no-default-features", 86), ("--features=tls", 100)] {
        let crates = tree(&[features]).len();
        assert!(crates <= most, "{features}: {crates} crates");
    }
}

#[test]
fn crates_come_with_those_that_are_said_to_bring_them() {
    let metadata = metadata();
    let names: BTreeMap<_, _> =
        published(&metadata).into_iter().map(|package| (id(package), name(package))).collect();
    let mut brings = BTreeSet::new();
    for node in metadata["resolve"]["nodes"].as_array().unwrap() {
        for dependency in node["dependencies"].as_array().unwrap() {
            let brought = names.get(dependency.as_str().unwrap());
            brings.extend(names.get(id(node)).zip(brought));
        }
    }
    for (brought, by) in explained(PAGE) {
        for by in by {
            assert!(brings.contains(&(&by, &brought)), "{by} doesn't bring {brought}");
        }
    }
}

fn metadata() -> Value {
    serde_json::from_str(&cargo(&["metadata", "--format-version", "1", "--all-features"])).unwrap()
}

/// The strings of one array of `deny.toml`.
fn listed(array: &str) -> Vec<String> {
    let text = std::fs::read_to_string(Path::new(ROOT).join("deny.toml")).unwrap();
    let (_, after) = text.split_once(&format!("{array} = [")).unwrap();
    let (inside, _) = after.split_once("\n]").unwrap();
    let lines = inside.lines().map(|line| line.split('#').next().unwrap_or_default());
    lines.flat_map(|line| line.split('"').skip(1).step_by(2)).map(str::to_owned).collect()
}

/// What users of the published crates build: normal and build dependencies, no tests.
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
    let allowed = listed("allow");
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
fn no_crate_is_built_in_two_versions() {
    let skipped = listed("skip");
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
