//! The table of groups that `metrics-push status` prints. The examples do not depend on the command.

use std::time::{SystemTime, UNIX_EPOCH};

use metrics_push::{StoredGroup, StoredValue};

const COLUMNS: usize = 7;
const HEADINGS: [&str; COLUMNS] =
    ["STATE", "JOB", "LAST RUN", "LAST SUCCESS", "NEXT", "TOOK", "RECORDS"];
/// Columns before this one contain text and are aligned to the left; the others contain numbers.
const FIRST_NUMBER: usize = 2;

pub(super) fn print(groups: &[StoredGroup]) {
    let mut rows = vec![HEADINGS.map(str::to_owned)];
    rows.extend(groups.iter().map(cells));
    let is_used = |column: &usize| rows[1..].iter().any(|row| row[*column] != "-");
    let used: Vec<usize> = (0..COLUMNS).filter(is_used).collect();
    for row in &rows {
        let cells = used.iter().map(|&column| {
            let width = rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
            match column {
                ..FIRST_NUMBER => format!("{:<width$}", row[column]),
                _ => format!("{:>width$}", row[column]),
            }
        });
        println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}

fn cells(group: &StoredGroup) -> [String; COLUMNS] {
    let value = |name: &str| group.value(&format!("batch_job_{name}"), &[]);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let age = |instant: f64| format!("{:.0}s", (now - instant).floor());
    let records = group.value("batch_job_last_run_records", &[("result", "processed")]);
    [
        state(group),
        name(group),
        value("last_start_timestamp_seconds").map_or("-".to_owned(), age),
        value("last_success_timestamp_seconds").map_or("never".to_owned(), age),
        value("next_run_timestamp_seconds").map_or("-".to_owned(), |next| wait(next - now)),
        value("last_run_duration_seconds").map_or("-".to_owned(), duration),
        records.map_or("-".to_owned(), number),
    ]
}

fn state(group: &StoredGroup) -> String {
    let states = group.families.get("batch_job_last_run_outcome");
    let mut states = states.iter().flat_map(|family| &family.metrics);
    let last = states.find(|state| state.value == StoredValue::Single(1.0));
    match last.map(|state| state.labels["outcome"].as_str()) {
        None => "running",
        Some(outcome @ ("success" | "skipped")) => outcome,
        Some(_) => "failing",
    }
    .to_owned()
}

/// The job and the other grouping labels.
fn name(group: &StoredGroup) -> String {
    let others = group.labels.iter().filter(|(label, _)| *label != "job");
    others
        .fold(group.labels["job"].clone(), |name, (label, value)| format!("{name} {label}={value}"))
}

/// Formats the time until the next run of a job that runs less than once an hour.
fn wait(seconds: f64) -> String {
    format!("in {:.0}h{:.0}m", (seconds / 3_600.0).floor(), (seconds / 60.0).floor() % 60.0)
}

/// Formats a duration in its largest unit.
fn duration(seconds: f64) -> String {
    let (size, unit) = match seconds {
        ..1.0 => (1e-3, "ms"),
        ..60.0 => (1.0, "s"),
        ..3_600.0 => (60.0, "m"),
        ..86_400.0 => (3_600.0, "h"),
        _ => (86_400.0, "d"),
    };
    format!("{:.0}{unit}", (seconds / size).floor())
}

/// Formats a number below a million with a comma between its thousands.
fn number(value: f64) -> String {
    let digits = value.to_string();
    match digits.len() {
        4..=6 => {
            let (thousands, rest) = digits.split_at(digits.len() - 3);
            format!("{thousands},{rest}")
        }
        _ => digits,
    }
}
