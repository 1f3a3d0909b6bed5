//! Puts an attribute above each function of published libraries, compiles them, and reports the functions that do
//! not compile.
//!
//! ```text
//! cargo run --release -- [--attribute ATTRIBUTE] [--dependency NAME=VERSION] [--test] LIBRARY[@VERSION][+FEATURE,..]..
//! ```
//!
//! `cargo run -- --attribute ::metrics_push::timed --test bytes itertools@0.14` annotates both libraries with `#[timed]`
//! and runs their unit tests.

mod annotate;
mod compile;
mod library;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::compile::{Failure, Outcome};
use crate::library::{Library, Tests};

/// Maximum number of compilations of one library. Each one removes the attribute of the functions that failed, because
/// an error of the type checker hides those of the borrow checker.
const MAX_ROUNDS: usize = 12;

struct Options {
    attribute: String,
    dependencies: Vec<(String, String)>,
    tests: Tests,
    libraries: Vec<String>,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            attribute: "::metrics_push::counted".to_owned(),
            dependencies: Vec::new(),
            tests: Tests::Ignored,
            libraries: Vec::new(),
        };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                "--attribute" => options.attribute = value()?,
                "--dependency" => {
                    let value = value()?;
                    let (name, version) = value.split_once('=').ok_or("write NAME=VERSION")?;
                    options.dependencies.push((name.to_owned(), version.to_owned()));
                }
                "--test" => options.tests = Tests::Run,
                _ => options.libraries.push(argument),
            }
        }
        Ok(options)
    }
}

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) if !options.libraries.is_empty() => options,
        Ok(_) => return usage("no library is given"),
        Err(error) => return usage(&error),
    };
    let mut has_failed = false;
    println!("| library | edition | functions | compile | fail | unit tests |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for name in &options.libraries {
        match check(name, &options) {
            Ok(report) => {
                has_failed |= !report.failures.is_empty();
                report.print();
            }
            Err(error) => {
                has_failed = true;
                println!("| {name} | | | | {error} | |");
            }
        }
    }
    if has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn usage(error: &str) -> ExitCode {
    eprintln!(
        "{error}; use: [--attribute ATTRIBUTE] [--dependency NAME=VERSION] [--test] LIBRARY[@VERSION][+FEATURE,..].."
    );
    ExitCode::FAILURE
}

/// The result of one library.
struct Report {
    library: Library,
    functions: usize,
    failures: Vec<Failure>,
    tests: Option<String>,
}

impl Report {
    fn print(&self) {
        let Library { name, version, edition, .. } = &self.library;
        let failed = self.failures.len();
        let tests = self.tests.as_deref().unwrap_or("");
        let compiled = self.functions - failed;
        println!(
            "| {name} {version} | {edition} | {} | {compiled} | {failed} | {tests} |",
            self.functions
        );
        for Failure { file, line, message } in &self.failures {
            println!("    {}:{line}: {message}", file.display());
        }
    }
}

/// Annotates the library and compiles it until no function fails.
fn check(specification: &str, options: &Options) -> Result<Report, String> {
    let library =
        Library::fetch(specification, &work_folder(), &options.dependencies, options.tests)?;
    if let Outcome::Failed { failures, .. } = compile::check(&library, &[])? {
        let first = failures.first().map(|failure| failure.message.as_str()).unwrap_or("no error");
        return Err(format!("does not compile without attributes: {first}"));
    }
    let functions = annotate::functions(&library)?;
    let originals = annotate::originals(&library)?;
    let mut excluded = BTreeSet::new();
    let mut failures: Vec<Failure> = Vec::new();
    for _ in 0..MAX_ROUNDS {
        annotate::write_sources(&functions, &originals, &options.attribute, &excluded)?;
        match compile::check(&library, &functions)? {
            Outcome::Compiled => {
                let runs = options.tests == Tests::Run;
                let tests = runs.then(|| compile::test(&library)).transpose()?;
                return Ok(Report { library, functions: functions.len(), failures, tests });
            }
            Outcome::Failed { functions: failed, failures: new } => {
                if failed.is_subset(&excluded) {
                    let message = new.first().map_or("no message", |failure| &failure.message);
                    return Err(format!("error outside of annotated functions: {message}"));
                }
                excluded.extend(failed);
                failures.extend(new);
            }
        }
    }
    Err(format!("still failing after {MAX_ROUNDS} rounds"))
}

fn work_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/libraries")
}
