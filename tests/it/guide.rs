//! Compares the messages in the troubleshooting guide with those in the code.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../metrics-push/src");
const TROUBLESHOOTING: &str = include_str!("../../metrics-push/src/guide/troubleshooting.md");

/// Calls whose first argument is a message.
const BEFORE: [&str; 11] = [
    "Error::config(",
    "Kind::Timeout,",
    "Kind::Unreachable,",
    "Kind::Config,",
    "Kind::Metric,",
    "what = format!(",
    "warn(",
    "warn_before_exit(",
    "refused(",
    "mistake(",
    "cause: ",
];

/// The code of the library without comments and tests; each string literal is on one line.
fn code() -> String {
    let mut code = String::new();
    let mut paths = vec![PathBuf::from(SOURCES)];
    while let Some(path) = paths.pop() {
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            // The fake gateway has the messages of the real one.
            if name != "testing" {
                paths.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            }
        } else if name.ends_with(".rs") && name != "tests.rs" {
            push_code(&path, &mut code);
        }
    }
    code.split('\n').map(str::trim_start).collect::<Vec<_>>().join("\n").replace("\\\n", "")
}

fn push_code(path: &Path, code: &mut String) {
    let text = std::fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.extend(lines.flat_map(|line| [line, "\n"]));
}

/// The string literal at the start of a call, without its quotes.
fn literal(call: &str) -> Option<String> {
    let mut rest = call.trim_start().trim_start_matches('&');
    for formatter in ["format!(", "format_args!("] {
        rest = rest.strip_prefix(formatter).unwrap_or(rest).trim_start();
    }
    let text = rest.strip_prefix('"')?.replace("\\\"", "\u{1}");
    Some(text.split('"').next()?.replace('\u{1}', "\""))
}

/// The longest part of a message without placeholders.
fn constant_part(message: &str) -> &str {
    let parts = message.split('{').map(|part| part.rsplit('}').next().unwrap());
    parts.max_by_key(|part| part.len()).unwrap().trim_matches([' ', ':', ';', ','])
}

#[test]
fn guide_lists_every_message() {
    let code = code();
    let messages = BEFORE.iter().flat_map(|before| code.split(before).skip(1)).filter_map(literal);
    let mut missing = String::new();
    let mut count = 0;
    for message in messages {
        let part = constant_part(&message);
        // Some messages consist of the error that follows.
        if part.len() > 5 {
            count += 1;
            if !TROUBLESHOOTING.contains(part) {
                writeln!(missing, "{message}").unwrap();
            }
        }
    }
    assert!(missing.is_empty(), "missing in troubleshooting.md:\n{missing}");
    assert!(count > 80, "only {count} messages found");
}

#[test]
fn guide_lists_only_existing_messages() {
    let code = code().replace("\\\"", "\"");
    let rows = TROUBLESHOOTING.lines().filter(|line| line.starts_with(['|']));
    let mut count = 0;
    for row in rows {
        let quotes = if row.starts_with("| \"") { '"' } else { '`' };
        let first_cell = row.split(" | ").next().unwrap();
        for message in first_cell.split(quotes).skip(1).step_by(2) {
            for part in message.split("..").map(str::trim) {
                assert!(code.contains(part), "the code has no message {message}");
            }
            count += 1;
        }
    }
    assert!(count > 100, "only {count} rows found");
}
