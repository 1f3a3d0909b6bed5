//! `Answer`: the reports of one gateway. `Verdict`: the result for all gateways, which is the exit status.

use std::process::ExitCode;

use super::report::Report;
use crate::failure::{FAILED, USAGE};

/// The reports of one gateway, or why it did not respond.
pub(super) struct Answer {
    pub(super) url: String,
    pub(super) reports: Result<Vec<Report>, metrics_push::Error>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Well,
    Wrong,
    Unknown,
}

impl Verdict {
    /// `Unknown` takes precedence over `Wrong`.
    pub(super) fn new(answers: &[Answer]) -> Self {
        let mut judged = 0;
        let mut is_wrong = false;
        for answer in answers {
            let Ok(reports) = &answer.reports else { return Self::Unknown };
            judged += reports.iter().filter(|report| report.has_runs()).count();
            is_wrong |= reports.iter().any(|report| !report.is_well());
        }
        match (is_wrong, judged) {
            (true, _) => Self::Wrong,
            (false, 0) => Self::Unknown,
            (false, _) => Self::Well,
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Wrong => "wrong",
            Self::Unknown => "unknown",
        }
    }

    pub(super) fn exit_code(self) -> ExitCode {
        match self {
            Self::Well => ExitCode::SUCCESS,
            Self::Wrong => ExitCode::from(FAILED),
            Self::Unknown => ExitCode::from(USAGE),
        }
    }
}
