//! Completions, man pages and help.

use std::process::Command;

use metrics_push::Config;

use crate::program::{metrics_push, on_terminal, piped};

fn printed(arguments: &[&str]) -> String {
    let ended = piped(metrics_push("", arguments), "");
    assert_eq!((ended.status, ended.stderr.as_str()), (0, ""), "{arguments:?}");
    ended.stdout
}

#[test]
fn completions_exist_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = printed(&["completions", shell]);
        assert!(script.contains("metrics-push") && script.contains("grouping"), "{shell}");
    }
}

/// The completions of bash for the last of these words.
fn completions(words: &str) -> String {
    let script = format!(
        "{}\nCOMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n\
         _metrics__push metrics-push \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"; echo \"${{COMPREPLY[*]}}\"",
        printed(&["completions", "bash"])
    );
    let output = Command::new("bash").args(["--norc", "-c", &script]).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn bash_completes_subcommands_and_arguments() {
    for (words, expected) in [
        ("metrics-push sta", "status\n"),
        ("metrics-push exec --max", "--max-runtime\n"),
        ("metrics-push status --color a", "auto always\n"),
        ("metrics-push spool sh", "show\n"),
        ("metrics-push spool drop --al", "--all\n"),
    ] {
        assert_eq!(completions(words), expected, "{words}");
    }
}

#[test]
fn man_pages_cover_subcommands_arguments_and_variables() {
    let page = printed(&["man"]);
    assert!(page.starts_with(".ie") || page.contains(".TH metrics-push 1"), "{page}");
    for variable in Config::variables() {
        assert!(page.contains(variable.name), "{}", variable.name);
    }
    let page = printed(&["man", "status"]);
    assert!(
        page.contains(".SH \"EXIT STATUS\"\n.TP\n\\fB0\\fR\n\\&No job needs attention.\n"),
        "{page}"
    );
    assert!(printed(&["man", "spool", "list"]).contains(".TH metrics-push-spool-list 1"));
    let unknown = piped(metrics_push("", &["man", "stats"]), "");
    assert_eq!(unknown.status, 2);
    assert!(unknown.stderr.contains("Unknown subcommand \"stats\""), "{unknown:?}");
}

#[test]
fn rules_and_dashboard_are_printed_for_groups_and_for_samples() {
    for subcommand in ["rules", "dashboard"] {
        let groups = printed(&[subcommand]);
        assert_eq!(groups, printed(&[subcommand, "--for", "groups"]));
        assert!(groups.contains("push_time_seconds") && !groups.contains("[8d])"), "{groups}");
        let samples = printed(&[subcommand, "--for", "samples"]);
        assert!(!samples.contains("push_time_seconds") && samples.contains("[8d])"), "{samples}");
        let longer = printed(&[subcommand, "--for", "samples", "--window", "35d"]);
        assert_eq!(longer.replace("35d", "8d"), samples);
    }
}

#[test]
fn window_is_for_samples_and_at_least_one_hour() {
    for (arguments, message) in [
        (&["rules", "--window", "35d"][..], "`--window` needs `--for samples`"),
        (&["dashboard", "--for", "samples", "--window", "59m"], "it must be at least 1h"),
    ] {
        let ended = piped(metrics_push("", arguments), "");
        assert_eq!(ended.status, 2);
        assert!(ended.stderr.contains(message), "{ended:?}");
    }
}

#[test]
fn help_covers_every_subcommand() {
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
    let shown = on_terminal(80, metrics_push("", &["--help"])).stdout;
    assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    assert_eq!(printed(&["--version"]), concat!("metrics-push ", env!("CARGO_PKG_VERSION"), "\n"));
}
