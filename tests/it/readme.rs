//! Compares the tables of README and guide with the code.

use std::path::{Path, PathBuf};

use metrics_push::Config;

const README: &str = include_str!("../../README.md");
const STATUS_PICTURE: &str = include_str!("../../examples/status.svg");
const PAGE_PICTURE: &[u8] = include_bytes!("../../examples/page.png");
const RECORDING: &str = include_str!("../../examples/record.sh");
const TABLE: &str = include_str!("../../metrics-push-cli/src/golden/morning-120.txt");
const PAGE_TEMPLATE: &str = include_str!("../../metrics-push-cli/templates/overview.html");
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

/// The text that describes a picture in the README.
fn description(picture: &str) -> String {
    let (before, _) = README.split_once(&format!("]({picture})")).expect(picture);
    let (_, text) = before.rsplit_once("![").expect(picture);
    text.replace('\n', " ")
}

/// Removes the tags of a document.
fn without_tags(document: &str) -> String {
    document.split('<').filter_map(|part| Some(part.split_once('>')?.1)).collect()
}

/// The columns of the table of `status` with this heading.
fn columns(heading: &str) -> Vec<&str> {
    heading.split("  ").map(str::trim).filter(|column| !column.is_empty()).collect()
}

#[test]
fn picture_of_status_has_the_columns_of_the_table() {
    let text = without_tags(STATUS_PICTURE);
    let heading = text.lines().find(|line| line.starts_with("STATE")).expect("a table");
    // The tests of `status` compare with this table.
    let expected = columns(TABLE.lines().next().unwrap());
    assert_eq!(columns(heading), expected, "run examples/record.sh");
    assert!(text.contains(" need attention"), "{text}");
    let description = description("examples/status.svg");
    for column in expected {
        assert!(description.contains(column), "README.md does not name the column {column}");
    }
}

#[test]
fn picture_of_the_page_is_described_by_its_columns() {
    let headings = PAGE_TEMPLATE.split("role=\"columnheader\"").skip(1);
    let headings = headings.map(|part| part.split(['>', '<']).nth(1).unwrap());
    let description = description("examples/page.png");
    for heading in headings {
        assert!(description.contains(heading), "README.md does not name the column {heading}");
    }
}

#[test]
fn picture_of_the_page_has_the_size_that_the_script_records() {
    assert!(PAGE_PICTURE.starts_with(b"\x89PNG"));
    let number = |at: usize| u32::from_be_bytes(PAGE_PICTURE[at..at + 4].try_into().unwrap());
    let size = format!("PAGE_SIZE={},{}\n", number(16), number(20));
    assert!(RECORDING.contains(&size), "run examples/record.sh: the picture has {size}");
}
