//! Rules of the repository that nobody should have to remember.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn read(path: impl AsRef<Path>) -> String {
    let path = Path::new(ROOT).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All Rust files below a folder, with their text.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(ROOT).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = read(&path);
                found.push((path.strip_prefix(ROOT).unwrap().to_owned(), text));
            }
        }
    }
    assert!(!found.is_empty(), "no sources below {folder}");
    found
}

/// Code without its comments and its tests.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).fold(
        String::new(),
        |mut code, line| {
            code.push_str(line);
            code.push('\n');
            code
        },
    )
}

/// The first folder or file below `src/`: what the table of layers speaks of.
fn module(path: &Path) -> String {
    let inner = path.iter().skip_while(|part| *part != "src").nth(1).unwrap();
    inner.to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// Who may import whom: a module's layer is its line here, and it imports from layers above its line only, and from
/// those beside it that are listed with it.
const LAYERS: [&[(&str, &[&str])]; 11] = [
    &[("guide", &[]), ("clock", &[]), ("notice", &[]), ("ticket", &[])],
    &[("error", &[]), ("labels", &["error"]), ("duration", &["error"])],
    &[
        ("metrics", &[]),
        ("http", &[]),
        ("state_dir", &[]),
        ("parcel", &["metrics"]),
        ("exposition", &["parcel"]),
    ],
    &[("sink", &[]), ("spool", &[])],
    &[("delivery", &[])],
    &[("courier", &[])],
    &[("hold", &[])],
    &[("config", &[])],
    &[("gateway", &[]), ("pusher", &["gateway"])],
    &[("job", &[]), ("recover", &["job"]), ("spooled", &[]), ("breakers", &[]), ("batch", &[])],
    &[("macro_support", &[])],
];

/// Which modules a module may import.
fn allowed() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let mut below: BTreeSet<&str> = BTreeSet::new();
    let mut allowed = BTreeMap::new();
    for layer in LAYERS {
        for (module, beside) in layer {
            allowed.insert(*module, below.iter().chain(*beside).copied().collect());
        }
        below.extend(layer.iter().map(|(module, _)| *module));
    }
    // Re-exports only, and a gateway that must not share our mistakes.
    allowed.insert("testing", BTreeSet::new());
    allowed
}

#[test]
fn modules_import_only_from_layers_below() {
    let allowed = allowed();
    for (path, text) in sources("metrics-push/src") {
        let module = module(&path);
        // Re-exports, documentation, and a program of its own, in which `crate` is itself.
        if ["lib", "attributes", "guarantees", "bin"].contains(&module.as_str()) {
            continue;
        }
        let may = allowed.get(module.as_str()).unwrap_or_else(|| panic!("{module} has no layer"));
        for after in code(&text).split("crate::").skip(1) {
            let name: String =
                after.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            assert!(
                name == module || name.is_empty() || may.contains(name.as_str()),
                "{} imports crate::{name}, which is not below {module}",
                path.display()
            );
        }
    }
}

#[test]
fn each_outside_crate_is_named_in_one_place() {
    let table = [
        ("prometheus", "metrics/"),
        ("reqwest", "http/"),
        ("http_body", "http/tracked_body.rs"),
        ("httparse", "testing/"),
        ("httpdate", "http/retry_after.rs"),
        ("percent_encoding", "http/credentials.rs"),
        ("base64", "http/credentials.rs"),
        ("rustls", "http/tls.rs"),
        ("rustls_platform_verifier", "http/tls.rs"),
        ("tick_counter", "metrics/tsc_clock.rs"),
        ("zmij", "metrics/text_encoder.rs"),
        ("tokio", "courier/"),
        ("base64", "labels.rs"),
        ("flate2", "sink/pushgateway/gzip.rs"),
        ("serde_json", "sink/pushgateway/query_api.rs"),
        ("tracing", "notice.rs"),
        ("hostname", "macro_support/run.rs"),
        ("pin_project_lite", "macro_support/call.rs"),
        ("libc", "job/"),
        ("clap", "bin/metrics-push/arguments.rs"),
        ("clap_complete", "bin/metrics-push/generate.rs"),
        ("clap_mangen", "bin/metrics-push/generate.rs"),
        ("serde_json", "bin/metrics-push/status/json.rs"),
        ("terminal_size", "bin/metrics-push/terminal.rs"),
    ];
    for (name, _) in table {
        let is_home = |file: &str| {
            table
                .iter()
                .any(|(known, home)| *known == name && file.contains(&format!("src/{home}")))
        };
        for (path, text) in sources("metrics-push/src") {
            let shown = path.display().to_string();
            if shown.contains("src/testing/") || shown.ends_with("src/lib.rs") {
                continue;
            }
            let names = code(&text).lines().any(|line| {
                line.match_indices(&format!("{name}::")).any(|(at, _)| {
                    let before = line[..at].chars().next_back();
                    !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
                })
            });
            assert!(!names || is_home(&shown), "{shown} names {name}");
        }
    }
}

