//! The documents of fixtures: their structure, injection by labels and errors, and the cost of many jobs.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use metrics_push::StoredValue;
use sha2::{Digest as _, Sha256};

use super::policy::{SCRIPT, STYLE};
use super::*;
use crate::jobs::{Delivery, Group, LocalClock, Metric, RunSummary, State, morning};

/// Thu 26 Nov 2026, 06:42:18 in Berlin.
const NOW: f64 = 1_795_671_738.0;

fn metric(labels: &[(&str, &str)], value: f64) -> Vec<Metric> {
    let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    vec![Metric { labels: labels.collect(), value: StoredValue::Single(value) }]
}

/// A job whose last run has ended a minute ago.
fn ended(labels: &[(&str, &str)], outcome: &str) -> Group {
    let is_success = if outcome == "success" { 1.0 } else { 0.0 };
    let mut families = BTreeMap::new();
    for (name, value) in [
        ("last_start_timestamp_seconds", NOW - 60.0),
        ("last_completion_timestamp_seconds", NOW - 12.0),
        ("last_success_timestamp_seconds", NOW - 12.0),
        ("last_run_success", is_success),
        ("last_run_duration_seconds", 48.0),
        ("success_deadline_seconds", 7_200.0),
        ("next_run_timestamp_seconds", NOW + 3_540.0),
    ] {
        families.insert(format!("batch_job_{name}"), metric(&[], value));
    }
    let name = "batch_job_last_run_outcome".to_owned();
    families.insert(name, metric(&[("outcome", outcome)], 1.0));
    let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Group { labels: labels.collect(), families, ..Group::default() }
}

/// Hourly runs, which fail if there is a reason.
fn runs(count: u32, reason: Option<&str>) -> Vec<RunSummary> {
    let run = |at: u32| RunSummary {
        id: format!("r{at}"),
        start: NOW - 60.0 - f64::from(count - 1 - at) * 3_600.0,
        duration: Some(f64::from(40 + at % 7)),
        outcome: Some(if reason.is_some() { "error" } else { "success" }.to_owned()),
        failed_stage: reason.map(str::to_owned),
        reason: reason.map(str::to_owned),
        ..RunSummary::default()
    };
    (0..count).map(run).collect()
}

fn overview(groups: Vec<Group>, history: impl Fn(&Group) -> Vec<RunSummary>) -> Overview {
    Overview::new(groups, history, Delivery::default(), &LocalClock::at(NOW, "Europe/Berlin"))
}

fn page(overview: &Overview) -> String {
    file(overview).unwrap()
}

/// Returns the text between two others.
#[track_caller]
fn between<'a>(html: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = html.split_once(start).unwrap_or_else(|| panic!("{start} is missing: {html}"));
    rest.split_once(end).unwrap_or_else(|| panic!("{end} is missing")).0
}

/// Returns the words of an element without its tags.
fn text_of(html: &str) -> String {
    let parts = html.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text));
    let words: Vec<_> = parts.flat_map(str::split_whitespace).collect();
    words.join(" ").replace(" ,", ",").replace(" ;", ";")
}

#[test]
fn page_shows_what_needs_attention_first() {
    let overview = morning::overview();
    let html = page(&overview);
    assert_eq!(between(&html, "<title>", "</title>"), "4 of 18 jobs need attention");
    let summary = text_of(between(&html, "<div id=\"summary\"", "<form"));
    let counts = "1 failing, 1 vanished, 1 overdue, 1 without success. Of the others: 1 flapping, 1 running, 12 fine.";
    assert!(summary.contains(counts), "{summary}");
    assert!(summary.contains("gateway-b.internal:9091 has been down since 06:21"), "{summary}");
    let rows = between(&html, "id=\"attention\"", "</section>");
    let rows: Vec<_> = rows.split("<tr role=\"row\" id=").skip(1).map(text_of).collect();
    for (row, expected) in rows.iter().zip([
        [
            "Failing 3 in a row since 02:10, 4h32m",
            "orders_export region=eu 06:10 error after 48s, in stage upload Upload {",
        ],
        ["Vanished no end since 04:00, 2h42m", "Check whether its process hangs or was killed."],
        ["Overdue 3 runs missed since 05:02, 1h39m", "04:02 2h40m late"],
        ["No success 3 of 3 failed since Wed 22:00, 8h42m", "never allowed 6h"],
    ]) {
        assert!(expected.iter().all(|text| row.contains(text)), "{expected:?}: {row}");
    }
    let others = between(&html, "id=\"others\"", "</section>");
    let first = text_of(others.split("<tr role=\"row\" id=").nth(1).unwrap());
    assert!(first.contains("Flapping 7 of 20 failed inventory_sync tenant=north"), "{first}");
    assert!(first.contains("06:30 12m ago 21s 370 records 11m ago"), "{first}");
    let mut fine: Vec<_> = overview.jobs.iter().filter(|it| it.state == State::Success).collect();
    fine.sort_by_key(|job| job.words());
    let places: Vec<_> = fine.iter().map(|job| others.find(&job.id).unwrap()).collect();
    assert!(places.is_sorted(), "{places:?}");
}

