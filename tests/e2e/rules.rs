//! The shipped alert rules: the promtool tests show for each alert when it fires and when it does not, each alert has a
//! runbook, and all metrics exist.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::programs::command;

pub(crate) const FOLDER: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../metrics-push-cli/monitoring");
const PAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/monitoring");
const METRICS: &str = include_str!("../../metrics-push/src/guide/metrics.md");

/// This alert always fires, so no test can show when it does not.
const ALWAYS: &str = "Watchdog";

/// The YAML files of a folder, by name.
pub(crate) fn files(folder: &str) -> BTreeMap<String, String> {
    let read = |path: PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, fs::read_to_string(path).unwrap())
    };
    let entries = fs::read_dir(Path::new(FOLDER).join(folder)).unwrap();
    entries.map(|entry| read(entry.unwrap().path())).collect()
}

/// The text of each rule, from its name to its last line.
pub(crate) fn blocks(text: &str) -> Vec<&str> {
    let keys = ["- alert: ", "- record: "];
    let starts = keys.iter().flat_map(|key| text.match_indices(key)).map(|(start, _)| start);
    starts.map(|start| &text[start..start + extent(&text[start..], RULE)]).collect()
}

/// The indentation of the dash before a rule.
const RULE: usize = 6;

/// The length of a text's first line and the following lines that are indented further.
fn extent(text: &str, indentation: usize) -> usize {
    let is_outside = |line: &str| {
        let indented = line.len() - line.trim_start().len();
        !line.trim().is_empty() && indented <= indentation
    };
    let ends = text.match_indices('\n').find(|(end, _)| {
        let rest = &text[end + 1..];
        is_outside(rest.split('\n').next().unwrap_or(rest))
    });
    ends.map_or(text.len(), |(end, _)| end)
}

pub(crate) fn alert_name(block: &str) -> Option<&str> {
    block.strip_prefix("- alert: ")?.lines().next()
}

/// The rules of all alerts by name.
fn alerts(rules: &BTreeMap<String, String>) -> BTreeMap<&str, &str> {
    let blocks = rules.values().flat_map(|text| blocks(text));
    blocks.filter_map(|it| Some((alert_name(it)?, it))).collect()
}

/// The value of a rule's key, on one line or several.
pub(crate) fn value<'a>(block: &'a str, key: &str) -> &'a str {
    let at = block.find(&format!(" {key}:")).unwrap_or_else(|| panic!("no {key} in {block}")) + 1;
    let line = block[..at].rfind('\n').map_or(0, |end| end + 1);
    let text = &block[at..line + extent(&block[line..], at - line)];
    text[key.len() + 1..].trim_start_matches([' ', '|', '>', '-']).trim()
}

