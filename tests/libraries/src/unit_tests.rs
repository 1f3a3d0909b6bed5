//! `TestRun`: the results of the tests of a library.

use crate::library::Library;

/// The lines `test NAME ... RESULT`. Two test programs may contain tests with the same name.
pub(crate) struct TestRun {
    results: Vec<String>,
}

impl TestRun {
    /// Runs the unit tests and the integration tests of the library.
    pub(crate) fn run(library: &Library) -> Result<Self, String> {
        let output = library.cargo(&["test", "--tests", "--no-fail-fast"])?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !text.contains("test result: ") {
            let text = String::from_utf8_lossy(&output.stderr);
            let error = text.lines().find(|line| line.starts_with("error"));
            return Err(format!("no tests have run: {}", error.unwrap_or("no message")));
        }
        let results = text.lines().filter(|line| is_result(line)).map(str::to_owned).collect();
        Ok(Self { results })
    }

    /// Returns the number of tests that have passed.
    pub(crate) fn passed(&self) -> usize {
        self.results.iter().filter(|result| result.ends_with(" ok")).count()
    }

    /// Returns the number of tests that have not passed and are not ignored.
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
        self.results.iter().filter(|result| is_missing(result)).cloned().collect()
    }
}

fn is_result(line: &str) -> bool {
    line.starts_with("test ") && line.contains(" ... ")
}
