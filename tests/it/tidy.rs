//! Rules about the source code of the repository, so that reviewers need not check them.

mod imports;
mod names;
mod source;

use std::path::{Path, PathBuf};

use crate::ROOT;
use imports::Layer;
use source::Crate;

const CRATES: [&str; 3] = ["metrics-push/src", "metrics-push-macros/src", "metrics-push-cli/src"];

/// The layers of the library, lowest first. A module imports only from lower layers, and from those modules of its own
/// layer that are listed after its name.
const LAYERS: [Layer; 7] = [
    &[
        ("blocking", &["oneshot", "sync", "threads"]),
        ("checksum", &[]),
        ("clock", &[]),
        ("error", &["escape", "log"]),
        ("escape", &[]),
        ("file_size", &[]),
        ("finished_run", &["line_fields", "outcome"]),
        ("float", &[]),
        ("label_text", &["unwind"]),
        ("labels", &["error", "label_text", "log"]),
        ("line_fields", &["labels"]),
        ("log", &["escape", "file_size", "sync", "threads", "timed_write"]),
        ("oneshot", &["sync"]),
        ("ordered_map", &[]),
        ("outcome", &[]),
        ("schedule", &["error"]),
        ("schedule_disabled", &["error"]),
        ("sync", &[]),
        // Imports only the rule for numbers, which is compared with the real gateway. The fake gateway must not share a
        // mistake with the library.
        ("testing", &["float"]),
        ("threads", &[]),
        ("timed_write", &["clock", "file_size"]),
        ("unwind", &[]),
    ],
    &[
        ("exposition", &["push_request"]),
        ("http", &["state_dir"]),
        ("metrics", &[]),
        ("push_request", &["metrics"]),
        ("state_dir", &[]),
    ],
    &[("history", &[]), ("sink", &[]), ("spool", &[])],
    &[("delivery", &[]), ("dispatcher", &["delivery"])],
    &[("config", &[]), ("pipeline", &["config"])],
    &[
        ("batcher", &[]),
        ("gateway", &[]),
        ("inspect", &["job"]),
        ("job", &[]),
        ("pusher", &["gateway"]),
        ("query_server", &[]),
        ("relay", &[]),
    ],
    &[("macro_support", &[])],
];

/// Modules that contain only documentation and re-exports.
const WITHOUT_LAYER: [&str; 4] = ["attributes", "fuzz_bridge", "guarantees", "guide"];

/// Type names that a crate declares more than once, each with the reason.
const REPEATED_TYPES: [(&str, &str); 2] = [
    ("Args", "each file of an attribute declares the arguments of the attribute"),
    ("Arguments", "each file of a subcommand declares the arguments of the subcommand"),
];

fn read(path: impl AsRef<Path>) -> String {
    let path = Path::new(ROOT).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All Rust files below a folder with their text, sorted by path. Snapshots of expansions are not source code.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(ROOT).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.ends_with("snapshots") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = read(&path);
                found.push((path.strip_prefix(ROOT).unwrap().to_owned(), text));
            }
        }
    }
    assert!(!found.is_empty(), "no sources below {folder}");
    found.sort();
    found
}

fn parse(folder: &str) -> Crate {
    let files: Vec<_> = sources(folder)
        .into_iter()
        .map(|(path, text)| (path.to_str().unwrap().to_owned(), text))
        .collect();
    Crate::parse(&files)
}

/// Fails with all violations in all crates.
#[track_caller]
fn assert_none(rule: impl Fn(&Crate) -> Vec<String>) {
    let found: Vec<_> = CRATES.iter().flat_map(|folder| rule(&parse(folder))).collect();
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), found.join("\n"));
}

#[test]
fn files_do_not_import_each_other() {
    assert_none(imports::cycles);
}

#[test]
fn modules_import_only_from_layers_below() {
    let library = parse("metrics-push/src");
    let found = imports::layer_violations(&library, &LAYERS, &WITHOUT_LAYER);
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), found.join("\n"));
}

#[test]
fn is_and_has_functions_change_nothing() {
    assert_none(names::predicates_with_effects);
}

#[test]
fn constants_have_the_usual_prefixes() {
    assert_none(names::constants_with_old_names);
}

#[test]
fn type_names_are_unique_in_a_crate() {
    assert_none(|parsed| names::repeated_types(parsed, &REPEATED_TYPES));
}

/// Removes comments and tests.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// All files of all crates.
fn all_sources() -> Vec<(PathBuf, String)> {
    CRATES.iter().flat_map(|folder| sources(folder)).collect()
}

