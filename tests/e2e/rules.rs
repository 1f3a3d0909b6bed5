//! The shipped alert rules: each is tested both ways, says what to do, and speaks of metrics that exist.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::programs::command;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../metrics-push-cli/monitoring");
const PAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/monitoring");
const METRICS: &str = include_str!("../../metrics-push/src/guide/metrics.md");

/// Fires always, so that nothing can show when it does not.
const ALWAYS: &str = "Watchdog";

/// The YAML files of a folder, by name.
fn files(folder: &str) -> BTreeMap<String, String> {
    let read = |path: PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, fs::read_to_string(path).unwrap())
    };
    let entries = fs::read_dir(Path::new(FOLDER).join(folder)).unwrap();
    entries.map(|entry| read(entry.unwrap().path())).collect()
}

/// The rules as they are written, each from its name to the end of what belongs to it.
fn blocks(text: &str) -> Vec<&str> {
    let keys = ["- alert: ", "- record: "];
    let starts = keys.iter().flat_map(|key| text.match_indices(key)).map(|(start, _)| start);
    starts.map(|start| &text[start..start + extent(&text[start..], RULE)]).collect()
}

/// How far the dash before a rule is from the margin.
const RULE: usize = 6;

/// How much of a text is its first line and those after it that are indented further.
fn extent(text: &str, indentation: usize) -> usize {
    let is_beyond = |line: &str| {
        let indented = line.len() - line.trim_start().len();
        !line.trim().is_empty() && indented <= indentation
    };
    let ends = text.match_indices('\n').find(|(end, _)| {
        let rest = &text[end + 1..];
        is_beyond(rest.split('\n').next().unwrap_or(rest))
    });
    ends.map_or(text.len(), |(end, _)| end)
}

fn alert_name(block: &str) -> Option<&str> {
    block.strip_prefix("- alert: ")?.lines().next()
}

/// The names of all alerts, each with its rule.
fn alerts(rules: &BTreeMap<String, String>) -> BTreeMap<&str, &str> {
    let blocks = rules.values().flat_map(|text| blocks(text));
    let alerts: BTreeMap<_, _> = blocks.filter_map(|it| Some((alert_name(it)?, it))).collect();
    assert!(alerts.len() > 25, "not all alerts are found: {:?}", alerts.keys());
    alerts
}

/// The text of a key of a rule, in one line or in several.
fn value<'a>(block: &'a str, key: &str) -> &'a str {
    let at = block.find(&format!(" {key}:")).unwrap_or_else(|| panic!("no {key} in {block}")) + 1;
    let line = block[..at].rfind('\n').map_or(0, |end| end + 1);
    let text = &block[at..line + extent(&block[line..], at - line)];
    text[key.len() + 1..].trim_start_matches([' ', '|', '>', '-']).trim()
}

/// The first series that an expression selects, with its labels.
fn first_selector(expression: &str) -> &str {
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let mut at = 0;
    loop {
        let rest = &expression[at..];
        let start =
            at + rest.find(|c| is_word(c) || c == '{').expect("an expression without a series");
        let name = expression[start..]
            .find(|c| !is_word(c))
            .map_or(expression.len(), |length| start + length);
        let word = &expression[start..name];
        let follows = &expression[name..];
        let names_a_series = word == "up" || word.contains(['_', ':']);
        if names_a_series && !follows.starts_with('(') || follows.starts_with('{') {
            let labels =
                follows.strip_prefix('{').and_then(|it| it.find('}')).map_or(0, |end| end + 2);
            return &expression[start..name + labels];
        }
        at = name.max(start + 1);
    }
}

/// The same rules without their conditions: each alert fires wherever the series are that its condition begins with.
fn unconditional(text: &str) -> String {
    let mut eager = text.to_owned();
    for block in blocks(text) {
        if alert_name(block).is_none_or(|name| name == ALWAYS) {
            continue;
        }
        let expression = value(block, "expr");
        let selector = first_selector(expression);
        let end = block.find(expression).unwrap() + expression.len();
        let head = block.lines().next().unwrap();
        let replaced =
            format!("{head}\n        expr: 'max without () ({selector})'{}", &block[end..]);
        eager = eager.replace(block, &replaced);
    }
    eager
}

