//! Compiles annotated and bare code and compares the output of rustc and clippy: the lints, the errors and their
//! locations must be the same, in every edition.
//!
//! The sources in `tests/parity` are compiled twice. The annotated version has an attribute in place of each `//@`, so
//! that the user's code has the same lines and columns in both versions.

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
    // Two attributes in one line.
    "metrics_push::counted] #[metrics_push::timed",
];

/// Lints that differ on an annotated function, with the reason.
const ACCEPTED: &[(&str, &str)] = &[
    ("clippy::missing_const_for_fn", "an instrumented function can't be `const`"),
    ("clippy::unused_async", "the function awaits the block that contains the body"),
    ("clippy::unnecessary_wraps", "the function returns the result of a call"),
    ("unconditional_recursion", "the recursion passes through another call"),
    (
        "clippy::default_numeric_fallback",
        "the lint ignores literals of unused variables in inner blocks",
    ),
    ("clippy::implicit_return", "the lint also requires `return` in generated code"),
];

/// A diagnostic of the compiler.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    line: u64,
    column: u64,
    /// Empty for an error. Error texts are not compared, because they may mention a closure.
    lint: String,
}

/// The compilation of one source file, bare or annotated.
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
        let text = String::from_utf8(output.stderr).unwrap();
        let findings: BTreeSet<_> = text.lines().filter_map(finding).collect();
        let has_error = findings.iter().any(|finding| finding.lint.is_empty());
        assert_eq!(output.status.success(), !has_error, "an error has no location: {text}");
        findings
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

/// Parses a line of the compiler's output. Returns `None` for summaries, which have no location.
fn finding(line: &str) -> Option<Finding> {
    let diagnostic: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
    let code = diagnostic["code"]["code"].as_str().filter(|_| diagnostic["level"] != "error");
    let lint = code.unwrap_or_default().to_owned();
    let span = diagnostic["spans"].as_array()?.iter().find(|span| span["is_primary"] == true)?;
    let (line, column) = (span["line_start"].as_u64()?, span["column_start"].as_u64()?);
    Some(Finding { line, column, lint })
}

/// Returns the most recent build of the library. Builds with other features expand attributes in the same way.
fn library() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let libraries = std::fs::read_dir(tests.parent().unwrap()).unwrap().filter_map(|entry| {
        let path = entry.unwrap().path();
        let name = path.file_name()?.to_str()?;
        (name.starts_with("libmetrics_push-") && name.ends_with(".rlib")).then_some(path)
    });
    let modified = |path: &PathBuf| path.metadata().and_then(|metadata| metadata.modified()).ok();
    libraries.max_by_key(modified).expect("the library must be built")
}

/// Returns the flags that enable every lint of rustc and clippy.
fn all_lints() -> Vec<String> {
    let help = Command::new("rustc").args(["-W", "help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let rustc = help.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let name = words.next()?;
        // An unstable lint only reports that it is unstable.
        (words.next()? == "allow" && !name.contains("unstable")).then(|| format!("-W{name}"))
    });
    let clippy =
        ["all", "pedantic", "nursery", "restriction"].map(|group| format!("-Wclippy::{group}"));
    let allowed = ["-Aunknown_lints", "-Aunused_crate_dependencies"].map(str::to_owned);
    rustc.chain(clippy).chain(allowed).collect()
}

fn assert_parity(source: &str, driver: &str, lints: &[String]) {
    let compile = |attribute| {
        let edition = "2024";
        let findings = Compilation { source, edition, attribute, driver, lints }.findings();
        let is_accepted =
            |finding: &Finding| ACCEPTED.iter().any(|(lint, _)| *lint == finding.lint);
        findings.into_iter().filter(|finding| !is_accepted(finding)).collect::<BTreeSet<_>>()
    };
    let bare = compile(None);
    assert!(!bare.is_empty(), "{source}.rs has no diagnostics to compare");
    for attribute in ATTRIBUTES {
        let annotated = compile(Some(attribute));
        let missing: Vec<_> = bare.difference(&annotated).collect();
        let added: Vec<_> = annotated.difference(&bare).collect();
        assert!(
            missing.is_empty() && added.is_empty(),
            "{attribute}: missing {missing:#?}, added {added:#?}"
        );
    }
}

#[test]
fn annotated_code_has_the_lints_of_bare_code() {
    assert_parity("lints", "clippy-driver", &all_lints());
}

#[test]
fn annotated_code_has_the_errors_of_bare_code() {
    assert_parity("errors", "rustc", &[]);
}

#[test]
fn annotated_code_has_the_borrow_errors_of_bare_code() {
    assert_parity("borrows", "rustc", &[]);
}

#[test]
fn annotated_code_has_the_syntax_errors_of_bare_code() {
    assert_parity("syntax", "rustc", &[]);
}

#[test]
fn annotated_code_compiles_in_every_edition() {
    for edition in ["2015", "2018", "2021", "2024"] {
        for attribute in ["metrics_push::counted", "metrics_push::timed"] {
            let attribute = Some(attribute);
            let compilation =
                Compilation { source: "editions", edition, attribute, driver: "rustc", lints: &[] };
            assert_eq!(compilation.findings(), BTreeSet::new(), "{edition}");
        }
    }
}

#[test]
fn functions_that_return_borrows_compile_in_every_edition() {
    // In earlier editions, a closure borrows whole variables.
    for edition in ["2018", "2021", "2024"] {
        for attribute in [None].into_iter().chain(ATTRIBUTES.map(Some)) {
            let compilation = Compilation {
                source: "borrowed_results",
                edition,
                attribute,
                driver: "rustc",
                lints: &[],
            };
            assert_eq!(compilation.findings(), BTreeSet::new(), "{edition}: {attribute:?}");
        }
    }
}

#[test]
fn chain_of_async_functions_compiles_within_the_default_recursion_limit() {
    for attribute in [None].into_iter().chain(ATTRIBUTES.map(Some)) {
        let edition = "2024";
        let compilation =
            Compilation { source: "chain", edition, attribute, driver: "rustc", lints: &[] };
        assert_eq!(compilation.findings(), BTreeSet::new(), "{attribute:?}");
    }
}
