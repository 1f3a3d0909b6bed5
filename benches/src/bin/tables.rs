//! Runs all benches and prints their tables in Markdown.
//!
//! `cargo run --release -p metrics-push-benches --bin tables` prints the tables; with `-- --write` it replaces those in
//! `metrics-push/src/guide/costs.md`. Names of benches, such as `-- encode push`, select benches; the tables of all others
//! are not changed. Each bench runs as a separate process. The head of its file lists its requirements.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// A bench: its name, the arguments of cargo that start it, and the title of its tables.
struct Bench {
    name: &'static str,
    cargo: &'static [&'static str],
    title: &'static str,
}

const BENCHES: [Bench; 11] = [
    Bench {
        name: "calls",
        cargo: &["--manifest-path", "benches/calls/Cargo.toml"],
        title: "A call of a function with `#[counted]` or `#[timed]`",
    },
    Bench {
        name: "instructions",
        cargo: &["--manifest-path", "benches/calls/Cargo.toml", "--", "instructions"],
        title: "Instructions per call",
    },
    Bench {
        name: "system-clock",
        cargo: &["--manifest-path", "benches/calls/Cargo.toml", "--", "system-clock"],
        title: "The same calls without a usable processor counter",
    },
    // Builds the programs that `one_shot` starts.
    Bench {
        name: "build",
        cargo: &["-p", "metrics-push-benches", "--bin", "one_shot", "--", "build"],
        title: "Crates, build time and size of a whole process",
    },
    Bench {
        name: "one_shot",
        cargo: &["-p", "metrics-push-benches", "--bin", "one_shot"],
        title: "A whole process whose `main` has `#[push_job]`",
    },
    Bench {
        name: "encode",
        cargo: &["-p", "metrics-push-benches", "--bin", "encode"],
        title: "Encoding gathered metrics as text",
    },
    Bench {
        name: "push",
        cargo: &["-p", "metrics-push-benches", "--bin", "push"],
        title: "A push of 100,000 series to a Pushgateway",
    },
    Bench {
        name: "compile_cost",
        cargo: &["-p", "metrics-push-benches", "--bin", "compile_cost"],
        title: "Checking 500 functions with an attribute",
    },
    Bench {
        name: "rebuild",
        cargo: &["-p", "metrics-push-benches", "--bin", "rebuild"],
        title: "A rebuild after a change in one function",
    },
    Bench {
        name: "growth",
        cargo: &["-p", "metrics-push-benches", "--bin", "growth"],
        title: "Growth of the cost with the work",
    },
    Bench {
        name: "scale",
        cargo: &["-p", "metrics-push-benches", "--bin", "scale"],
        title: "Thousands of groups, and gateways that are down",
    },
];

/// The page with the tables, below the workspace root.
const PAGE: &str = "metrics-push/src/guide/costs.md";
const BEGIN: &str = "<!-- costs begins -->\n";
const END: &str = "<!-- costs ends -->\n";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace")
}

/// Runs a program and returns its standard output.
fn printed(command: &mut Command) -> String {
    let output = command.stderr(Stdio::inherit()).output().expect("the program starts");
    assert!(output.status.success(), "{command:?} exited with {}", output.status);
    String::from_utf8(output.stdout).expect("the output is UTF-8")
}

fn tables_of(bench: &Bench) -> String {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root()).args(["run", "--quiet", "--release"]).args(bench.cargo);
    printed(&mut cargo).trim().to_owned()
}

/// The value of a line `name: value` in a file.
fn line_of(file: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Returns a sentence with the date, compiler and machine of a measurement.
fn environment() -> String {
    let date = printed(Command::new("date").args(["-u", "+%F"]));
    let compiler = printed(Command::new("rustc").arg("--version"));
    let version = compiler.split(' ').nth(1).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let processor = line_of("/proc/cpuinfo", "model name").unwrap_or_else(|| "processor".into());
    let memory = line_of("/proc/meminfo", "MemTotal")
        .and_then(|total| total.split(' ').next()?.parse::<f64>().ok())
        .map_or_else(String::new, |kib| format!(", {:.0} GiB of memory", kib / 1024.0 / 1024.0));
    format!(
        "Measured on {} with rustc {version}, on a machine with {cores} cores ({processor}){memory}.",
        date.trim(),
    )
}

const INTRODUCTION: &str = "Medians of release builds; the rows of a table are measured in turn. Compare ratios, not \
    times: `cargo run --release -p metrics-push-benches --bin tables` prints these tables for your machine.\n";

/// The existing tables of a bench.
fn earlier<'a>(tables: &'a str, bench: &Bench) -> Option<&'a str> {
    let (_, below) = tables.split_once(&format!("# {}\n", bench.title))?;
    Some(below.split("\n# ").next().unwrap_or(below).trim())
}

/// Splits a page into the text before the tables, the tables, and the text after them.
fn parts(text: &str) -> (&str, &str, &str) {
    let (before, rest) = text.split_once(BEGIN).expect("the page has a begin mark");
    let (tables, after) = rest.split_once(END).expect("the page has an end mark");
    (before, tables, after)
}

fn main() {
    let (flags, names): (Vec<_>, Vec<_>) =
        std::env::args().skip(1).partition(|argument| argument == "--write");
    for name in &names {
        assert!(BENCHES.iter().any(|bench| bench.name == name), "unknown bench {name:?}");
    }
    let file = (!flags.is_empty()).then(|| root().join(PAGE));
    let text = file.as_ref().map(|file| std::fs::read_to_string(file).expect("the page exists"));
    let (before, known, after) = text.as_deref().map_or(("", "", ""), parts);
    let (environment, mut tables) = (environment(), INTRODUCTION.to_owned());
    for bench in &BENCHES {
        let is_wanted = names.is_empty() || names.iter().any(|name| name == bench.name);
        let section = if is_wanted {
            Some(format!("{environment}\n\n{}", tables_of(bench)))
        } else {
            earlier(known, bench).map(str::to_owned)
        };
        if let Some(section) = section {
            write!(tables, "\n# {}\n\n{section}\n", bench.title)
                .expect("writing to a string does not fail");
        }
    }
    match &file {
        Some(file) => {
            let text = [before, BEGIN, &tables, END, after].concat();
            std::fs::write(file, text).expect("the page is writable");
        }
        None => print!("{tables}"),
    }
}
