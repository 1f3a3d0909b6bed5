use std::collections::BTreeMap;

use metrics_push::StoredValue;

use super::*;

const NOW: f64 = 1_800_000_000.0;
const HOUR: f64 = 3_600.0;

const DAILY: [(&str, f64); 2] =
    [("success_deadline_seconds", 172_800.0), ("max_runtime_seconds", HOUR)];

/// The ages of a run that failed an hour ago, two days after the last success.
const FAILED: [(&str, f64); 3] = [("completion", HOUR), ("failure", HOUR), ("success", 180_000.0)];

const FAILING: [(&str, f64); 2] =
    [("success_deadline_seconds", 172_800.0), ("last_run_success", 0.0)];

/// A group with these metrics. Timestamps are given as ages in seconds.
fn group(ages: &[(&str, f64)], outcome: &str, values: &[(&str, f64)]) -> Group {
    let labels = [("job", "import"), ("region", "e u")];
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut group = Group { labels: labels.into(), ..Group::default() };
    let mut set = |name: String, labels: BTreeMap<String, String>, value: f64| {
        let metric = Metric { labels, value: StoredValue::Single(value) };
        group.families.entry(format!("batch_job_{name}")).or_default().push(metric);
    };
    for (name, age) in ages {
        set(format!("last_{name}_timestamp_seconds"), BTreeMap::new(), NOW - age);
    }
    for (name, value) in values {
        set((*name).to_owned(), BTreeMap::new(), *value);
    }
    for known in ["success", "error", "panic", "signal", "oom", "exit_code", "skipped", "abandoned"]
    {
        let labels = [("outcome".to_owned(), known.to_owned())].into();
        set("last_run_outcome".to_owned(), labels, f64::from(u8::from(known == outcome)));
    }
    group
}

fn job(ages: &[(&str, f64)], outcome: &str, values: &[(&str, f64)]) -> Job {
    with_runs(group(ages, outcome, values), Vec::new())
}

fn with_runs(group: Group, runs: Vec<RunSummary>) -> Job {
    Job::new(group, runs, &LocalClock::at(NOW, "UTC"))
}

/// Runs with these outcomes, one an hour, of which the last one started an hour ago.
fn hourly(outcomes: &[&str]) -> Vec<RunSummary> {
    let run = |(hours, outcome): (u32, &&str)| RunSummary {
        start: NOW - f64::from(hours) * HOUR,
        end: Some(NOW - f64::from(hours) * HOUR + 10.0),
        outcome: Some((*outcome).to_owned()),
        reason: (*outcome == "error").then(|| format!("failure {hours}h ago")),
        ..RunSummary::default()
    };
    let mut runs: Vec<_> = (1..).zip(outcomes.iter().rev()).map(run).collect();
    runs.reverse();
    runs
}

fn sentence(job: &Job) -> String {
    job.sentence().map(|sentence| sentence.to_string()).unwrap_or_default()
}

#[test]
fn recent_success_needs_no_attention() {
    let job = job(&[("start", 70.0), ("completion", 60.0), ("success", 60.0)], "success", &DAILY);
    assert_eq!((job.state, job.needs_attention()), (State::Success, false));
    assert_eq!((job.sentence(), job.warnings()), (None, Vec::new()));
    assert_eq!(job.words(), ["import", "region=\"e u\""]);
}

