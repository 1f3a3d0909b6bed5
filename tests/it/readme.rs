//! What the README says of the code, held against the code.

use metrics_push::Config;

const README: &str = include_str!("../../README.md");

/// The row of the configuration table for each variable.
fn rows() -> Vec<String> {
    let row = |variable: &metrics_push::Variable| {
        format!("| `{}` | `{}` | {} |", variable.name, variable.example, variable.meaning)
    };
    Config::variables().iter().map(row).collect()
}

#[test]
fn the_table_of_variables_is_the_code_s() {
    let in_readme: Vec<_> =
        README.lines().filter(|line| line.starts_with("| `METRICS_PUSH_")).collect();
    assert_eq!(
        in_readme.join("\n"),
        rows().join("\n"),
        "the table should be:\n{}",
        rows().join("\n")
    );
}

#[test]
fn every_exported_family_is_in_the_table() {
    const SOURCES: [&str; 2] = [
        include_str!("../../metrics-push/src/job/facts.rs"),
        include_str!("../../metrics-push/src/delivery/self_metrics.rs"),
    ];
    let texts = SOURCES.iter().flat_map(|source| source.split('"'));
    let names = texts.filter(|text| text.starts_with("batch_job_"));
    let mut count = 0;
    for name in names.filter(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '_')) {
        let documented = README.lines().any(|line| {
            line.starts_with('|')
                && line.split('`').any(|code| code.split('{').next() == Some(name))
        });
        // A prefix in a test is no family.
        assert!(documented || name == "batch_job_", "{name} is not in the README");
        count += 1;
    }
    assert!(count > 15, "the families are not found any more");
}