/// The first selector of an expression, such as `up{job="pushgateway"}`.
fn first_selector(expression: &str) -> &str {
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let mut at = 0;
    loop {
        let rest = &expression[at..];
        let start =
            at + rest.find(|c| is_word(c) || c == '{').expect("the expression has no selector");
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

/// Replaces the expression of each alert by the last value of its first selector, so that the alert fires for every series.
fn without_conditions(text: &str, last_value: impl Fn(&str) -> String) -> String {
    let mut changed = text.to_owned();
    for block in blocks(text) {
        if alert_name(block).is_none_or(|name| name == ALWAYS) {
            continue;
        }
        let expression = value(block, "expr");
        let selector = first_selector(expression);
        let end = block.find(expression).unwrap() + expression.len();
        let head = block.lines().next().unwrap();
        let replaced = format!(
            "{head}\n        expr: 'max without () ({})'{}",
            last_value(selector),
            &block[end..]
        );
        changed = changed.replace(block, &replaced);
    }
    changed
}

/// The number of times that a line names each alert.
fn count_alerts(line: &str) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for after in line.split("alertname=\"").skip(1) {
        *counts.entry(after.split('"').next().unwrap()).or_default() += 1;
    }
    counts
}

#[test]
fn alerts_have_tests_that_fire_and_tests_that_do_not() {
    let rules = files("rules");
    assert!(alerts(&rules).len() > 25, "not all alerts were found: {:?}", alerts(&rules).keys());
    assert_alerts_are_tested("groups", &rules, &files("tests"), str::to_owned);
}

/// Runs promtool tests on rules without conditions, in which `last_value` writes the last value of a selector. A test that
/// then gets more alerts than it expects needs the condition. The tests are in a folder next to the folder `rules`.
#[track_caller]
pub(crate) fn assert_alerts_are_tested(
    name: &str,
    rules: &BTreeMap<String, String>,
    tests: &BTreeMap<String, String>,
    last_value: impl Fn(&str) -> String,
) {
    let firing: BTreeSet<_> = tests
        .values()
        .flat_map(|text| text.lines().filter(|line| line.contains("labels: ALERTS{")))
        .flat_map(|line| count_alerts(line).into_keys())
        .collect();

    let copy = format!("rules-without-conditions-{name}-{}", std::process::id());
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join(copy);
    for (folder, files) in [("rules", rules), ("tests", tests)] {
        fs::create_dir_all(copy.join(folder)).unwrap();
        for (name, text) in files {
            let text = match folder {
                "rules" => without_conditions(text, &last_value),
                _ => text.clone(),
            };
            fs::write(copy.join(folder).join(name), text).unwrap();
        }
    }
    let mut promtool = command("promtool");
    promtool.args(["test", "rules"]).args(tests.keys()).current_dir(copy.join("tests"));
    let output = promtool.output().unwrap();
    let output = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    fs::remove_dir_all(&copy).unwrap();

    let mut needed = BTreeSet::new();
    let lines: Vec<&str> = output.lines().map(str::trim).collect();
    for pair in lines.windows(2) {
        if let (Some(expected), Some(got)) =
            (pair[0].strip_prefix("exp:"), pair[1].strip_prefix("got:"))
        {
            let expected = count_alerts(expected);
            let is_unexpected =
                |(name, count): &(&str, usize)| *count > expected.get(name).copied().unwrap_or(0);
            needed.extend(count_alerts(got).into_iter().filter(is_unexpected).map(|it| it.0));
        }
    }
    for name in alerts(rules).into_keys() {
        assert!(firing.contains(name), "no test shows that {name} fires");
        assert!(
            name == ALWAYS || needed.contains(name),
            "no test needs the condition of {name}\n{output}"
        );
    }
}

#[test]
fn alerts_have_a_severity_and_a_runbook_in_sentences() {
    for (name, block) in alerts(&files("rules")) {
        assert!(
            ["critical", "warning", "info", "none"].contains(&value(block, "severity")),
            "{block}"
        );
        for key in ["summary", "description", "runbook"] {
            assert!(
                value(block, key).trim_end_matches('\'').ends_with('.'),
                "{name}: {key} does not end with a full stop"
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
    // A page shows a recording rule as well.
    let recorded: BTreeSet<&str> = texts
        .iter()
        .flat_map(|text| blocks(text))
        .filter_map(|block| block.strip_prefix("- record: ")?.lines().next())
        .collect();
    let mut count = 0;
    for text in &texts {
        for (at, _) in text.match_indices("batch_job") {
            let word = text[at..].split(|c| !is_name(c)).next().unwrap();
            let name = word.trim_end_matches(':');
            // Other words are names of rule groups and files, and parts of patterns.
            let is_metric =
                name.contains(':') || name.ends_with("seconds") || name.contains("last_run");
            let is_known = recorded.contains(name) || METRICS.contains(&format!("`{name}"));
            assert!(
                !is_metric || is_known,
                "no documented metric or recording rule is named {name}"
            );
            count += usize::from(is_metric);
        }
    }
    assert!(count > 100, "only {count} metrics were found");
}

#[test]
fn timestamp_in_future_checks_every_instant_of_a_run() {
    let rules = files("rules");
    let expression = value(alerts(&rules)["BatchJobTimestampInFuture"], "expr");
    let names = METRICS.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let is_instant = |name: &&str| name.ends_with("_timestamp_seconds") && !name.contains("_next_");
    let instants: Vec<_> = names.filter(is_instant).collect();
    assert!(instants.len() > 7, "{instants:?}");
    for name in instants {
        assert!(expression.contains(&format!("{name} - time() > 300")), "no rule checks {name}");
    }
}
