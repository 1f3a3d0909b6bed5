//! Compares the tables of README and guide with the code.

use std::path::{Path, PathBuf};

use metrics_push::Config;

const README: &str = include_str!("../../README.md");
const CONFIGURATION: &str = include_str!("../../metrics-push/src/guide/configuration.md");
const METRICS: &str = include_str!("../../metrics-push/src/guide/metrics.md");

/// The expected row of each variable.
fn rows() -> Vec<String> {
    let row = |variable: &metrics_push::Variable| {
        format!("| `{}` | `{}` | {} |", variable.name, variable.example, variable.meaning)
    };
    Config::variables().iter().map(row).collect()
}

#[test]
fn variable_tables_match_the_code() {
    let expected = rows().join("\n");
    for (page, text) in [("README.md", README), ("configuration.md", CONFIGURATION)] {
        let rows: Vec<_> =
            text.lines().filter(|line| line.starts_with("| `METRICS_PUSH_")).collect();
        assert_eq!(rows.join("\n"), expected, "{page}: the table should be:\n{expected}");
    }
}

#[test]
fn readme_names_the_oldest_supported_compiler() {
    let expected = concat!("needs Rust ", env!("CARGO_PKG_RUST_VERSION"), " or newer");
    assert!(README.contains(expected), "README.md: no sentence says \"{expected}\"");
}

/// The sources of the library that declare `batch_job_` families.
fn sources() -> Vec<PathBuf> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|folder| folder.join("metrics-push/src"))
        .find(|src| src.is_dir())
        .expect("the library");
    let mut files = Vec::new();
    let mut folders = vec![src.join("job"), src.join("delivery")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files
}

#[test]
fn metrics_page_lists_every_exported_family() {
    let is_family = |text: &str| {
        text.len() > "batch_job_".len()
            && text.starts_with("batch_job_")
            && text.chars().all(|c| c.is_ascii_lowercase() || c == '_')
    };
    let is_documented = |name: &str| {
        METRICS.lines().any(|line| {
            line.starts_with('|')
                && line.split('`').any(|code| code.split('{').next() == Some(name))
        })
    };
    let mut count = 0;
    for path in sources() {
        let text = std::fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        for name in code.split('"').filter(|text| is_family(text)) {
            assert!(is_documented(name), "{}: {name} is not in metrics.md", path.display());
            count += 1;
        }
    }
    assert!(count > 15, "only {count} families found");
}