#[test]
fn details_show_history_rules_and_error_of_a_job() {
    let html = page(&morning::overview());
    let details = text_of(between(&html, "<details id=\"d-", "<details id=\"d-"));
    for expected in [
        "Failing for 3 runs since 02:10 (error); last success 6h29m ago, allowed 4h27m;",
        "Last error Upload { key: &quot;eu/2026-11-26T06.csv&quot;",
        "Last 20 runs: start, duration, outcome",
        "Thu 26 Nov 06:10 48s ✕ error",
        "Run run19, Thu 26 Nov 06:10, in stage upload. The text is from the history on this machine.",
        "BatchJobFailed firing 3 of 3 failures in a row",
        "BatchJobMissedRun quiet next run 08:10",
        "Schedule every 2 hours at minute 10 Europe/Berlin grace 10m",
        "Next run 08:10 in 1h27m",
        "Failures in a row 3 alert at 3",
        "region eu",
        "metrics-push history orders_export --grouping region=eu",
    ] {
        let expected = expected.replace("&quot;", "&#34;");
        assert!(details.contains(&expected), "{expected}: {details}");
    }
}

#[test]
fn one_run_and_one_record_are_singular() {
    let mut group = ended(&[("job", "a")], "success");
    let records = metric(&[("result", "processed")], 1.0);
    group.families.insert("batch_job_last_run_records".to_owned(), records);
    let html = text_of(&page(&overview(vec![group], |_| runs(1, None))));
    for expected in
        ["Last 1 run: start, duration, outcome", "Success rate 100% of 1 run", "Records 1 record "]
    {
        assert!(html.contains(expected), "{expected}: {html}");
    }
}

#[test]
fn delivery_shows_circuit_breakers() {
    let html = page(&morning::overview());
    let rows = between(&html, "<table class=\"list gateways\">", "</table>");
    let rows: Vec<_> = rows.split("<tr>").skip(2).map(text_of).collect();
    assert!(rows[0].ends_with("0 requests closed"), "{rows:?}");
    assert!(rows[1].ends_with("7 requests, oldest 06:21 open"), "{rows:?}");
}

#[test]
fn every_job_of_a_server_links_to_its_own_page() {
    let morning = morning::overview();
    let html = served(&morning, &Filter::default(), 10).unwrap();
    let ids: Vec<_> = html.split("href=\"/job/").skip(1).map(|rest| &rest[..17]).collect();
    assert_eq!(ids.len(), 18);
    for id in ids {
        let html = job(&morning, id, 10).unwrap().unwrap();
        assert!(html.contains("<p class=\"lead\">"), "{id}");
    }
    assert!(job(&morning, "j0000000000000000", 10).is_none());
}

#[test]
fn filter_of_a_server_selects_rows() {
    let morning = morning::overview();
    let rows = |query: &str, state: &str| {
        let filter = Filter { query: query.to_owned(), state: state.to_owned() };
        served(&morning, &filter, 10).unwrap().matches("<tr role=\"row\" id=").count()
    };
    assert_eq!(
        [rows("", ""), rows("INVOICES south", ""), rows("tenant=", "attention")],
        [18, 1, 2]
    );
    assert_eq!([rows("", "flapping"), rows("", "running"), rows("", "fine")], [1, 1, 12]);
}

#[test]
fn hostile_texts_are_escaped() {
    let hostile = "</script><script>alert(1)</script>\"'&\u{202e}\0\n\u{1b}[31m";
    let mut failing = ended(&[("job", hostile), ("label", hostile)], "error");
    for name in ["batch_job_stage_duration_seconds", "own_metric"] {
        failing.families.insert(name.to_owned(), metric(&[("stage", hostile)], 1.0));
    }
    let hostile_overview = overview(vec![failing], |_| runs(30, Some(hostile)));
    let id = hostile_overview.jobs[0].id.clone();
    for html in [
        page(&hostile_overview),
        served(&hostile_overview, &Filter { query: hostile.to_owned(), ..Filter::default() }, 10)
            .unwrap(),
        job(&hostile_overview, &id, 10).unwrap().unwrap(),
    ] {
        assert_eq!(html.matches("<script").count(), 1);
        assert_eq!(html.matches("</script").count(), 1);
        assert!(html.contains("&#60;script&#62;alert(1)"), "{html}");
        let is_invisible = |character: char| {
            character.is_control() && character != '\n' || character == '\u{202e}'
        };
        assert!(!html.contains(is_invisible));
        assert!(html.contains(r"\u{202e}\0"), "{html}");
        assert!(!html.contains(" style="));
    }
}