#[test]
fn the_environment_is_read_where_it_is_expected() {
    let homes = [
        "config/variables.rs",
        // A supervisor starts its own program again, with its own arguments, and tells it so.
        "job/supervise.rs",
        "supervise/parent.rs",
        // The command's own: its variables, and what its terminal wants.
        "metrics-push/session.rs",
        "metrics-push/terminal.rs",
    ];
    for (path, text) in sources("metrics-push/src") {
        let reads = ["env::var", "env::args"].iter().any(|call| code(&text).contains(call));
        let may = homes.iter().any(|home| path.ends_with(home));
        assert_eq!(reads, may, "{}", path.display());
    }
}

#[test]
fn unsafe_code_is_where_it_is_expected() {
    for (path, text) in sources("metrics-push/src") {
        let has = code(&text).contains("unsafe ");
        // Exit handlers, signals and waiting for children are calls into C that `std` does not make.
        let may = ["job/exit.rs", "job/signal.rs", "supervise/parent.rs", "supervise/relay.rs"]
            .iter()
            .any(|home| path.ends_with(home));
        assert!(!has || may, "{}", path.display());
    }
}

#[test]
fn features_choose_modules_and_nothing_else() {
    for (path, text) in sources("metrics-push/src") {
        let code = code(&text);
        let lines: Vec<_> = code.lines().map(str::trim).collect();
        for (number, line) in lines.iter().enumerate() {
            assert!(!line.contains("cfg!(feature"), "{}: {line}", path.display());
            if line.starts_with("#[cfg(") && line.contains("feature =") {
                let item = lines[number + 1..].iter().find(|line| !line.starts_with("#["));
                let chooses = item.is_some_and(|item| {
                    let item = item.trim_start_matches("pub ").trim_start_matches("pub(crate) ");
                    item.starts_with("mod ") || item.starts_with("use ")
                });
                assert!(chooses, "{}: {line} {item:?}", path.display());
            }
        }
    }
}

#[test]
fn changelog_has_unreleased_entry_and_current_version() {
    let changelog = read("CHANGELOG.md");
    let headings: Vec<_> = changelog.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert!(headings[0].contains("Unreleased"), "{headings:?}");
    let versions =
        headings.iter().filter_map(|heading| heading.strip_prefix('[')?.split(']').next());
    let newest = versions.into_iter().find(|version| *version != "Unreleased");
    assert_eq!(newest, Some(env!("CARGO_PKG_VERSION")));
}

#[test]
fn banned_words_name_nothing() {
    const BANNED: [&str; 6] = ["manager", "handler", "helper", "util", "common", "misc"];
    for folder in ["metrics-push/src", "metrics-push-macros/src"] {
        for (path, text) in sources(folder) {
            for line in code(&text).lines() {
                let Some(name) = declared(line) else { continue };
                let words: Vec<_> = name.split('_').map(str::to_lowercase).collect();
                for banned in BANNED {
                    assert!(!words.iter().any(|word| word == banned), "{}: {line}", path.display());
                }
            }
        }
    }
}

/// The name that a line declares, if it declares one.
fn declared(line: &str) -> Option<&str> {
    let after = ["fn ", "struct ", "enum ", "trait ", "mod ", "type "]
        .iter()
        .find_map(|keyword| line.split_once(keyword).map(|(_, after)| after))?;
    after.split(|c: char| !c.is_alphanumeric() && c != '_').next()
}
