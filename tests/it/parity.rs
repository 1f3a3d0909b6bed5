//! Annotated code against bare code, as rustc and clippy see it: the same lints, the same errors in the same places,
//! in every edition.
//!
//! The sources in `tests/parity` are compiled twice. In the annotated version each line `//@` is an attribute, so that
//! lines and columns of the user's code stay where they are.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::ROOT;

const ATTRIBUTES: [&str; 5] = [
    "metrics_push::counted",
    "metrics_push::timed",
    "metrics_push::timed(name = \"outcome_seconds\", outcome)",
    "metrics_push::push_job",
    // Stacked, in one line.
    "metrics_push::counted] #[metrics_push::timed",
];

/// Lints that say something else of an annotated function, each with its reason.
const ACCEPTED: &[(&str, &str)] = &[
    ("clippy::missing_const_for_fn", "a measured function can't be `const`"),
    ("clippy::unused_async", "the body is awaited, so that the function does await"),
    ("clippy::unnecessary_wraps", "the result comes out of a call"),
    ("unconditional_recursion", "the recursion goes through a call"),
    (
        "clippy::default_numeric_fallback",
        "it overlooks literals of unused variables in inner blocks",
    ),
    ("clippy::implicit_return", "it asks for `return` in generated code, too"),
];

/// One thing the compiler said: where, and which lint or error.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    line: u64,
    column: u64,
    /// The lint; of an error only the place counts, as its text may speak of a closure.
    lint: String,
}

/// Compiles one of the sources, bare or annotated.
struct Compilation<'a> {
    source: &'a str,
    edition: &'a str,
    attribute: Option<&'a str>,
    driver: &'a str,
    lints: &'a [String],
}

impl Compilation<'_> {
    fn findings(&self) -> BTreeSet<Finding> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("parity");
        let folder = folder.join(format!("{}-{:?}", self.source, std::thread::current().id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("source.rs");
        std::fs::write(&file, self.text()).unwrap();
        let library = library();
        let output = Command::new(self.driver)
            .args(["--crate-type", "lib", "--emit", "metadata", "--error-format", "json"])
            .args(["--edition", self.edition, "--out-dir"])
            .arg(&folder)
            .arg("--extern")
            .arg(format!("metrics_push={}", library.display()))
            .arg("-L")
            .arg(format!("dependency={}", library.parent().unwrap().display()))
            .args(self.lints)
            .arg(&file)
            .output()
            .unwrap_or_else(|error| panic!("{}: {error}", self.driver));
        let output = String::from_utf8(output.stderr).unwrap();
        output.lines().filter_map(finding).collect()
    }

    fn text(&self) -> String {
        let text =
            std::fs::read_to_string(format!("{ROOT}/tests/parity/{}.rs", self.source)).unwrap();
        let many = "    total += 1; total += 1;\n".repeat(120);
        let text = text.replace("MANY_LINES\n", &many);
        match self.attribute {
            Some(attribute) => text.replace("//@", &format!("#[{attribute}]")),
            None => text,
        }
    }
}

/// A line of the compiler's output; summaries have no code.
fn finding(line: &str) -> Option<Finding> {
    let said: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
    let code = said["code"]["code"].as_str().filter(|_| said["level"] != "error");
    let lint = code.unwrap_or_default().to_owned();
    let span = said["spans"].as_array()?.iter().find(|span| span["is_primary"] == true)?;
    let (line, column) = (span["line_start"].as_u64()?, span["column_start"].as_u64()?);
    Some(Finding { line, column, lint })
}

/// The library as it was built last, which is what these tests are linked with or the same code with other features.
fn library() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let libraries = std::fs::read_dir(tests.parent().unwrap()).unwrap().filter_map(|entry| {
        let path = entry.unwrap().path();
        let name = path.file_name()?.to_str()?;
        (name.starts_with("libmetrics_push-") && name.ends_with(".rlib")).then_some(path)
    });
    let built = |path: &PathBuf| path.metadata().and_then(|metadata| metadata.modified()).ok();
    libraries.max_by_key(built).expect("the library is built")
}

/// Warns of everything that rustc and clippy know.
fn all_lints() -> Vec<String> {
    let help = Command::new("rustc").args(["-W", "help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let rustc = help.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let name = words.next()?;
        // Unstable lints would only say that they are.
        (words.next()? == "allow" && !name.contains("unstable")).then(|| format!("-W{name}"))
    });
    let clippy =
        ["all", "pedantic", "nursery", "restriction"].map(|group| format!("-Wclippy::{group}"));
    let quiet = ["-Aunknown_lints", "-Aunused_crate_dependencies"].map(str::to_owned);
    rustc.chain(clippy).chain(quiet).collect()
}

fn compare(source: &str, driver: &str, lints: &[String]) {
    let compile = |attribute| {
        let edition = "2024";
        let found = Compilation { source, edition, attribute, driver, lints }.findings();
        let accepted = |finding: &Finding| ACCEPTED.iter().any(|(lint, _)| *lint == finding.lint);
        found.into_iter().filter(|finding| !accepted(finding)).collect::<BTreeSet<_>>()
    };
    let bare = compile(None);
    assert!(!bare.is_empty(), "{source} is without fault");
    for attribute in ATTRIBUTES {
        let annotated = compile(Some(attribute));
        let lost: Vec<_> = bare.difference(&annotated).collect();
        let added: Vec<_> = annotated.difference(&bare).collect();
        assert!(
            lost.is_empty() && added.is_empty(),
            "{attribute}: lost {lost:#?}, added {added:#?}"
        );
    }
}

#[test]
fn lints_say_the_same_of_annotated_code() {
    compare("lints", "clippy-driver", &all_lints());
}

#[test]
fn errors_are_where_they_are_in_bare_code() {
    compare("errors", "rustc", &[]);
}

#[test]
fn borrows_are_refused_where_they_are_in_bare_code() {
    compare("borrows", "rustc", &[]);
}

#[test]
fn a_half_typed_body_is_reported_as_in_bare_code() {
    compare("syntax", "rustc", &[]);
}

#[test]
fn every_edition_without_a_prelude_and_without_unsafe_code() {
    for edition in ["2015", "2018", "2021", "2024"] {
        for attribute in ["metrics_push::counted", "metrics_push::timed"] {
            let attribute = Some(attribute);
            let compilation =
                Compilation { source: "editions", edition, attribute, driver: "rustc", lints: &[] };
            assert_eq!(compilation.findings(), BTreeSet::new(), "{edition}");
        }
    }
}