#[test]
fn policy_has_the_hashes_of_the_style_and_the_script() {
    let html = page(&morning::overview());
    for (start, end, source) in
        [("<style>", "</style>", STYLE), ("<script type=\"module\">", "</script>", SCRIPT)]
    {
        let text = between(&html, start, end);
        assert_eq!(text, source);
        let hash = format!("sha256-{}", STANDARD.encode(Sha256::digest(text)));
        assert!(content_security_policy().contains(&hash), "{start}");
    }
}

#[test]
fn jobs_without_history_or_schedule_are_shown() {
    let none = overview(Vec::new(), |_| Vec::new());
    let html = page(&none);
    assert_eq!(between(&html, "<title>", "</title>"), "No jobs");

    let fine = overview(vec![ended(&[("job", "a")], "success")], |_| runs(1, None));
    let html = page(&fine);
    assert_eq!(between(&html, "<title>", "</title>"), "The job is fine");
    assert!(html.contains("id=\"attention\" data-part hidden"), "{html}");
    assert!(!html.contains("<details open"), "{html}");

    let mut ahead = ended(&[("job", &"n".repeat(200))], "error");
    ahead.families.remove("batch_job_success_deadline_seconds");
    ahead.families.remove("batch_job_next_run_timestamp_seconds");
    let name = "batch_job_last_success_timestamp_seconds".to_owned();
    ahead.families.insert(name, metric(&[], NOW + 4_000.0));
    let html = page(&overview(vec![ahead], |_| Vec::new()));
    assert_eq!(between(&html, "<title>", "</title>"), "The job needs attention");
    assert!(html.contains("id=\"others\" data-part hidden"), "{html}");
    assert!(html.contains("no history here") && html.contains("not scheduled"), "{html}");
    assert!(html.contains("synchronise the clocks"), "{html}");
}

#[test]
fn many_jobs_render_fast() {
    let groups = (0..1_000).map(|at| {
        let outcome = if at % 3 == 0 { "error" } else { "success" };
        ended(&[("job", &format!("job_{at}")), ("region", "eu")], outcome)
    });
    let many = overview(groups.collect(), |_| runs(100, Some("connection reset")));
    let started = Instant::now();
    let html = served(&many, &Filter::default(), 10).unwrap();
    let took = started.elapsed();
    // `cargo test --release --package metrics-push-cli many_jobs_render_fast` tests the limit of optimised builds.
    let limit = if cfg!(debug_assertions) { 30_000 } else { 300 };
    assert!(took < Duration::from_millis(limit), "{} bytes in {took:?}", html.len());
}

/// The relative luminance of a colour such as `#fdfdfc`, by the rules of the Web Content Accessibility Guidelines.
fn luminance(color: &str) -> f64 {
    let channel = |at: usize| {
        let value = f64::from(u8::from_str_radix(&color[at..at + 2], 16).unwrap()) / 255.0;
        if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
}

/// Returns the light and the dark colour of a token.
fn token(name: &str) -> [&'static str; 2] {
    let pair = between(STYLE, &format!("--{name}: light-dark("), ")");
    let (light, dark) = pair.split_once(", ").unwrap();
    [light, dark]
}

#[test]
fn colours_have_enough_contrast() {
    let grounds = ["bg", "raised", "tint"];
    let texts = ["text", "muted", "bad", "warn", "busy", "ok"];
    let graphics = ["mark", "edge", "bad", "busy"];
    let pairs = texts.map(|name| (name, 4.5)).into_iter().chain(graphics.map(|name| (name, 3.0)));
    for (name, min) in pairs {
        for ground in grounds {
            for theme in [0, 1] {
                let [a, b] = [token(name)[theme], token(ground)[theme]].map(luminance);
                let contrast = (a.max(b) + 0.05) / (a.min(b) + 0.05);
                assert!(contrast >= min, "{name} on {ground}: {contrast:.2}, theme {theme}");
            }
        }
    }
}

#[test]
fn bars_of_runs_that_overlap_are_from_left_to_right() {
    // The history has the order of their ends.
    let mut recorded = runs(4, None);
    recorded.swap(1, 2);
    let overview = overview(vec![ended(&[("job", "import")], "success")], |_| recorded.clone());
    let html = page(&overview);
    let drawing = between(&html, "class=\"timeline\"", "<ul");
    let bars = drawing.split("<rect x=\"").skip(1);
    let places: Vec<f64> =
        bars.map(|bar| bar.split_once('%').unwrap().0.parse().unwrap()).collect();
    assert!(places.len() == 4 && places.is_sorted(), "{places:?}");
}
