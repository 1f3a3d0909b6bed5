//! Checks that the files, headings and variables that pages refer to exist.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use metrics_push::Config;

use crate::ROOT;

/// All files of the repository with one of these extensions.
fn files(extensions: &[&str]) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(ROOT)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && name != "target" && name != ".git" {
                folders.push(path);
            } else if path.extension().is_some_and(|it| extensions.iter().any(|known| it == *known))
            {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty(), "no files {extensions:?}");
    found
}

/// The lines outside code blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// The anchors that renderers generate for the headings of a page.
fn anchors(text: &str) -> BTreeSet<String> {
    let slug = |heading: &str| -> String {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    let headings = prose(text).filter(|line| line.starts_with('#'));
    headings.map(|line| slug(line.trim_start_matches('#').trim())).collect()
}

/// The file of a guide page, by its path in the crate.
fn page_of(path: &str) -> PathBuf {
    let name = path.rsplit("::").next().unwrap();
    Path::new(ROOT).join(format!("metrics-push/src/guide/{name}.md"))
}

/// The target of a link: a file and a heading in it.
fn resolve<'a>(link: &'a str, page: &Path) -> (PathBuf, Option<&'a str>) {
    let (path, anchor) = link.split_once('#').map_or((link, None), |(path, it)| (path, Some(it)));
    let file = match path {
        "" => page.to_owned(),
        _ if path.starts_with("crate::guide::") => page_of(path),
        _ => page.parent().unwrap().join(path),
    };
    (file, anchor)
}

#[test]
fn links_lead_to_existing_files_and_headings() {
    let mut count = 0;
    for (page, text) in files(&["md"]) {
        let text: String = prose(&text).flat_map(|line| [line, "\n"]).collect();
        for after in text.split("](").skip(1) {
            let link = after.split([')', ' ']).next().unwrap();
            // Rustdoc checks links to items; links to other sites are not checked.
            let is_item = link.starts_with("crate::") && !link.starts_with("crate::guide::");
            if is_item || link.starts_with("http") {
                continue;
            }
            let (file, anchor) = resolve(link, &page);
            assert!(file.exists(), "{}: {link}", page.display());
            if let Some(anchor) = anchor {
                let headings = anchors(&std::fs::read_to_string(file).unwrap());
                assert!(headings.contains(anchor), "{}: {link}: {headings:?}", page.display());
            }
            count += 1;
        }
    }
    assert!(count > 5, "only {count} links found");
}

#[test]
fn paths_in_pages_exist() {
    let mut count = 0;
    for (page, text) in files(&["md"]) {
        let text: String = prose(&text).flat_map(|line| [line, "\n"]).collect();
        for code in text.split('`').skip(1).step_by(2) {
            let is_plain = code.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c));
            // Other paths start at the root, with a host or with a variable. A time zone is not a path.
            let first = code.split('/').next().unwrap();
            let is_relative = first != code
                && !first.is_empty()
                && !first.contains('.')
                && !first.starts_with("XDG")
                && first != "Europe";
            if is_plain && is_relative {
                let beside = page.parent().unwrap().join(code);
                let below_root = Path::new(ROOT).join(code);
                assert!(beside.exists() || below_root.exists(), "{}: {code}", page.display());
                count += 1;
            }
        }
    }
    assert!(count > 10, "only {count} paths found");
}

#[test]
fn variables_in_pages_and_manifests_exist() {
    let settings = Config::variables().iter().map(|it| it.name);
    // The library sets it for the command of `exec`.
    let known: BTreeSet<&str> = settings.chain(["METRICS_PUSH_RUN_ID"]).collect();
    let mut count = 0;
    for (file, text) in files(&["md", "yaml", "service", "timer", "sh"]) {
        for (at, _) in text.match_indices("METRICS_PUSH_") {
            let rest = &text[at..];
            let name = rest.split(|c: char| !c.is_ascii_uppercase() && c != '_').next().unwrap();
            // The number of a sink can follow.
            let name = name.strip_suffix('_').unwrap_or(name);
            assert!(known.contains(name), "{}: {name}", file.display());
            count += 1;
        }
    }
    assert!(count > 40, "only {count} variables found");
}
