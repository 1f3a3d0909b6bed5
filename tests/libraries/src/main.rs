//! Puts an attribute above each function of published libraries, compiles them, and reports the functions that do
//! not compile.
//!
//! ```text
//! cargo run --release -- [--attribute ATTRIBUTE].. [--dependency NAME=VERSION].. [--test] LIBRARY[@VERSION][+FEATURE,..]..
//! ```
//!
//! `cargo run -- --attribute ::metrics_push::timed --test bytes itertools@0.14` annotates both libraries with `#[timed]`
//! and runs their tests. A test whose result differs from the result without the attribute is listed.
//!
//! `cargo run -- --attribute '::tracing::instrument(skip_all)' --dependency tracing=0.1 nom` does the same with the
//! attribute of another library.

mod annotate;
mod compile;
mod library;
mod subject;
mod unit_tests;

use std::process::ExitCode;

use crate::compile::Failure;
use crate::library::{Library, Tests};
use crate::subject::{Report, Subject, TestReport};

struct Options {
    attributes: Vec<String>,
    dependencies: Vec<(String, String)>,
    tests: Tests,
    libraries: Vec<String>,
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
                "--dependency" => {
                    let value = value()?;
                    let (name, version) = value.split_once('=').ok_or("write NAME=VERSION")?;
                    options.dependencies.push((name.to_owned(), version.to_owned()));
                }
                "--test" => options.tests = Tests::Run,
                _ => options.libraries.push(argument),
            }
        }
        if options.libraries.is_empty() {
            return Err("no library is given".to_owned());
        }
        if options.attributes.is_empty() {
            options.attributes.push("::metrics_push::counted".to_owned());
        }
        Ok(options)
    }
}

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!(
                "{error}; use: [--attribute ATTRIBUTE].. [--dependency NAME=VERSION].. [--test] LIBRARY[@VERSION][+FEATURE,..].."
            );
            return ExitCode::FAILURE;
        }
    };
    println!(
        "| library | edition | attribute | functions | compile | fail | tests passed, failed |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    let mut has_failed = false;
    for library in &options.libraries {
        has_failed |= check_library(library, &options).is_err();
    }
    if has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Prints a row for each attribute. Fails if a function does not compile or a test has another result.
fn check_library(specification: &str, options: &Options) -> Result<(), ()> {
    let print_error = |error| println!("| {specification} | | | | {error} | | |");
    let subject = Subject::prepare(specification, &options.dependencies, options.tests)
        .map_err(print_error)?;
    let mut result = Ok(());
    for attribute in &options.attributes {
        match subject.check(attribute) {
            Ok(report) => {
                print(&subject, attribute, &report);
                let differences = report.tests.map_or(0, |tests| tests.differences.len());
                if report.failures.len() + differences > 0 {
                    result = Err(());
                }
            }
            Err(error) => {
                print_error(format!("`#[{attribute}]`: {error}"));
                result = Err(());
            }
        }
    }
    result
}

fn print(subject: &Subject, attribute: &str, report: &Report) {
    let Library { name, version, edition, .. } = &subject.library;
    let functions = subject.functions.len();
    let failed = report.failures.len();
    let compiled = functions - failed;
    let tests = report.tests.as_ref().map(describe).unwrap_or_default();
    println!(
        "| {name} {version} | {edition} | `{attribute}` | {functions} | {compiled} | {failed} | {tests} |"
    );
    for Failure { file, line, message } in &report.failures {
        println!("    {}:{line}: {message}", file.display());
    }
    for difference in report.tests.iter().flat_map(|tests| &tests.differences) {
        println!("    differs from: {difference}");
    }
}

fn describe(tests: &TestReport) -> String {
    let TestReport { bare_passed, bare_failed, passed, failed, .. } = tests;
    format!("{passed}, {failed}; without the attribute: {bare_passed}, {bare_failed}")
}