#[test]
fn commands_quote_labels_for_the_shell() {
    let command = |value: &str| {
        let labels = [("job", value), ("label", value)];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        with_runs(Group { labels: labels.into(), ..Group::default() }, Vec::new()).history_command()
    };
    for (value, word) in [
        ("import-2:é", "import-2:é"),
        ("", "\"\""),
        ("it's one word", "\"it's one word\""),
        ("$(touch x)`touch x`!x", "'$(touch x)`touch x`!x'"),
        ("it's \"x\"\\", r#"'it'\''s "x"\'"#),
    ] {
        assert_eq!(command(value), format!("metrics-push history {word} --grouping label={word}"));
    }
    // A server that allows all UTF-8 label names.
    let labels = [("job", "x"), ("$(touch x)", "1")].map(|(name, it)| (name.into(), it.into()));
    let group = Group { labels: labels.into(), ..Group::default() };
    let command = with_runs(group, Vec::new()).history_command();
    assert_eq!(command, "metrics-push history x --grouping '$(touch x)=1'");
}

#[test]
fn failure_is_reported_with_outcome_and_missing_success() {
    let failed = job(&[("start", 70.0), ("completion", 60.0), ("failure", 60.0)], "error", &[]);
    assert_eq!(failed.state, State::Failing);
    assert_eq!(sentence(&failed), "failing since 07:59 (error); it has never succeeded");
    let ages = [("start", 70.0), ("completion", 60.0), ("success", 90.0), ("failure", 60.0)];
    let again = job(&ages, "error", &DAILY);
    assert_eq!(sentence(&again), "failing since 07:59 (error); last success 1m30s ago, allowed 2d");
}

#[test]
fn failure_names_exit_code_or_signal() {
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
        let text = sentence(&job(&[("start", 70.0), ("completion", 60.0)], outcome, values));
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn abandoned_run_has_no_duration() {
    let duration = |outcome| {
        let values = [("last_run_duration_seconds", 12.0)];
        job(&[("start", 70.0), ("completion", 60.0)], outcome, &values).duration()
    };
    assert_eq!((duration("error"), duration("abandoned")), (Some(12.0), None));
}

#[test]
fn old_success_is_overdue() {
    let ages = [("start", 200_010.0), ("completion", 200_000.0), ("success", 200_000.0)];
    let job = job(&ages, "success", &DAILY);
    assert_eq!((job.state, job.since), (State::Overdue, Some(NOW - 27_200.0)));
    assert!(sentence(&job).contains("last success 2d7h ago, allowed 2d"), "{job:?}");
}

#[test]
fn missed_run_is_overdue_after_its_grace() {
    let after_due = |seconds: f64| {
        let ages = [("start", HOUR + seconds), ("completion", HOUR), ("success", HOUR)];
        let next_run = ("next_run_timestamp_seconds", NOW - seconds);
        job(&ages, "success", &[next_run, ("start_grace_seconds", 600.0)])
    };
    assert_eq!((after_due(590.0).state, after_due(590.0).is_late()), (State::Success, false));
    let late = after_due(700.0);
    assert_eq!((late.state, late.is_late(), late.missed_runs.len()), (State::Overdue, true, 1));
    assert!(sentence(&late).starts_with("overdue since 07:58: not started, due at 07:48; "));
    let later = after_due(2.0 * HOUR);
    assert_eq!(later.missed_runs.len(), 3);
    assert!(sentence(&later).contains(": not started for 3 runs, due at 06:00; "), "{later:?}");
}

#[test]
fn open_run_is_running_until_max_runtime() {
    for outcome in ["", "success"] {
        // The outcome is that of the previous run.
        let running = job(&[("start", 60.0), ("completion", 90.0)], outcome, &DAILY);
        assert_eq!((running.state, running.duration()), (State::Running, Some(60.0)));
        assert_eq!(sentence(&running), "running for 1m");
    }
    assert_eq!(job(&[("start", 60.0)], "", &[]).state, State::Running);
    let vanished = job(&[("start", 4_000.0), ("completion", 9_000.0)], "", &DAILY);
    assert_eq!((vanished.state, vanished.since), (State::Vanished, Some(NOW - 400.0)));
    assert_eq!(
        sentence(&vanished),
        "vanished since 07:53: started 1h6m ago and has not ended, allowed 1h; check whether its process hangs or was \
         killed"
    );
}

#[test]
fn open_run_without_max_runtime_vanishes_within_a_day() {
    for (deadline, limit) in [(None, 24.0), (Some(2.0), 2.0), (Some(62.0 * 24.0), 24.0)] {
        let values: Vec<_> =
            deadline.map(|hours| ("success_deadline_seconds", hours * HOUR)).into_iter().collect();
        let after = |hours: f64| job(&[("start", hours * HOUR)], "", &values);
        assert_eq!(after(limit - 0.1).state, State::Running, "{deadline:?}");
        let vanished = after(limit + 0.1);
        assert_eq!(vanished.state, State::Vanished, "{deadline:?}");
        assert!(sentence(&vanished).ends_with("or was killed, or set max_runtime"), "{vanished:?}");
    }
}

#[test]
fn open_run_after_failure_needs_attention() {
    let ages = [&[("start", 60.0)][..], &FAILED].concat();
    for (outcome, how) in [("", ""), ("error", " (error)"), ("signal", " (signal 15, TERM)")] {
        let values = [&[("last_run_signal", 15.0)][..], &FAILING].concat();
        let retrying = job(&ages, outcome, &values);
        assert_eq!((retrying.state, retrying.duration()), (State::Failing, Some(60.0)));
        assert_eq!(
            sentence(&retrying),
            format!(
                "running for 1m (failing before); failing since 07:00{how}; last success 2d2h ago, allowed 2d"
            )
        );
    }
    assert_eq!(job(&ages, "", &[("last_run_success", 1.0)]).state, State::Running);
}

#[test]
fn failures_below_the_threshold_are_flapping() {
    let with = |failures: f64| {
        let ages = [("start", 70.0), ("completion", 60.0), ("failure", 60.0), ("success", 500.0)];
        let values = [
            ("last_run_success", 0.0),
            ("consecutive_failures", failures),
            ("failure_threshold", 3.0),
        ];
        job(&ages, "error", &values)
    };
    assert_eq!((with(2.0).state, with(2.0).needs_attention()), (State::Flapping, false));
    assert_eq!(
        sentence(&with(2.0)),
        "flapping: the last run failed (error); it alerts after 3 in a row"
    );
    let failing = with(3.0);
    assert_eq!((failing.state, failing.state_text().as_str()), (State::Failing, "failing 3x"));
    assert!(sentence(&failing).starts_with("failing for 3 runs since 07:59 (error)"));
}

#[test]
fn five_failures_of_twenty_are_flapping() {
    let state = |failures: usize| {
        let mut outcomes = vec!["error"; failures];
        outcomes.resize(19, "success");
        with_runs(group(&[], "", &[]), hourly(&[&outcomes[..], &["success"]].concat())).state
    };
    assert_eq!((state(4), state(5)), (State::Success, State::Flapping));
}

#[test]
fn job_without_a_success_needs_attention_after_its_deadline() {
    let values = [("success_deadline_seconds", 3.5 * HOUR), ("failure_threshold", 9.0)];
    let after = |runs: usize| {
        let runs = hourly(&vec!["error"; runs]);
        with_runs(group(&[], "", &values), runs)
    };
    assert_eq!(after(3).state, State::Flapping);
    let never = after(4);
    assert_eq!((never.state, never.since), (State::NoSuccess, Some(NOW - 4.0 * HOUR)));
    assert_eq!(sentence(&never), "no success in 4 runs since 04:00 (error), allowed 3h30m");
    assert_eq!(
        never.current_failure().and_then(|run| run.reason.as_deref()),
        Some("failure 1h ago")
    );
}

#[test]
fn remedy_about_the_scheduler_needs_an_old_successful_run() {
    let is_about_scheduler = |ages: &[(&str, f64)], outcome: &str, values: &[(&str, f64)]| {
        let text = sentence(&job(ages, outcome, values));
        assert!(!text.is_empty(), "{ages:?}");
        text.contains("its scheduler")
    };
    let started = |age: f64| [&[("start", age)][..], &FAILED].concat();
    // The last run failed, however long ago.
    assert!(!is_about_scheduler(&started(3_700.0), "error", &FAILING));
    let old = [("start", 300_000.0), ("completion", 290_000.0), ("success", 400_000.0)];
    assert!(!is_about_scheduler(&old, "error", &FAILING));
    // A run is active, after a failure or late.
    assert!(!is_about_scheduler(&started(60.0), "", &FAILING));
    assert!(!is_about_scheduler(&[("start", 60.0), ("success", 180_000.0)], "", &DAILY));
    // A run hangs or was killed.
    assert!(!is_about_scheduler(&[("start", 7_200.0), ("success", 180_000.0)], "", &DAILY));
    // The runs start and are skipped.
    let skipped = |age: f64| [("start", age), ("completion", age), ("success", 400_000.0)];
    assert!(!is_about_scheduler(&skipped(60.0), "skipped", &DAILY));
    assert!(is_about_scheduler(&skipped(300_000.0), "skipped", &DAILY));
    let succeeded = [("start", 180_010.0), ("completion", 180_000.0), ("success", 180_000.0)];
    assert!(is_about_scheduler(&succeeded, "success", &DAILY));
}

#[test]
fn failures_below_the_threshold_explain_an_old_success() {
    let overdue = |start: f64, deadline: f64| {
        let ages = [
            ("start", start),
            ("completion", HOUR - 10.0),
            ("failure", HOUR - 10.0),
            ("success", 5.0 * HOUR - 10.0),
        ];
        let values = [
            ("success_deadline_seconds", deadline),
            ("last_run_success", 0.0),
            ("consecutive_failures", 4.0),
            ("failure_threshold", 5.0),
        ];
        let runs = hourly(&["success", "error", "error", "error", "error"]);
        let job = with_runs(group(&ages, "error", &values), runs);
        assert_eq!(job.state, State::Overdue);
        let reason = job.current_failure().and_then(|run| run.reason.clone());
        (sentence(&job), reason.unwrap_or_default())
    };
    let reason = "failure 1h ago".to_owned();
    let failed = "overdue since 05:00: the last run failed 59m ago (error); last success 4h59m ago, \
                  allowed 2h";
    assert_eq!(overdue(HOUR, 2.0 * HOUR), (failed.to_owned(), reason.clone()));
    let running = "overdue since 05:00: running for 1m; the last run failed 59m ago (error); \
                   last success 4h59m ago, allowed 2h";
    assert_eq!(overdue(60.0, 2.0 * HOUR), (running.to_owned(), reason));
    // No run has started within the deadline.
    let (stopped, reason) = overdue(HOUR, 0.5 * HOUR);
    assert!(stopped.contains("its scheduler") && reason.is_empty(), "{stopped} {reason}");
}

#[test]
fn progress_of_earlier_run_is_ignored() {
    let at = |age: f64| {
        let pushed_at = ("pushed_at_timestamp_seconds", NOW - age);
        job(&[("start", 60.0)], "", &[("progress_ratio", 0.456), pushed_at]).state_text()
    };
    assert_eq!((at(60.0).as_str(), at(30.0).as_str()), ("running", "running 45%"));
}

#[test]
fn skipped_run_is_neither_failure_nor_success() {
    let ages = [("start", 70.0), ("completion", 60.0)];
    assert_eq!(job(&ages, "skipped", &DAILY).state, State::Skipped);
    let ages = [("start", 70.0), ("completion", 60.0), ("success", 200_000.0)];
    assert_eq!(job(&ages, "skipped", &DAILY).state, State::Overdue);
}

#[test]
fn failure_before_a_skipped_run_is_not_called_the_last_run() {
    let values = [("last_run_success", 0.0), ("failure_threshold", 3.0)];
    let ages = [("start", 70.0), ("completion", 60.0), ("failure", HOUR), ("success", 2.0 * HOUR)];
    let skipped = sentence(&job(&ages, "skipped", &values));
    assert_eq!(skipped, "flapping: the last unskipped run failed; it alerts after 3 in a row");
    let running = [&[("start", 30.0)], &ages[1..]].concat();
    let before = "running for 30s; the last unskipped run failed 1h ago";
    assert_eq!(sentence(&job(&running, "skipped", &values)), before);
    // The last run failed after a skipped run.
    let after = "running for 30s; the last run failed 1h ago (error)";
    assert_eq!(sentence(&job(&running, "error", &values)), after);
}

#[test]
fn success_in_the_future_needs_attention() {
    let ages = [("start", -7_210.0), ("completion", -7_200.0), ("success", -7_200.0)];
    let job = job(&ages, "success", &DAILY);
    assert!(job.needs_attention());
    assert!(job.warnings()[0].contains("2h ahead of the local clock"), "{job:?}");
}

#[test]
fn group_without_runs_needs_no_attention() {
    let mut group = group(&[], "", &[]);
    group.families.clear();
    let job = with_runs(group, Vec::new());
    assert_eq!((job.state, job.needs_attention(), job.sentence()), (State::NoRuns, false, None));
}

#[test]
fn rejected_push_needs_attention() {
    let mut refused = group(&[("start", 70.0), ("completion", 60.0)], "success", &[]);
    refused.is_refused = true;
    let job = with_runs(refused, Vec::new());
    assert_eq!((job.state, job.needs_attention()), (State::Refused, true));
    let text = "the gateway rejected the last push; read the reason in the job's stderr";
    assert_eq!(sentence(&job), text);
    // A more urgent state has its own sentence.
    let mut failing = group(&[("start", 70.0), ("completion", 60.0)], "error", &[]);
    failing.is_refused = true;
    let job = with_runs(failing, Vec::new());
    assert_eq!((job.state, job.warnings()), (State::Failing, vec![text.to_owned()]));
}

#[test]
fn strip_shows_open_and_missed_runs() {
    let strip = |group: Group| with_runs(group, hourly(&["success", "error"])).strip();
    let ended = [RunMark::Success, RunMark::Failure];
    assert_eq!(strip(group(&[], "", &[])), ended);
    let open = strip(group(&[("start", 60.0)], "", &DAILY));
    assert_eq!(open, [&ended[..], &[RunMark::Running]].concat());
    let vanished = strip(group(&[("start", 2_000.0)], "", &[("max_runtime_seconds", 60.0)]));
    assert_eq!(vanished, [&ended[..], &[RunMark::NoEnd]].concat());
    let missed = strip(group(&[], "", &[("next_run_timestamp_seconds", NOW - 60.0)]));
    assert_eq!(missed, [&ended[..], &[RunMark::NotStarted]].concat());
    assert!(with_runs(group(&[("start", 60.0)], "", &[]), Vec::new()).strip().is_empty());
}

#[test]
fn page_has_the_reverse_order_of_the_terminal() {
    let overview = morning::overview();
    let mut jobs: Vec<&Job> = overview.jobs.iter().collect();
    let names =
        |jobs: &[&Job]| -> Vec<String> { jobs.iter().map(|it| it.words().join(" ")).collect() };
    let terminal = names(&jobs);
    sort_for_page(&mut jobs);
    let page = names(&jobs);
    let attention: Vec<_> = terminal[14..].iter().rev().cloned().collect();
    assert_eq!(page[..4], attention);
    assert_eq!(page[4..6], ["inventory_sync tenant=north", "warehouse_load"]);
    assert_eq!(page[6..], terminal[..12]);
}

#[test]
fn moment_has_weekday_or_date_if_it_is_far() {
    let clock = morning::clock();
    let day = 86_400.0;
    let at = |offset: f64| clock.moment(clock.now() + offset);
    assert_eq!(at(-60.0), "06:41");
    assert_eq!(at(day), "Fri 06:42");
    assert_eq!(at(-6.0 * day), "Fri 06:42");
    assert_eq!(at(-7.0 * day), "19 Nov");
    assert_eq!(at(60.0 * day), "25 Jan 2027");
    assert_eq!(at(f64::NAN), "an unknown time");
    assert_eq!((clock.zone().as_str(), clock.offset().as_str()), ("Europe/Berlin", "UTC+1"));
}
