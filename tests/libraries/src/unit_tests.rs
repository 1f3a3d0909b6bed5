//! `TestRun`: the results of the tests of a library.

use std::process::Command;

use crate::compilation::TestProgram;
use crate::library::Library;

/// The lines `test NAME ... RESULT`. Two test programs may contain tests with the same name.
pub(crate) struct TestRun {
    results: Vec<String>,
}

impl TestRun {
    /// Runs the unit tests and the integration tests of the library.
    pub(crate) fn run(library: &Library, programs: &[TestProgram]) -> Result<Self, String> {
        let mut results = Vec::new();
        let manifest = library.manifest();
        for program in programs.iter().filter(|program| program.manifest == manifest) {
            let output = Command::new(&program.path)
                .current_dir(&library.folder)
                .env("CARGO_MANIFEST_DIR", &library.folder)
                .output()
                .map_err(|error| format!("{}: {error}", program.path.display()))?;
            let text = String::from_utf8_lossy(&output.stdout);
            results.extend(text.lines().filter(|line| is_result(line)).map(str::to_owned));
        }
        Ok(Self { results })
    }

    /// Returns the number of tests that have passed.
    pub(crate) fn passed(&self) -> usize {
        self.results.iter().filter(|result| result.ends_with(" ok")).count()
    }

    /// Returns the number of tests that have failed.
    pub(crate) fn failed(&self) -> usize {
        self.results.iter().filter(|result| result.ends_with(" FAILED")).count()
    }

    /// Returns the results that the other run does not contain.
    pub(crate) fn difference(&self, other: &Self) -> Vec<String> {
        let mut others = other.results.clone();
        let mut is_missing = |result: &&String| {
            let position = others.iter().position(|other| other == *result);
            position.map(|position| others.swap_remove(position)).is_none()
        };
        self.results.iter().filter(&mut is_missing).cloned().collect()
    }
}

fn is_result(line: &str) -> bool {
    line.starts_with("test ") && line.contains(" ... ")
}
