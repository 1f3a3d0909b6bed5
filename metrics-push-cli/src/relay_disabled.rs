//! Replaces `relay.rs` in builds without the feature `kafka`.

use std::process::ExitCode;

use clap::Args;

use crate::failure::Failure;

/// Delivers the requests of jobs from a topic of Kafka to other sinks. Needs the feature kafka.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[arg(hide = true, allow_hyphen_values = true, trailing_var_arg = true)]
    arguments: Vec<String>,
}

pub(crate) fn run(_arguments: &Arguments) -> Result<ExitCode, Failure> {
    Err(Failure::usage(
        "relay is not supported by this build; install the command with its feature \"kafka\"",
    ))
}
