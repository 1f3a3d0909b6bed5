//! `metrics-push status`: what the gateways hold of each job, judged, and shown to a person or a script.

mod json;
mod report;
mod table;

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use metrics_push::Gateway;

use crate::arguments::Status;
use crate::ending::{FAILED, Failure, MISUSED};
use crate::session;
use crate::terminal::{self, Terminal};
use report::Report;

/// What one gateway answered.
struct Answer {
    url: String,
    reports: Result<Vec<Report>, metrics_push::Error>,
}

pub(crate) fn run(arguments: &Status) -> Result<ExitCode, Failure> {
    let config = session::config(&arguments.gateways)?;
    let gateways = session::gateways(&config)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let answers: Vec<Answer> =
        gateways.iter().map(|gateway| ask(gateway, arguments.job.as_deref(), now)).collect();
    let text = if arguments.json {
        json::text(&answers)
    } else {
        table::text(&answers, arguments.job.as_deref(), Terminal::new(arguments.color))
    };
    terminal::print(&text)?;
    for error in answers.iter().filter_map(|answer| answer.reports.as_ref().err()) {
        Failure::from(error.clone()).tell();
    }
    Ok(ExitCode::from(verdict(&answers)))
}

fn ask(gateway: &Gateway, job: Option<&str>, now: f64) -> Answer {
    let reports = gateway.metrics().map(|groups| {
        let is_wanted =
            |label: Option<&String>| job.is_none_or(|job| label.is_some_and(|l| l == job));
        let groups = groups.iter().filter(|group| is_wanted(group.labels.get("job")));
        let mut reports: Vec<_> = groups.map(|group| Report::of(group, now)).collect();
        reports.sort_by_cached_key(Report::urgency);
        reports
    });
    Answer { url: gateway.url(), reports }
}

/// The exit status: what can't be told weighs more than what is wrong.
fn verdict(answers: &[Answer]) -> u8 {
    let mut judged = 0;
    let mut is_wrong = false;
    for answer in answers {
        let Ok(reports) = &answer.reports else { return MISUSED };
        judged += reports.iter().filter(|report| report.is_job()).count();
        is_wrong |= reports.iter().any(|report| !report.is_well());
    }
    match (is_wrong, judged) {
        (true, _) => FAILED,
        (false, 0) => MISUSED,
        (false, _) => 0,
    }
}
