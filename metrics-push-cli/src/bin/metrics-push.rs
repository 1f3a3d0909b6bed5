//! The program `metrics-push`.

use std::process::ExitCode;

fn main() -> ExitCode {
    metrics_push_cli::run()
}
