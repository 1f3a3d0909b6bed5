//! Puts an attribute above each function of published libraries, compiles them, and reports the functions that do
//! not compile.
//!
//! ```text
//! cargo run -- [--attribute ATTRIBUTE].. [--dependency LIBRARY].. [--test] LIBRARY..
//! ```
//!
//! `LIBRARY` is `NAME[@VERSION][+FEATURE,..]`.
//!
//! `cargo run -- --attribute ::metrics_push::timed --test bytes itertools@0.14` annotates both libraries with `#[timed]`
//! and runs their tests. A test whose result differs from the result without the attribute is listed.
//!
//! `cargo run -- --attribute '::tracing::instrument(skip_all)' --dependency tracing@0.1 nom` does the same with the
//! attribute of another library.
//!
//! The libraries of one command are one workspace, so each name can be given once. The errors of a library include
//! those that it has without the attribute, for example because a feature is missing.

mod annotate;
mod compilation;
mod library;
mod trial;
mod unit_tests;
mod workspace;

use std::path::Path;
use std::process::ExitCode;

use crate::library::{Library, Specification};
use crate::trial::{Report, Trial};
use crate::workspace::{Tests, Workspace};

struct Options {
    attributes: Vec<String>,
    dependencies: Vec<Specification>,
    tests: Tests,
    libraries: Vec<Specification>,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            attributes: Vec::new(),
            dependencies: Vec::new(),
            tests: Tests::Ignored,
            libraries: Vec::new(),
        };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                "--attribute" => options.attributes.push(value()?),
                "--dependency" => options.dependencies.push(Specification::parse(&value()?)),
                "--test" => options.tests = Tests::Run,
                _ => options.libraries.push(Specification::parse(&argument)),
            }
        }
        if options.libraries.is_empty() {
            return Err(
                "no library is given; use: [--attribute ATTRIBUTE].. [--dependency LIBRARY].. [--test] LIBRARY.."
                    .to_owned(),
            );
        }
        if options.attributes.is_empty() {
            options.attributes.push("::metrics_push::counted".to_owned());
        }
        Ok(options)
    }
}

fn main() -> ExitCode {
    match Options::parse(std::env::args().skip(1)).and_then(|options| run(&options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints a row for each library and attribute. Returns whether all functions compile and all tests have the same
/// results.
fn run(options: &Options) -> Result<bool, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/libraries");
    let workspace =
        Workspace::create(&folder, &options.libraries, &options.dependencies, options.tests)?;
    let trial = Trial::prepare(workspace)?;
    println!(
        "| library | edition | attribute | functions | compile | fail | tests passed, failed | without the attribute |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    let mut is_success = true;
    for attribute in &options.attributes {
        for report in trial.run(attribute).map_err(|error| format!("#[{attribute}]: {error}"))? {
            is_success &= print(attribute, &report);
        }
    }
    Ok(is_success)
}

/// Returns whether all functions compile and all tests have the same results.
fn print(attribute: &str, report: &Report) -> bool {
    let Report { library, functions, failures, other_error, tests } = report;
    let Library { name, version, edition, .. } = library;
    let failed = failures.len();
    let compiled = functions - failed;
    let (columns, differences) = match tests {
        Some((bare, annotated)) => (
            format!(
                "{}, {} | {}, {}",
                annotated.passed(),
                annotated.failed(),
                bare.passed(),
                bare.failed()
            ),
            bare.difference(annotated),
        ),
        None => (" | ".to_owned(), Vec::new()),
    };
    println!(
        "| {name} {version} | {edition} | `{attribute}` | {functions} | {compiled} | {failed} | {columns} |"
    );
    for failure in failures {
        println!("    {failure}");
    }
    if let Some(error) = other_error {
        println!("    error outside of the annotated functions: {error}");
    }
    for difference in &differences {
        println!("    without the attribute: {difference}");
    }
    failures.is_empty() && other_error.is_none() && differences.is_empty()
}
