//! `Verdict`: the result for all jobs, which is the exit status.

use std::process::ExitCode;

use crate::failure::{FAILED, USAGE};
use crate::jobs::{GatewayStatus, Overview, State};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Well,
    Wrong,
    Unknown,
}

impl Verdict {
    /// A job that needs attention takes precedence over a gateway that does not respond.
    pub(super) fn new(overview: &Overview) -> Self {
        let is_complete = overview.delivery.gateways.iter().all(GatewayStatus::is_up);
        let has_runs = overview.jobs.iter().any(|job| job.state != State::NoRuns);
        match overview.attention_count() {
            1.. => Self::Wrong,
            0 if is_complete && has_runs => Self::Well,
            0 => Self::Unknown,
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
