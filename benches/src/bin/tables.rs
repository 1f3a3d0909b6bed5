//! All that is promised of cost, measured and printed in one go, in Markdown.
//!
//! `cargo run --release -p metrics-push-benches --bin tables` prints it; `.. -- --write README.md` puts it between the
//! marks in that file; names of benches, such as `.. -- encode push`, leave out the others, whose tables in the file stay
//! as they are. The benches are processes of their own, each built as its package wants it; what they need is said at
//! their heads.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// A bench: its name, how cargo starts it, and what its tables are about.
struct Bench {
    name: &'static str,
    cargo: &'static [&'static str],
    title: &'static str,
}

const BENCHES: [Bench; 8] = [
    Bench {
        name: "calls",
        cargo: &["--manifest-path", "benches/calls/Cargo.toml"],
        title: "A call of a function with `#[counted]` or `#[timed]`",
    },
    Bench {
        name: "instructions",
        cargo: &["--manifest-path", "benches/calls/Cargo.toml", "--", "instructions"],
        title: "Instructions of such a call",
    },
    Bench {
        name: "system-clock",
        cargo: &["--manifest-path", "benches/calls/Cargo.toml", "--", "system-clock"],
        title: "Such a call where the processor has no counter to trust",
    },
    // What the next one starts has to be there.
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
        title: "The text of gathered metrics",
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
];

const BEGIN: &str = "<!-- costs begins -->\n";
const END: &str = "<!-- costs ends -->\n";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace")
}

/// What a program prints; what else it has to say goes where it goes here.
fn printed(command: &mut Command) -> String {
    let output = command.stderr(Stdio::inherit()).output().expect("a program that starts");
    assert!(output.status.success(), "{command:?} ended with {}", output.status);
    String::from_utf8(output.stdout).expect("text")
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

/// When, where and how.
fn circumstances() -> String {
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

const INTRODUCTION: &str = "Release builds; each row of a table side by side with the others of its round, medians. \
    Compare ratios, not times: `cargo run --release -p metrics-push-benches --bin tables` prints these tables for yours.\n";

/// What is below a bench's title in earlier tables.
fn earlier<'a>(tables: &'a str, bench: &Bench) -> Option<&'a str> {
    let (_, below) = tables.split_once(&format!("### {}\n", bench.title))?;
    Some(below.split("\n### ").next().unwrap_or(below).trim())
}

/// Text taken apart: what is before the tables, the tables, what is after them.
fn parts(text: &str) -> (&str, &str, &str) {
    let (before, rest) = text.split_once(BEGIN).expect("the mark where the tables begin");
    let (tables, after) = rest.split_once(END).expect("the mark where the tables end");
    (before, tables, after)
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (mut file, mut names) = (None, Vec::new());
    while let Some(argument) = arguments.next() {
        if argument == "--write" {
            file = Some(root().join(arguments.next().expect("a file after --write")));
        } else {
            assert!(BENCHES.iter().any(|bench| bench.name == argument), "no bench {argument}");
            names.push(argument);
        }
    }
    let text = file.as_ref().map(|file| std::fs::read_to_string(file).expect("a file of text"));
    let (before, known, after) = text.as_deref().map_or(("", "", ""), parts);
    let (circumstances, mut tables) = (circumstances(), INTRODUCTION.to_owned());
    for bench in &BENCHES {
        let is_wanted = names.is_empty() || names.iter().any(|name| name == bench.name);
        let section = if is_wanted {
            Some(format!("{circumstances}\n\n{}", tables_of(bench)))
        } else {
            earlier(known, bench).map(str::to_owned)
        };
        if let Some(section) = section {
            write!(tables, "\n### {}\n\n{section}\n", bench.title)
                .expect("a string takes whatever is written to it");
        }
    }
    match &file {
        Some(file) => {
            let text = [before, BEGIN, &tables, END, after].concat();
            std::fs::write(file, text).expect("a file that can be written");
        }
        None => print!("{tables}"),
    }
}
