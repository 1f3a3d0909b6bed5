//! `metrics-push rules` and `metrics-push dashboard`: the files that this version of the library is made for.
//!
//! They are those of `examples/monitoring`, linked into the folder beside this file, so that the published crate
//! contains them.

use std::process::ExitCode;

use crate::ending::Failure;
use crate::terminal;

const DASHBOARD: &str = include_str!("shipped/dashboard.json");

const RULES: [&str; 5] = [
    include_str!("shipped/runs.yaml"),
    include_str!("shipped/schedule.yaml"),
    include_str!("shipped/history.yaml"),
    include_str!("shipped/delivery.yaml"),
    include_str!("shipped/gateway.yaml"),
];

/// The key below which a file of rules has all that it has.
const GROUPS: &str = "groups:\n";

pub(crate) fn dashboard() -> Result<ExitCode, Failure> {
    terminal::print(DASHBOARD)?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn rules() -> Result<ExitCode, Failure> {
    terminal::print(&one_file(&RULES))?;
    Ok(ExitCode::SUCCESS)
}

/// The groups of all files, below one key; what stands before it in a file is a comment, and stays with its groups.
fn one_file(files: &[&str]) -> String {
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
    fn groups_of_several_files_stand_below_one_key() {
        let files =
            ["# First.\ngroups:\n  - name: a\n", "# Second.\n# More.\ngroups:\n  - name: b\n"];
        assert_eq!(
            one_file(&files),
            "groups:\n\n# First.\n  - name: a\n\n# Second.\n# More.\n  - name: b\n"
        );
    }

    #[test]
    fn every_shipped_file_has_groups_of_its_own() {
        for file in RULES {
            assert_eq!(file.matches(GROUPS).count(), 1, "{file}");
        }
    }
}
