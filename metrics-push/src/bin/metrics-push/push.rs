//! `metrics-push push`: metrics in the text format, checked and sent.

use std::io::{IsTerminal as _, Read as _};
use std::path::Path;
use std::process::ExitCode;

use metrics_push::{Error, Exposition};

use crate::arguments::Push;
use crate::ending::Failure;
use crate::session;

pub(crate) fn run(arguments: &Push) -> Result<ExitCode, Failure> {
    let mut config = session::config(&arguments.gateways)?;
    if arguments.dry_run {
        config = config.dry_run();
    }
    let key = session::key(&config, &arguments.group)?;
    let source = arguments.file.as_deref().filter(|file| *file != Path::new("-"));
    let exposition: Exposition = read(source)?
        .parse()
        .map_err(|mistake: Error| Failure::misused(format!("{}: {mistake}", place(source))))?;
    if config.is_disabled() {
        // Switching metrics off must not fail a script.
        eprintln!("metrics-push: Nothing is pushed, since METRICS_PUSH_DISABLED is set.");
        return Ok(ExitCode::SUCCESS);
    }
    session::each(&session::gateways(&config)?, |gateway| {
        if arguments.add {
            gateway.add(&key, &exposition)
        } else {
            gateway.push(&key, &exposition)
        }?;
        Ok(())
    })?;
    Ok(ExitCode::SUCCESS)
}

fn read(source: Option<&Path>) -> Result<String, Failure> {
    let text = match source {
        Some(file) => std::fs::read_to_string(file),
        None => {
            let mut stdin = std::io::stdin();
            if stdin.is_terminal() {
                eprintln!("metrics-push: Type metrics, one a line, and end with Ctrl-D.");
            }
            let mut text = String::new();
            stdin.read_to_string(&mut text).map(|_| text)
        }
    };
    text.map_err(|error| Failure::misused(format!("{} can't be read: {error}", place(source))))
}

/// Where metrics come from, as the subject of a sentence.
fn place(source: Option<&Path>) -> String {
    source.map_or("standard input".into(), |file| format!("the file {}", file.display()))
}
