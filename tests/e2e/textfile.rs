//! The textfile sink with the real node exporter, which reads the files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use metrics_push::{Config, Job, Outcome};

use crate::child::{PanicStrategy, ending, job};
use crate::real::{NodeExporter, Prometheus, Pushgateway};
use crate::sinks::ENDINGS;
use crate::state_dir::StateDir;

const LAST_SUCCESS: &str = "batch_job_last_success_timestamp_seconds";
const LAST_FAILURE: &str = "batch_job_last_failure_timestamp_seconds";

type Series = BTreeMap<String, f64>;

fn url(exporter: &NodeExporter) -> String {
    format!("textfile://{}", exporter.directory().display())
}

/// Returns the outcomes of a job whose series is 1.
fn outcomes(series: &Series, job: &str) -> Vec<String> {
    let set = series.iter().filter(|(_, value)| **value > 0.5);
    let prefix = format!("batch_job_last_run_outcome{{job=\"{job}\",outcome=\"");
    set.filter_map(|(name, _)| Some(name.strip_prefix(&prefix)?.strip_suffix("\"}")?.to_owned()))
        .collect()
}

fn value(series: &Series, name: &str, job: &str) -> Option<f64> {
    series.get(&format!("{name}{{job=\"{job}\"}}")).copied()
}

/// Returns the only file that the exporter reads.
fn file(directory: &Path) -> std::path::PathBuf {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let is_read = |path: &std::path::PathBuf| path.extension().is_some_and(|it| it == "prom");
    let files: Vec<_> = entries.filter(is_read).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

#[track_caller]
fn assert_readable(exporter: &NodeExporter) {
    let series = exporter.series();
    assert_eq!(series.get("node_textfile_scrape_error"), Some(&0.0), "{series:?}");
}

#[test]
fn node_exporter_shows_every_ending() {
    let exporter = NodeExporter::start();
    for (arguments, outcome) in ENDINGS {
        let name = arguments.join("_");
        let state = StateDir::new();
        let command = ending(&name, &url(&exporter), arguments);
        let mut running = command.variable("METRICS_PUSH_STATE_DIR", state.path()).start();
        if arguments == ["wait"] {
            running = running.ready();
            running.signal("TERM");
        }
        let ended = running.wait();
        let series = exporter.series();
        assert_eq!(outcomes(&series, &name), [outcome], "{name}: {ended:?} {series:?}");
        let records = format!("batch_job_last_run_records{{job=\"{name}\",result=\"processed\"}}");
        // The supervisor of a process that dies has no records of it.
        let expected = (arguments[0] != "supervised").then_some(7.0);
        assert_eq!(series.get(&records).copied(), expected, "{name}: {series:?}");
        let has_success = value(&series, LAST_SUCCESS, &name).is_some();
        assert_eq!(has_success, outcome == "success", "{name}: {series:?}");
        assert!(state.journals().is_empty(), "{name}");
    }
    assert_readable(&exporter);
}

#[test]
fn success_and_failure_leave_each_other_s_time() {
    let exporter = NodeExporter::start();
    for (arguments, count) in [(["ok"], 1), (["err"], 2), (["ok"], 2)] {
        ending("both", &url(&exporter), &arguments).run_to_end();
        let series = exporter.series();
        let times = [LAST_SUCCESS, LAST_FAILURE].map(|name| value(&series, name, "both"));
        assert_eq!(times.iter().flatten().count(), count, "{arguments:?}: {series:?}");
    }
}

#[test]
fn killed_run_is_reported_as_abandoned_by_the_next_run() {
    let exporter = NodeExporter::start();
    let state = StateDir::new();
    let run = |arguments: &[&str]| {
        let command = ending("killed", &url(&exporter), arguments);
        command.variable("METRICS_PUSH_STATE_DIR", state.path())
    };
    run(&["kill"]).run_to_end();
    run(&["ok"]).run_to_end();
    let series = exporter.series();
    assert_eq!(outcomes(&series, "killed"), ["success"], "{series:?}");
    let abandoned = value(&series, "batch_job_last_abandoned_timestamp_seconds", "killed");
    assert!(abandoned.is_some(), "{series:?}");
    assert!(state.journals().is_empty());
}

#[test]
fn two_jobs_with_one_metric_are_both_shown() {
    let exporter = NodeExporter::start();
    for name in ["first", "second"] {
        ending(name, &url(&exporter), &["ok"]).run_to_end();
    }
    let series = exporter.series();
    for name in ["first", "second"] {
        assert_eq!(outcomes(&series, name), ["success"], "{series:?}");
        assert!(value(&series, "batch_job_last_run_success", name) == Some(1.0), "{series:?}");
    }
    assert_readable(&exporter);
}

#[test]
fn families_of_the_process_do_not_hide_those_of_the_exporter() {
    let exporter = NodeExporter::start();
    let _scope = Config::default().url(url(&exporter)).unwrap().scope().unwrap();
    let ended = Job::with_name("process").run(|run| {
        run.gauge("process_open_fds", "Files of the job.").unwrap().set(3.0);
        Ok::<_, &str>(())
    });
    assert_eq!((ended, metrics_push::flush(Duration::from_secs(60))), (Ok(()), 0));
    let text = fs::read_to_string(file(exporter.directory())).unwrap();
    assert!(!text.contains("process_open_fds"), "{text}");
    let series = exporter.series();
    assert_eq!(outcomes(&series, "process"), ["success"], "{series:?}");
    let with_job = |name: &&String| name.starts_with("process_") && name.contains("job=");
    assert_eq!(series.keys().find(with_job), None);
    assert!(series.contains_key("process_open_fds"), "{series:?}");
    assert_readable(&exporter);
}

#[test]
fn job_label_survives_a_scrape_without_honor_labels() {
    let exporter = NodeExporter::start();
    let configuration = format!(
        "scrape_configs:\n- job_name: node\n  scrape_interval: 200ms\n  scrape_timeout: 200ms\n  \
         static_configs:\n  - targets: ['{}']\n",
        exporter.address()
    );
    let prometheus = Prometheus::started(&configuration);
    ending("import", &format!("{}?job_label=batch_job", url(&exporter)), &["ok"]).run_to_end();
    let query = "batch_job_last_run_success{batch_job=\"import\",job=\"node\"} == 1";
    prometheus.wait_for(query, |series| series.len() == 1);
}

#[test]
fn hostile_labels_and_values_leave_the_file_readable() {
    let exporter = NodeExporter::start();
    let _scope = Config::default().url(url(&exporter)).unwrap().scope().unwrap();
    let values = ["new\nline", "quo\"te", "trailing\\", "a b,c=d{}", "é/b", &"x".repeat(255)];
    for (number, value) in values.iter().enumerate() {
        let job = Job::with_name(format!("job_{number}"));
        let run = job.start_with(&[("shard", value)]);
        let gauge = run.gauge("rows", "Rows \\ of\nthe run.").unwrap();
        gauge.set(f64::from(u8::try_from(number).unwrap()));
        run.finish(Outcome::Success);
    }
    metrics_push::flush(Duration::from_secs(60));
    assert_readable(&exporter);
    let series = exporter.series();
    let rows = series.iter().filter(|(name, _)| name.starts_with("rows{"));
    assert_eq!(rows.count(), values.len(), "{series:?}");
}

#[test]
fn exporter_never_reads_a_part_of_a_file() {
    let exporter = NodeExporter::start();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut scrapes = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                assert_readable(&exporter);
                scrapes += 1;
            }
            scrapes
        });
        for _ in 0..20 {
            ending("written", &url(&exporter), &["ok"]).run_to_end();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(reader.join().unwrap() > 0);
    });
}

