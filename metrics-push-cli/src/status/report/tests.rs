use metrics_push::testing::FakeGateway;
use metrics_push::{Gateway, GroupingKey};

use super::*;

const NOW: f64 = 1_800_000_000.0;

/// Reports a group with these metrics. Timestamps are given as ages in seconds.
fn report(ages: &[(&str, f64)], outcome: &str, values: &[(&str, f64)]) -> Report {
    let ages = ages.iter().map(|(name, age)| (format!("last_{name}_timestamp_seconds"), NOW - age));
    let values = values.iter().map(|(name, value)| ((*name).to_owned(), *value));
    let mut text: String =
        ages.chain(values).map(|(name, value)| format!("batch_job_{name} {value}\n")).collect();
    for known in ["success", "error", "skipped", "abandoned"] {
        let value = u8::from(known == outcome);
        text.push_str(&format!("batch_job_last_run_outcome{{outcome=\"{known}\"}} {value}\n"));
    }
    stored(&text)
}

fn stored(text: &str) -> Report {
    let fake = FakeGateway::start();
    let gateway = Gateway::new(fake.url()).unwrap();
    let key = GroupingKey::new("import").and_then(|key| key.label("region", "e u")).unwrap();
    gateway.push(&key, &text.parse().unwrap()).unwrap();
    Report::new(&gateway.metrics().unwrap()[0], NOW)
}

const DAILY: [(&str, f64); 2] =
    [("success_deadline_seconds", 172_800.0), ("max_runtime_seconds", 3_600.0)];

#[test]
fn recent_success_is_well() {
    let report =
        report(&[("start", 70.0), ("completion", 60.0), ("success", 60.0)], "success", &DAILY);
    assert_eq!(report.state, State::Ended("success".into()));
    assert_eq!((report.problems.as_slice(), report.success_age()), ([].as_slice(), Some(60.0)));
    assert_eq!(report.name(), "import region=\"e u\"");
    assert_eq!(report.facts.deadline, Some(172_800.0));
}

#[test]
fn failure_is_reported_with_age_and_missing_success() {
    let failed = report(&[("start", 70.0), ("completion", 60.0)], "error", &[]);
    assert_eq!(failed.state, State::Ended("error".into()));
    assert_eq!(failed.problems, ["the last run failed 1m ago (error); it has never succeeded"]);
    let again = report(&[("start", 70.0), ("completion", 60.0), ("success", 90.0)], "error", &[]);
    assert_eq!(again.problems, ["the last run failed 1m ago (error)"]);
}

#[test]
fn abandoned_run_has_no_duration() {
    let took = |outcome| {
        let values = [("last_run_duration_seconds", 12.0)];
        report(&[("start", 70.0), ("completion", 60.0)], outcome, &values).facts.took
    };
    assert_eq!((took("error"), took("abandoned")), (Some(12.0), None));
}

#[test]
fn failure_names_exit_code_or_signal() {
    let how = |outcome: &str, values: &[(&str, f64)]| {
        let values = values.iter().map(|(name, value)| format!("batch_job_{name} {value}\n"));
        let mut text: String = values.collect();
        text.push_str(&format!("batch_job_last_run_outcome{{outcome=\"{outcome}\"}} 1\n"));
        stored(&text).problems.concat()
    };
    for (outcome, values, expected) in [
        ("exit_code", &[("last_run_exit_code", 127.0)][..], "(exit code 127)"),
        ("signal", &[("last_run_signal", 9.0)], "(signal 9, KILL)"),
        ("signal", &[("last_run_signal", 10.0)], "(signal 10)"),
        ("oom", &[("last_run_signal", 9.0)], "(out of memory)"),
        ("exit_code", &[], "(exit_code)"),
        // 0: the process exited with success during the run, or the exit code is unknown.
        ("exit_code", &[("last_run_exit_code", 0.0)], "(exit_code)"),
        ("signal", &[("last_run_signal", 0.0)], "(signal)"),
        ("error", &[("last_run_exit_code", 0.0), ("last_run_signal", 0.0)], "(error)"),
        // The exit code belongs to an earlier run.
        ("panic", &[("last_run_exit_code", 3.0)], "(panic)"),
    ] {
        assert!(how(outcome, values).contains(expected), "{}", how(outcome, values));
    }
}

#[test]
fn old_success_is_overdue() {
    let ages = [("start", 200_010.0), ("completion", 200_000.0), ("success", 200_000.0)];
    let report = report(&ages, "success", &DAILY);
    assert_eq!(report.state, State::Overdue);
    assert!(report.problems[0].contains("2d7h ago; the deadline is 2d"), "{report:?}");
}

#[test]
fn open_run_is_running_until_max_runtime() {
    let running = report(&[("start", 60.0), ("completion", 90.0)], "", &DAILY);
    assert_eq!((&running.state, running.is_well()), (&State::Running(None), true));
    // The outcome states are those of the previous run.
    let running = report(&[("start", 60.0), ("completion", 90.0)], "success", &DAILY);
    assert_eq!((&running.state, running.is_well()), (&State::Running(None), true));
    let first = report(&[("start", 60.0)], "", &[]);
    assert_eq!(first.state, State::Running(None));
    let vanished = report(&[("start", 4_000.0), ("completion", 9_000.0)], "", &DAILY);
    assert_eq!(vanished.state, State::Vanished);
    assert!(vanished.problems[0].contains("its maximum runtime is 1h"), "{vanished:?}");
}

#[test]
fn progress_of_earlier_run_is_ignored() {
    let at = |age: f64| [("progress_ratio", 0.456), ("pushed_at_timestamp_seconds", NOW - age)];
    assert_eq!(report(&[("start", 60.0)], "", &at(60.0)).state, State::Running(None));
    assert_eq!(report(&[("start", 60.0)], "", &at(30.0)).state, State::Running(Some(45)));
}

#[test]
fn skipped_run_is_neither_failure_nor_success() {
    let ages = [("start", 70.0), ("completion", 60.0)];
    assert!(report(&ages, "skipped", &DAILY).is_well());
    let ages = [("start", 70.0), ("completion", 60.0), ("success", 200_000.0)];
    assert_eq!(report(&ages, "skipped", &DAILY).state, State::Overdue);
}

#[test]
fn success_in_the_future_is_a_problem() {
    let ages = [("start", -7_210.0), ("completion", -7_200.0), ("success", -7_200.0)];
    let report = report(&ages, "success", &DAILY);
    assert!(report.problems[0].contains("2h ahead of the local clock"), "{report:?}");
}

#[test]
fn group_without_runs_has_no_problem() {
    let report = stored("backup_bytes 1\n");
    assert_eq!((&report.state, report.is_well(), report.has_runs()), (&State::NoRuns, true, false));
}

#[test]
fn rejected_push_is_reported_first() {
    let fake = FakeGateway::start();
    let gateway = Gateway::new(fake.url()).unwrap();
    let push = |job: &str, text: &str| {
        gateway.push(&GroupingKey::new(job).unwrap(), &text.parse().unwrap())
    };
    push("a", "# TYPE x gauge\nx 1\n").unwrap();
    push("b", "y 1\n").unwrap();
    push("b", "# TYPE x counter\nx 1\n").unwrap_err();
    let mut reports: Vec<_> =
        gateway.metrics().unwrap().iter().map(|group| Report::new(group, NOW)).collect();
    reports.sort_by_key(Report::sort_key);
    assert_eq!((reports[0].name().as_str(), &reports[0].state), ("b", &State::Refused));
    assert!(reports[0].problems[0].contains("rejected the last push"));
    assert!(reports[1].is_well());
}
