//! Completions, man pages and help, made from the grammar.

use metrics_push::Config;

use crate::program::{metrics_push, piped};

fn printed(arguments: &[&str]) -> String {
    let ended = piped(metrics_push("", arguments), "");
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{arguments:?}");
    ended.stdout
}

#[test]
fn every_shell_has_completions() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = printed(&["completions", shell]);
        assert!(script.contains("metrics-push") && script.contains("grouping"), "{shell}");
    }
}

#[test]
fn man_pages_tell_of_subcommands_arguments_and_variables() {
    let page = printed(&["man"]);
    assert!(page.starts_with(".ie") || page.contains(".TH metrics-push 1"), "{page}");
    for variable in Config::variables() {
        assert!(page.contains(variable.name), "{}", variable.name);
    }
    let page = printed(&["man", "status"]);
    assert!(page.contains("Exit status: 0, if all is well"), "{page}");
    let unknown = piped(metrics_push("", &["man", "stats"]), "");
    assert_eq!(unknown.status, 2);
    assert!(unknown.stderr.contains("no subcommand \"stats\""), "{unknown:?}");
}

#[test]
fn help_is_there_for_everything() {
    let subcommands = [
        "status",
        "push",
        "delete",
        "prune",
        "wipe",
        "recover",
        "spool",
        "exec",
        "rules",
        "dashboard",
        "completions",
        "man",
    ];
    for subcommand in subcommands {
        assert!(printed(&["help", subcommand]).contains("Usage: metrics-push"), "{subcommand}");
        assert!(printed(&["--help"]).contains(subcommand));
    }
    assert!(printed(&["--help"]).contains("METRICS_PUSH_STATE_DIR"));
    assert_eq!(printed(&["--version"]), concat!("metrics-push ", env!("CARGO_PKG_VERSION"), "\n"));
}