#[test]
fn unusable_directory_is_reported_and_the_gateway_gets_the_outcome() {
    let gateway = Pushgateway::start();
    let urls = format!("textfile:///nonexistent/textfiles,{}", gateway.url());
    let ended = ending("unusable", &urls, &["ok"]).run_to_end();
    ended.assert_same_as(&job(PanicStrategy::Unwind, &["ok"]).run_to_end());
    let lines = ended.log_lines.join("\n");
    assert!(lines.contains("/nonexistent/textfiles") && lines.contains("is lost"), "{lines}");
    assert!(!lines.contains("METRICS_PUSH_STATE_DIR"), "{lines}");
    let stored = crate::lifecycle::stored(&gateway, "unusable");
    assert_eq!(crate::lifecycle::outcomes(&stored), ["success"]);
}

#[test]
fn file_of_a_group_is_replaced_and_its_time_is_shown() {
    let exporter = NodeExporter::start();
    ending("named", &url(&exporter), &["ok"]).run_to_end();
    let first = file(exporter.directory());
    // The exporter ignores temporary files.
    fs::write(first.with_extension("prom.1.tmp"), "torn").unwrap();
    ending("named", &url(&exporter), &["err"]).run_to_end();
    assert_eq!(file(exporter.directory()), first);
    let mtime = format!("node_textfile_mtime_seconds{{file=\"{}\"}}", first.display());
    assert!(exporter.series().contains_key(&mtime), "{:?}", exporter.series());
    assert_readable(&exporter);
}

#[test]
fn metric_with_another_help_hides_no_outcome() {
    let exporter = NodeExporter::start();
    let _scope = Config::default().url(url(&exporter)).unwrap().scope().unwrap();
    for (name, help) in [("first", "Rows."), ("second", "Other rows.")] {
        let run = Job::new(name).start();
        run.gauge("rows", help).unwrap().set(1.0);
        run.finish(Outcome::Success);
    }
    metrics_push::flush(Duration::from_secs(60));
    let series = exporter.series();
    for name in ["first", "second"] {
        assert_eq!(outcomes(&series, name), ["success"], "{series:?}");
    }
    assert_eq!(series.keys().filter(|name| name.starts_with("rows{")).count(), 1, "{series:?}");
}
