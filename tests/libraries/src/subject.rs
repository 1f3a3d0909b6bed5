//! `Subject`: a library whose functions are annotated, one attribute after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::annotate::{self, Function};
use crate::compile::{self, Failure, Outcome};
use crate::library::{Library, Tests};
use crate::unit_tests::TestRun;

/// Maximum number of compilations of one library. Each one removes the attribute of the functions that failed, because
/// an error of the type checker hides those of the borrow checker.
const MAX_ROUNDS: usize = 12;

pub(crate) struct Subject {
    pub(crate) library: Library,
    pub(crate) functions: Vec<Function>,
    originals: BTreeMap<PathBuf, String>,
    /// The tests without an attribute.
    bare_tests: Option<TestRun>,
}

/// The result of one attribute.
pub(crate) struct Report {
    pub(crate) failures: Vec<Failure>,
    pub(crate) tests: Option<TestReport>,
}

/// The tests with an attribute, next to those without.
pub(crate) struct TestReport {
    pub(crate) bare_passed: usize,
    pub(crate) bare_failed: usize,
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    /// The results without an attribute that differ from those with it.
    pub(crate) differences: Vec<String>,
}

impl Subject {
    /// Fetches a library, and runs its tests if they are compared.
    pub(crate) fn prepare(
        specification: &str,
        dependencies: &[(String, String)],
        tests: Tests,
    ) -> Result<Self, String> {
        let library = Library::fetch(specification, &work_folder(), dependencies, tests)?;
        let functions = annotate::functions(&library)?;
        let originals = annotate::originals(&library)?;
        let bare_tests = (tests == Tests::Run).then(|| TestRun::run(&library)).transpose()?;
        Ok(Self { library, functions, originals, bare_tests })
    }

    /// Annotates the library and compiles it until no function fails, then runs its tests.
    pub(crate) fn check(&self, attribute: &str) -> Result<Report, String> {
        let failures = self.compile(attribute)?;
        let tests = self.bare_tests.as_ref().map(|bare| self.test(bare)).transpose()?;
        Ok(Report { failures, tests })
    }

    fn compile(&self, attribute: &str) -> Result<Vec<Failure>, String> {
        let mut excluded = BTreeSet::new();
        let mut failures: Vec<Failure> = Vec::new();
        for _ in 0..MAX_ROUNDS {
            annotate::write_sources(&self.functions, &self.originals, attribute, &excluded)?;
            match compile::check(&self.library, &self.functions)? {
                Outcome::Compiled => return Ok(failures),
                Outcome::Failed { functions, failures: new } => {
                    if functions.is_subset(&excluded) {
                        let message = new.first().map_or("no message", |failure| &failure.message);
                        return Err(format!("error outside of annotated functions: {message}"));
                    }
                    excluded.extend(functions);
                    failures.extend(new);
                }
            }
        }
        Err(format!("still failing after {MAX_ROUNDS} rounds"))
    }

    fn test(&self, bare: &TestRun) -> Result<TestReport, String> {
        let annotated = TestRun::run(&self.library)?;
        Ok(TestReport {
            bare_passed: bare.passed(),
            bare_failed: bare.failed(),
            passed: annotated.passed(),
            failed: annotated.failed(),
            differences: bare.difference(&annotated),
        })
    }
}

fn work_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/libraries")
}
