//! `Compilation`: the errors of the compiler, with their places, and the test programs.

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

use crate::annotate::Function;
use crate::library::Library;

pub(crate) struct Compilation {
    pub(crate) errors: Vec<Error>,
    pub(crate) test_programs: Vec<TestProgram>,
}

/// An error, and the places in the libraries that it names. The primary places come first. A place in a macro expansion
/// is followed by that of the macro call.
pub(crate) struct Error {
    pub(crate) message: String,
    places: Vec<(PathBuf, u64)>,
    /// The manifest of the package that does not compile.
    manifest: PathBuf,
}

/// A program with tests of a library.
pub(crate) struct TestProgram {
    pub(crate) manifest: PathBuf,
    pub(crate) path: PathBuf,
}

impl Compilation {
    /// Parses the messages of cargo. Fails if the compilation has failed without an error of the compiler.
    pub(crate) fn parse(output: &Output, folder: &Path) -> Result<Self, String> {
        let messages = String::from_utf8_lossy(&output.stdout);
        let messages: Vec<Value> =
            messages.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        let errors: Vec<Error> =
            messages.iter().filter_map(|message| Error::parse(message, folder)).collect();
        if errors.is_empty() && !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with(' ')).collect();
            return Err(lines.join(" "));
        }
        Ok(Self { errors, test_programs: messages.iter().filter_map(TestProgram::parse).collect() })
    }

    /// Returns the first error in the library or its tests.
    pub(crate) fn error_in(&self, library: &Library) -> Option<&Error> {
        let manifest = library.manifest();
        self.errors.iter().find(|error| error.manifest == manifest)
    }
}

impl Error {
    fn parse(message: &Value, folder: &Path) -> Option<Self> {
        let diagnostic = &message["message"];
        if message["reason"] != "compiler-message" || diagnostic["level"] != "error" {
            return None;
        }
        let mut places = Vec::new();
        let spans = diagnostic["spans"].as_array()?;
        for is_primary in [true, false] {
            for span in spans.iter().filter(|span| span["is_primary"] == is_primary) {
                add_places(span, folder, &mut places);
            }
        }
        let text = diagnostic["message"].as_str()?.lines().next()?;
        // The compiler reports the number of errors after the last one.
        if places.is_empty() && text.starts_with("aborting due to") {
            return None;
        }
        let code = diagnostic["code"]["code"].as_str().unwrap_or("error");
        let manifest = PathBuf::from(message["manifest_path"].as_str()?);
        Some(Self { message: format!("{code}: {text}"), places, manifest })
    }

    /// Returns the index of the innermost function around the error.
    pub(crate) fn function(&self, functions: &[Function]) -> Option<usize> {
        self.places.iter().find_map(|(file, line)| innermost(functions, file, *line))
    }

    /// Returns `FILE:LINE: MESSAGE`.
    pub(crate) fn describe(&self) -> String {
        let place = self.places.first();
        let place = place.map(|(file, line)| format!("{}:{line}: ", file.display()));
        place.unwrap_or_default() + &self.message
    }
}

impl TestProgram {
    fn parse(message: &Value) -> Option<Self> {
        let is_test =
            message["reason"] == "compiler-artifact" && message["profile"]["test"] == true;
        let path = message["executable"].as_str().filter(|_| is_test)?;
        let manifest = message["manifest_path"].as_str()?;
        Some(Self { manifest: PathBuf::from(manifest), path: PathBuf::from(path) })
    }
}

fn add_places(span: &Value, folder: &Path, places: &mut Vec<(PathBuf, u64)>) {
    if let (Some(file), Some(line)) = (span["file_name"].as_str(), span["line_start"].as_u64()) {
        let file = folder.join(file);
        if file.starts_with(folder) {
            places.push((file, line));
        }
    }
    if span["expansion"].is_object() {
        add_places(&span["expansion"]["span"], folder, places);
    }
}

fn innermost(functions: &[Function], file: &Path, line: u64) -> Option<usize> {
    let line = usize::try_from(line).ok()?;
    let around = functions
        .iter()
        .enumerate()
        .filter(|(_, function)| function.file == file && function.lines.contains(&line));
    around
        .min_by_key(|(_, function)| function.lines.end() - function.lines.start())
        .map(|(index, _)| index)
}