#[test]
fn each_outside_crate_is_named_in_one_place() {
    let table = [
        ("prometheus", "metrics/"),
        ("reqwest", "http/"),
        ("http_body", "http/tracked_body.rs"),
        ("httpdate", "http/retry_after.rs"),
        ("percent_encoding", "http/credentials.rs"),
        ("percent_encoding", "labels.rs"),
        ("percent_encoding", "sink/prometheus_api.rs"),
        ("percent_encoding", "serve/routes.rs"),
        ("percent_encoding", "relay/key_path.rs"),
        ("base64", "relay/key_path.rs"),
        ("base64", "page/policy.rs"),
        ("base64", "page/tests.rs"),
        ("tokio", "serve/"),
        ("tokio", "stop_signal.rs"),
        ("base64", "http/credentials.rs"),
        // Responses can contain a secret in either encoding.
        ("base64", "http/redaction.rs"),
        ("percent_encoding", "http/redaction.rs"),
        ("rustls", "http/tls.rs"),
        ("rustls_platform_verifier", "http/tls.rs"),
        ("cronexpr", "schedule.rs"),
        ("jiff", "schedule.rs"),
        ("tick_counter", "metrics/tsc_clock.rs"),
        ("zmij", "metrics/text_encoder.rs"),
        ("tokio", "dispatcher/"),
        ("tokio", "blocking.rs"),
        ("tokio", "http/"),
        ("tokio", "sink/outbox.rs"),
        ("tokio", "sink/sample_sink.rs"),
        ("base64", "labels.rs"),
        ("flate2", "sink/gzip.rs"),
        ("serde_json", "sink/pushgateway/query_api.rs"),
        ("snap", "sink/remote_write/snappy.rs"),
        ("rdkafka", "sink/kafka/"),
        ("tokio", "sink/kafka/"),
        ("tokio", "relay.rs"),
        ("tracing", "log.rs"),
        ("hostname", "macro_support/run.rs"),
        ("pin_project_lite", "macro_support/call.rs"),
        ("libc", "job/"),
        ("rustix", "file_size.rs"),
        ("rustix", "state_dir/unix.rs"),
        ("rustix", "timed_write.rs"),
        // The command. `clap` declares the arguments of each subcommand.
        ("clap_complete", "completions.rs"),
        ("clap_mangen", "man.rs"),
        ("serde_json", "dashboard.rs"),
        ("serde_json", "query_api.rs"),
        ("serde_json", "json.rs"),
        ("crossterm", "status/watch.rs"),
        ("jiff", "jobs/local_clock.rs"),
        ("signal_hook", "status/watch.rs"),
        ("terminal_size", "terminal.rs"),
        ("unicode_width", "layout.rs"),
    ];
    for (name, _) in table {
        let is_home = |file: &str| {
            table
                .iter()
                .any(|(known, home)| *known == name && file.contains(&format!("src/{home}")))
        };
        for (path, text) in all_sources() {
            let file = path.display().to_string();
            if file.contains("src/testing/") || file.ends_with("metrics-push/src/lib.rs") {
                continue;
            }
            let is_named = code(&text).lines().any(|line| {
                line.match_indices(&format!("{name}::"))
                    .any(|(at, _)| starts_word(line, at) && !line[..at].ends_with(':'))
            });
            assert!(!is_named || is_home(&file), "{file} names {name}");
        }
    }
}

/// Returns true if no part of a name precedes this position.
fn starts_word(text: &str, at: usize) -> bool {
    !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_')
}

#[test]
fn environment_is_read_in_listed_files_only() {
    let homes = [
        "metrics-push/src/config/variables.rs",
        // A supervisor starts its own program again, with the same arguments and a variable.
        "metrics-push/src/job/supervisor/link.rs",
        "metrics-push/src/job/supervisor/process.rs",
        // A process that exits with 0 after a flag such as `--help` has not done its work.
        "metrics-push/src/job/hooks/exit.rs",
        // The words of the command line: clap would end the process at the first mistake.
        "metrics-push-cli/src/cli.rs",
        // The variables of the command, and those that describe the terminal.
        "metrics-push-cli/src/context.rs",
        "metrics-push-cli/src/terminal.rs",
    ];
    for (path, text) in all_sources() {
        let reads = ["env::var", "env::args"].iter().any(|call| code(&text).contains(call));
        let may_read = homes.iter().any(|home| path.ends_with(home));
        assert_eq!(reads, may_read, "{}", path.display());
    }
}

