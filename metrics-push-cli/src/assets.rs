//! `metrics-push rules` and `metrics-push dashboard`: print the files in `monitoring/`, which match this version.

use std::process::ExitCode;

use crate::failure::Failure;
use crate::terminal;

const DASHBOARD: &str = include_str!("../monitoring/dashboard.json");

const RULES: [&str; 6] = [
    include_str!("../monitoring/rules/environments.yaml"),
    include_str!("../monitoring/rules/runs.yaml"),
    include_str!("../monitoring/rules/schedule.yaml"),
    include_str!("../monitoring/rules/history.yaml"),
    include_str!("../monitoring/rules/delivery.yaml"),
    include_str!("../monitoring/rules/gateway.yaml"),
];

/// The top-level key of a rule file.
const GROUPS: &str = "groups:\n";

pub(crate) fn print_dashboard() -> Result<ExitCode, Failure> {
    terminal::print(DASHBOARD)?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn print_rules() -> Result<ExitCode, Failure> {
    terminal::print(&concatenate(&RULES))?;
    Ok(ExitCode::SUCCESS)
}

/// Puts the groups of all files below one key. A comment before the key of a file stays above that file's groups.
fn concatenate(files: &[&str]) -> String {
    let mut text = String::from(GROUPS);
    for file in files {
        let (comment, groups) = file.split_once(GROUPS).unwrap_or(("", file));
        text.extend(["\n", comment, groups]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_files_are_concatenated_below_one_key() {
        let files =
            ["# First.\ngroups:\n  - name: a\n", "# Second.\n# More.\ngroups:\n  - name: b\n"];
        assert_eq!(
            concatenate(&files),
            "groups:\n\n# First.\n  - name: a\n\n# Second.\n# More.\n  - name: b\n"
        );
    }

    #[test]
    fn every_rule_file_has_the_key_once() {
        for file in RULES {
            assert_eq!(file.matches(GROUPS).count(), 1, "{file}");
        }
    }
}