/// The alerts that a line of promtool's output names, with how often it does.
fn named(line: &str) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for after in line.split("alertname=\"").skip(1) {
        *counts.entry(after.split('"').next().unwrap()).or_default() += 1;
    }
    counts
}

#[test]
fn each_alert_is_shown_to_fire_and_not_to_fire() {
    let rules = files("rules");
    let tests = files("tests");
    let fire: BTreeSet<_> = tests
        .values()
        .flat_map(|text| text.lines().filter(|line| line.contains("labels: ALERTS{")))
        .flat_map(|line| named(line).into_keys())
        .collect();

    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("eager-{}", std::process::id()));
    for (folder, files) in [("rules", &rules), ("tests", &tests)] {
        fs::create_dir_all(copy.join(folder)).unwrap();
        for (name, text) in files {
            let text = if folder == "rules" { unconditional(text) } else { text.clone() };
            fs::write(copy.join(folder).join(name), text).unwrap();
        }
    }
    let mut promtool = command("promtool");
    promtool.args(["test", "rules"]).args(tests.keys()).current_dir(copy.join("tests"));
    let output = promtool.output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    fs::remove_dir_all(&copy).unwrap();

    // Where more of an alert is there than a test expects, the test shows that its condition is needed.
    let mut missed = BTreeSet::new();
    let lines: Vec<&str> = said.lines().map(str::trim).collect();
    for pair in lines.windows(2) {
        if let (Some(expected), Some(got)) =
            (pair[0].strip_prefix("exp:"), pair[1].strip_prefix("got:"))
        {
            let expected = named(expected);
            let surplus =
                |(name, count): &(&str, usize)| *count > expected.get(name).copied().unwrap_or(0);
            missed.extend(named(got).into_iter().filter(surplus).map(|it| it.0));
        }
    }
    for name in alerts(&rules).into_keys() {
        assert!(fire.contains(name), "no test shows that {name} fires");
        assert!(
            name == ALWAYS || missed.contains(name),
            "no test needs the condition of {name}\n{said}"
        );
    }
}

#[test]
fn each_alert_has_a_severity_and_says_in_sentences_what_to_do() {
    for (name, block) in alerts(&files("rules")) {
        assert!(
            ["critical", "warning", "info", "none"].contains(&value(block, "severity")),
            "{block}"
        );
        for key in ["summary", "description", "runbook"] {
            assert!(
                value(block, key).trim_end_matches('\'').ends_with('.'),
                "{name}: {key} is no sentence"
            );
        }
    }
}

#[test]
fn rules_and_dashboard_use_existing_metrics() {
    let rules = files("rules");
    let mut texts: Vec<String> = rules.values().cloned().collect();
    texts.push(fs::read_to_string(Path::new(FOLDER).join("dashboard.json")).unwrap());
    for page in ["README.md", "MISTAKES.md"] {
        texts.push(fs::read_to_string(Path::new(PAGES).join(page)).unwrap());
    }
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == ':';
    let recorded: BTreeSet<&str> = rules
        .values()
        .flat_map(|text| blocks(text))
        .filter_map(|block| block.strip_prefix("- record: ")?.lines().next())
        .collect();
    let mut count = 0;
    for text in &texts {
        for (at, _) in text.match_indices("batch_job") {
            let word = text[at..].split(|c| !is_name(c)).next().unwrap();
            let name = word.trim_end_matches(':');
            // Names of groups and files, and parts of patterns.
            let is_metric =
                name.contains(':') || name.ends_with("seconds") || name.contains("last_run");
            let is_known = recorded.contains(name) || METRICS.contains(&format!("`{name}"));
            assert!(!is_metric || is_known, "no such metric: {name}");
            count += usize::from(is_metric);
        }
    }
    assert!(count > 100, "the metrics are not found any more: {count}");
}