#[test]
fn files_are_opened_in_listed_files_only() {
    const CALLS: [&str; 12] = [
        "fs::copy",
        "fs::create",
        "fs::metadata",
        "fs::read",
        "fs::remove",
        "fs::rename",
        "fs::symlink_metadata",
        "fs::write",
        "DirBuilder",
        "File::create",
        "File::open",
        "OpenOptions::new",
    ];
    let homes = [
        // The only files that open a path in the state directory.
        "state_dir/mod.rs",
        "state_dir/portable.rs",
        "state_dir/unix.rs",
        // Files whose path the user configures.
        "http/config_file.rs",
        // Files that the textfile collector of the node exporter reads.
        "sink/textfile/directory.rs",
        // Files of the system.
        "job/journal/boot_id.rs",
        "job/resource_usage.rs",
        "job/supervisor/oom.rs",
        "job/supervisor/process.rs",
        "macro_support/run.rs",
        "metrics/tsc_clock.rs",
    ];
    for (path, text) in sources("metrics-push/src") {
        if path.ends_with("tests.rs") {
            continue;
        }
        let code = code(&text);
        let is_in_code = |call| code.match_indices(call).any(|(at, _)| starts_word(&code, at));
        let opens = CALLS.into_iter().any(is_in_code);
        let may_open = homes.iter().any(|home| path.ends_with(home));
        assert!(!opens || may_open, "{} opens files", path.display());
    }
}

#[test]
fn unsafe_code_is_in_listed_files_only() {
    // Exit handlers, signals and waiting for children need C functions that `std` does not offer.
    let homes = [
        "job/exec.rs",
        "job/hooks/exit.rs",
        "job/inherited_state.rs",
        "job/posix_signals.rs",
        "job/supervisor/link.rs",
        "job/supervisor/process.rs",
        "job/supervisor/signal_forwarding.rs",
    ];
    for (path, text) in all_sources() {
        let has_unsafe = code(&text).contains("unsafe ");
        assert!(!has_unsafe || homes.iter().any(|home| path.ends_with(home)), "{}", path.display());
    }
}

/// These files escape control characters, because text of servers and files is part of most messages.
#[test]
fn output_is_written_in_listed_files_only() {
    let homes = [
        "metrics-push/src/log.rs",
        "metrics-push-cli/src/failure.rs",
        "metrics-push-cli/src/terminal.rs",
        // Draws the report, whose texts are escaped.
        "metrics-push-cli/src/status/watch.rs",
        // Prints constant lines.
        "metrics-push-cli/src/push.rs",
        // Copies the output of a job unchanged.
        "metrics-push/src/job/supervisor/output.rs",
    ];
    for (path, text) in all_sources() {
        let calls = ["println!(", "print!(", "stderr()", "stdout()"];
        let code = code(&text);
        let mut words = code.split(|c: char| c.is_whitespace() || c == ':');
        let writes = words.any(|word| {
            calls.iter().any(|call| {
                word.trim_start_matches('e').starts_with(call) && !word.starts_with("reprint")
            })
        });
        assert!(!writes || homes.iter().any(|home| path.ends_with(home)), "{}", path.display());
    }
}

#[test]
fn features_select_modules_only() {
    for (path, text) in all_sources() {
        let code = code(&text);
        let lines: Vec<_> = code.lines().map(str::trim).collect();
        for (number, line) in lines.iter().enumerate() {
            assert!(!line.contains("cfg!(feature"), "{}: {line}", path.display());
            if line.starts_with("#[cfg(") && line.contains("feature =") {
                let item = lines[number + 1..].iter().find(|line| !line.starts_with("#["));
                let is_module = item.is_some_and(|item| {
                    let item = item.trim_start_matches("pub ").trim_start_matches("pub(crate) ");
                    item.starts_with("mod ") || item.starts_with("use ")
                });
                assert!(is_module, "{}: {line} {item:?}", path.display());
            }
        }
    }
}

#[test]
fn changelog_has_an_entry_for_the_current_version() {
    let changelog = read("CHANGELOG.md");
    let headings: Vec<_> = changelog.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert!(headings[0].contains("Unreleased"), "{headings:?}");
    let versions =
        headings.iter().filter_map(|heading| heading.strip_prefix('[')?.split(']').next());
    let newest = versions.into_iter().find(|version| *version != "Unreleased");
    assert_eq!(newest, Some(env!("CARGO_PKG_VERSION")));
}

#[test]
fn names_contain_no_vague_words() {
    const VAGUE: [&str; 6] = ["manager", "handler", "helper", "util", "common", "misc"];
    for (path, text) in all_sources() {
        // Signal handlers and exit handlers are terms of the field.
        let may_handle = path.starts_with("metrics-push/src/job");
        for line in code(&text).lines() {
            let Some(name) = declared(line) else { continue };
            for word in name.split('_').map(str::to_lowercase) {
                let is_term = word == "handler" && may_handle;
                assert!(is_term || !VAGUE.contains(&&*word), "{}: {line}", path.display());
            }
        }
    }
}

/// Returns the name that a line declares.
fn declared(line: &str) -> Option<&str> {
    let after = ["fn ", "struct ", "enum ", "trait ", "mod ", "type "]
        .iter()
        .find_map(|keyword| line.split_once(keyword).map(|(_, after)| after))?;
    after.split(|c: char| !c.is_alphanumeric() && c != '_').next()
}
