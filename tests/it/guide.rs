//! What the guide says of the code, held against the code.

use std::fmt::Write as _;

const TROUBLESHOOTING: &str = include_str!("../../metrics-push/src/guide/troubleshooting.md");

/// Where errors of the way to a gateway are made.
const SOURCES: [&str; 12] = [
    include_str!("../../metrics-push/src/sink/answer.rs"),
    include_str!("../../metrics-push/src/sink/gateway.rs"),
    include_str!("../../metrics-push/src/sink/listing.rs"),
    include_str!("../../metrics-push/src/http/address.rs"),
    include_str!("../../metrics-push/src/http/credentials.rs"),
    include_str!("../../metrics-push/src/http/headers.rs"),
    include_str!("../../metrics-push/src/http/mod.rs"),
    include_str!("../../metrics-push/src/http/reply.rs"),
    include_str!("../../metrics-push/src/http/tls.rs"),
    include_str!("../../metrics-push/src/config/mod.rs"),
    include_str!("../../metrics-push/src/config/deployment.rs"),
    include_str!("../../metrics-push/src/state_dir.rs"),
];

/// What stands before the literal of a message, once line breaks are gone.
const BEFORE: [&str; 6] = [
    "Error::config(",
    "refused(",
    "Kind::Timeout, ",
    "Kind::Unreachable, ",
    "Kind::Config, ",
    "=> (",
];

/// The literals that are messages: those that stand behind one of the words above.
fn messages(source: &str) -> Vec<String> {
    let code = source.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let one_line = code.split_whitespace().collect::<Vec<_>>().join(" ");
    let one_line = one_line.replace("( \"", "(\"").replace("{ (", "(");
    let mut messages = Vec::new();
    for before in BEFORE {
        for after in one_line.split(&format!("{before}\"")).skip(1) {
            messages.extend(after.split('"').next().map(str::to_owned));
        }
    }
    messages
}

#[test]
fn every_message_of_the_way_to_a_gateway_has_its_row() {
    let mut count = 0;
    let mut missing = String::new();
    for message in SOURCES.iter().flat_map(|source| messages(source)) {
        count += 1;
        // One with a quote in it ends early here.
        if !TROUBLESHOOTING.contains(&format!("| `{}", message.trim_end_matches('\\'))) {
            writeln!(missing, "{message}").unwrap();
        }
    }
    assert!(missing.is_empty(), "these have no row:\n{missing}");
    assert!(count > 35, "the messages are not found any more: {count}");
}

#[test]
fn every_row_is_a_message_of_the_code() {
    let sources = SOURCES.concat()
        + include_str!("../../metrics-push/src/http/plain.rs")
        + include_str!("../../metrics-push/src/labels.rs")
        + include_str!("../../metrics-push/src/config/variables.rs");
    for row in TROUBLESHOOTING.lines().filter(|line| line.starts_with("| `")) {
        let message = row.split('`').nth(1).unwrap();
        let literal = message.replace('"', "\\\"");
        assert!(sources.contains(&literal), "no such message: {message}");
    }
}
