//! `Trial`: libraries whose functions are annotated, with one attribute after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::annotate::{self, Function};
use crate::compilation::{Compilation, Error};
use crate::library::Library;
use crate::unit_tests::TestRun;
use crate::workspace::{Tests, Workspace};

/// Maximum number of compilations for one attribute. Each one removes the attribute of the functions that failed,
/// because an error of the type checker hides those of the borrow checker.
const MAX_ROUNDS: usize = 12;

pub(crate) struct Trial {
    workspace: Workspace,
    functions: Vec<Function>,
    originals: BTreeMap<PathBuf, String>,
    /// The tests of each library without an attribute, if they run.
    bare_tests: Vec<TestRun>,
}

/// The result of one library with one attribute.
pub(crate) struct Report<'a> {
    pub(crate) library: &'a Library,
    pub(crate) functions: usize,
    /// The first error of each function that does not compile.
    pub(crate) failures: Vec<String>,
    /// An error outside of the annotated functions.
    pub(crate) other_error: Option<String>,
    /// The tests without the attribute and with it.
    pub(crate) tests: Option<(&'a TestRun, TestRun)>,
}

impl Trial {
    /// Runs the tests of the libraries without an attribute, and removes the libraries that do not compile then.
    pub(crate) fn prepare(mut workspace: Workspace) -> Result<Self, String> {
        let mut originals = BTreeMap::new();
        for library in &workspace.libraries {
            originals.extend(annotate::originals(library)?);
        }
        let mut bare_tests = Vec::new();
        if workspace.tests == Tests::Run {
            annotate::write_sources(&[], &originals, "", &BTreeSet::new())?;
            let compilation = workspace.compile()?;
            workspace.libraries.retain(|library| {
                let error = compilation.error_in(library).map(Error::describe);
                error.is_none_or(|error| {
                    eprintln!("{} does not compile without an attribute: {error}", library.name);
                    false
                })
            });
            bare_tests = run_tests(&workspace, &compilation)?;
        }
        let mut functions = Vec::new();
        for library in &workspace.libraries {
            functions.extend(annotate::functions(library)?);
        }
        Ok(Self { workspace, functions, originals, bare_tests })
    }

    /// Annotates the libraries and compiles them until no further function fails, then runs their tests.
    pub(crate) fn run(&self, attribute: &str) -> Result<Vec<Report<'_>>, String> {
        let mut failures = BTreeMap::new();
        for _ in 0..MAX_ROUNDS {
            let excluded: BTreeSet<usize> = failures.keys().copied().collect();
            annotate::write_sources(&self.functions, &self.originals, attribute, &excluded)?;
            let compilation = self.workspace.compile()?;
            self.add_failures(&compilation.errors, &mut failures);
            if failures.len() == excluded.len() {
                return self.report(&failures, &compilation);
            }
        }
        Err(format!("still failing after {MAX_ROUNDS} rounds"))
    }

    fn add_failures(&self, errors: &[Error], failures: &mut BTreeMap<usize, String>) {
        for error in errors {
            if let Some(function) = error.function(&self.functions) {
                failures.entry(function).or_insert_with(|| error.describe());
            }
        }
    }

    fn report(
        &self,
        failures: &BTreeMap<usize, String>,
        compilation: &Compilation,
    ) -> Result<Vec<Report<'_>>, String> {
        let mut tests = run_tests(&self.workspace, compilation)?.into_iter();
        let mut bare_tests = self.bare_tests.iter();
        let libraries = self.workspace.libraries.iter();
        let reports = libraries.map(|library| {
            let is_part = |function: &Function| function.file.starts_with(&library.folder);
            let failures = failures.iter().filter(|(index, _)| is_part(&self.functions[**index]));
            Report {
                library,
                functions: self.functions.iter().filter(|function| is_part(function)).count(),
                failures: failures.map(|(_, failure)| failure.clone()).collect(),
                other_error: compilation.error_in(library).map(Error::describe),
                tests: bare_tests.next().zip(tests.next()),
            }
        });
        Ok(reports.collect())
    }
}

fn run_tests(workspace: &Workspace, compilation: &Compilation) -> Result<Vec<TestRun>, String> {
    let run = |library| TestRun::run(library, &compilation.test_programs);
    workspace.libraries.iter().map(run).collect()
}
