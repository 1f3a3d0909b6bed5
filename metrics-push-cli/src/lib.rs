//! The command `metrics-push`: inspects and maintains the metrics that batch jobs have pushed.
//!
//! It uses the public API of the library `metrics-push` and reads the same environment variables. `cli.rs` lists the
//! subcommands; each has its own file. A program that shows the state of its jobs itself uses [`StatusReport`].

#![expect(clippy::doc_markdown, reason = "doc comments of arguments are help texts for terminals")]

mod cli;
mod completions;
mod context;
mod dashboard;
mod delete;
mod exec;
mod failure;
#[cfg(test)]
mod golden;
mod help;
mod history;
mod humanize;
mod jobs;
mod json;
mod layout;
mod local_history;
mod man;
mod marks;
mod page;
mod promql;
mod prune;
mod push;
mod query_api;
mod recover;
#[cfg(feature = "kafka")]
mod relay;
#[cfg(not(feature = "kafka"))]
#[path = "relay_disabled.rs"]
mod relay;
mod removal;
mod rules;
mod samples;
mod serve;
mod source;
mod spool;
mod status;
mod status_report;
mod stop_signal;
mod storage;
mod terminal;
mod wipe;

use std::process::ExitCode;

pub use status_report::StatusReport;

/// Runs the subcommand that the arguments of the process select, and prints why it failed. Invalid arguments end the process.
pub fn run() -> ExitCode {
    cli::run().unwrap_or_else(|failure| {
        failure.print();
        failure.exit_code()
    })
}
