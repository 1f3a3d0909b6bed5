//! Compiles a library and finds the functions that contain the errors.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::annotate::Function;
use crate::library::Library;

/// The result of a compilation.
pub(crate) enum Outcome {
    Compiled,
    Failed {
        /// The indexes of the functions with errors.
        functions: BTreeSet<usize>,
        failures: Vec<Failure>,
    },
}

/// The first error of a function.
pub(crate) struct Failure {
    pub(crate) file: PathBuf,
    pub(crate) line: u64,
    pub(crate) message: String,
}

/// Checks the library.
pub(crate) fn check(library: &Library, functions: &[Function]) -> Result<Outcome, String> {
    let output = library.cargo(&["check", "--lib", "--message-format", "json"])?;
    if output.status.success() {
        return Ok(Outcome::Compiled);
    }
    let mut failed = BTreeSet::new();
    let mut failures = Vec::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Some(Error { message, places }) = error(line, library) else { continue };
        let function = places.iter().find_map(|(file, line)| innermost(functions, file, *line));
        let is_new = function.is_none_or(|function| failed.insert(function));
        if let (true, Some((file, line))) = (is_new, places.first()) {
            failures.push(Failure { file: file.clone(), line: *line, message });
        }
    }
    if failures.is_empty() {
        let text = String::from_utf8_lossy(&output.stderr);
        let text: Vec<&str> = text.lines().filter(|line| line.starts_with("error")).collect();
        return Err(text.join(" "));
    }
    Ok(Outcome::Failed { functions: failed, failures })
}

/// An error of the compiler, and the places in the library that it names: the primary ones first, each followed by
/// the attribute that it is an expansion of.
struct Error {
    message: String,
    places: Vec<(PathBuf, u64)>,
}

fn error(line: &str, library: &Library) -> Option<Error> {
    let entry: Value = serde_json::from_str(line).ok()?;
    let diagnostic = &entry["message"];
    if entry["reason"] != "compiler-message" || diagnostic["level"] != "error" {
        return None;
    }
    let mut places = Vec::new();
    let spans = diagnostic["spans"].as_array()?;
    for is_primary in [true, false] {
        for span in spans.iter().filter(|span| span["is_primary"] == is_primary) {
            add_places(span, &library.folder, &mut places);
        }
    }
    let code = diagnostic["code"]["code"].as_str().unwrap_or("error");
    let text = diagnostic["message"].as_str()?.lines().next()?;
    Some(Error { message: format!("{code}: {text}"), places })
}

fn add_places(span: &Value, folder: &Path, places: &mut Vec<(PathBuf, u64)>) {
    if let (Some(file), Some(line)) = (span["file_name"].as_str(), span["line_start"].as_u64()) {
        places.push((folder.join(file), line));
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
