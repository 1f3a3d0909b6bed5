use clap::Parser;

use super::*;
use crate::golden::assert_golden;
use crate::jobs::morning;

#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    selection: SelectionArguments,
}

/// The report of the morning for a terminal of this width and these arguments.
fn report(width: Option<usize>, arguments: &str) -> String {
    let words = std::iter::once("status").chain(arguments.split_whitespace());
    let CommandLine { selection } = CommandLine::parse_from(words);
    let mut overview = morning::overview();
    overview.jobs.retain(|job| selection.is_selected(&job.labels));
    text(&overview, &selection, Terminal::plain(width))
}

#[test]
fn report_of_a_morning_fits_each_terminal() {
    let reports = [60, 80, 120, 200].map(|width| (width, report(Some(width), "")));
    for (width, report) in &reports {
        for line in report.lines() {
            assert!(crate::layout::width(line) <= *width, "{width}: {line}");
        }
    }
    let [narrow, usual, wide, wider] = reports.map(|(_, report)| report);
    assert_golden!("morning-60", narrow);
    assert_golden!("morning-80", usual);
    assert_golden!("morning-120", wide);
    assert_golden!("morning-200", wider);
}

#[test]
fn report_in_a_pipe_has_one_line_for_each_job() {
    let report = report(None, "");
    let (table, _) = report.split_once("\n\n").unwrap();
    assert_eq!(table.lines().count(), 1 + 18);
    assert_golden!("morning-pipe", report);
}

#[test]
fn report_of_failed_jobs_by_pattern() {
    assert_golden!("failed-orders-80", report(Some(80), "--failed orders_*"));
}

#[test]
fn report_by_name_and_by_age_is_sorted() {
    let names = |arguments: &str| -> Vec<String> {
        let report = report(None, arguments);
        let job_column = report.find("JOB").unwrap();
        let rows = report.lines().skip(1).take_while(|line| !line.is_empty());
        rows.map(|row| row[job_column..].split(' ').next().unwrap().to_owned()).collect()
    };
    let by_name = names("--sort name");
    assert!(by_name.is_sorted(), "{by_name:?}");
    let by_age = names("--sort age");
    assert_eq!(by_age[0], "mail_digest");
    assert_eq!(by_age[16..], ["billing_close", "ledger_reconcile"]);
    assert_eq!(names("--limit 2"), ["billing_close", "orders_export"]);
}

#[test]
fn limited_report_counts_all_jobs() {
    let report = report(Some(80), "--limit 1");
    assert!(report.ends_with("4 of 18 need attention, 17 not shown\n"), "{report}");
    assert!(!report.contains("billing_close"), "{report}");
}

#[test]
fn report_contains_no_control_characters_of_labels_and_reasons() {
    let mut overview = morning::overview();
    let job = overview.jobs.last_mut().unwrap();
    job.labels.insert("region".to_owned(), "eu\u{1b}[2J\u{202e}".to_owned());
    let run = job.runs.last_mut().unwrap();
    run.reason = Some("\u{1b}]0;title\u{7}\r\nsecond line\u{9b}".to_owned());
    let CommandLine { selection } = CommandLine::parse_from(["status"]);
    for width in [None, Some(80)] {
        let text = text(&overview, &selection, Terminal::plain(width));
        assert!(text.contains(r"\u{1b}]0;title\u{7}\r\nsecond line\u{9b}"), "{text}");
        let is_invisible = |c: char| c == '\u{202e}' || c != '\n' && c.is_control();
        assert!(!text.contains(is_invisible), "{text:?}");
    }
}

#[test]
fn report_without_unicode_is_ascii() {
    let CommandLine { selection } = CommandLine::parse_from(["status"]);
    let text = text(&morning::overview(), &selection, Terminal::ascii(120));
    assert!(text.is_ascii(), "{text}");
    assert!(text.contains("  |||||||||||||||||...\n"), "{text}");
}
