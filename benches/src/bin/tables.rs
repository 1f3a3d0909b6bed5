//! All that is promised of cost, measured and printed in one go, in Markdown.
//!
//! `cargo run --release -p metrics-push-benches --bin tables` prints it; `.. -- --write README.md` puts it between the
//! marks in that file; names of benches, such as `.. -- encode push`, leave out the others. The benches are processes
//! of their own, each built as its package wants it; what they need is said at their heads.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// A bench: its name and package, and what its tables are about.
const BENCHES: [(&str, &str, &str); 5] = [
    ("calls", "metrics-push-bench-calls", "A call of a function with `#[counted]` or `#[timed]`"),
    ("one_shot", "metrics-push-benches", "A whole process whose `main` has `#[push_job]`"),
    ("encode", "metrics-push-benches", "The text of gathered metrics"),
    ("push", "metrics-push-benches", "A push of 100,000 series to a Pushgateway"),
    ("compile_cost", "metrics-push-benches", "Checking 500 functions with an attribute"),
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

fn tables_of(name: &str, package: &str) -> String {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root()).args(["run", "--quiet", "--release", "-p", package, "--bin", name]);
    printed(&mut cargo)
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
        "Measured on {} with rustc {version}, release builds, on a machine with {cores} cores ({processor}){memory}; each row \
         of a table side by side with the others of its round, medians. Compare ratios, not times: \
         `cargo run --release -p metrics-push-benches --bin tables` prints these tables for yours.\n",
        date.trim(),
    )
}

/// The file with `tables` between its marks.
fn with_tables(text: &str, tables: &str) -> String {
    let (before, rest) = text.split_once(BEGIN).expect("the mark where the tables begin");
    let (_, after) = rest.split_once(END).expect("the mark where the tables end");
    [before, BEGIN, tables, END, after].concat()
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (mut file, mut names) = (None, Vec::new());
    while let Some(argument) = arguments.next() {
        if argument == "--write" {
            file = Some(root().join(arguments.next().expect("a file after --write")));
        } else {
            assert!(BENCHES.iter().any(|(name, ..)| *name == argument), "no bench {argument}");
            names.push(argument);
        }
    }
    let mut tables = circumstances();
    for (name, package, what) in BENCHES {
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            write!(tables, "\n### {what}\n\n{}\n", tables_of(name, package).trim())
                .expect("a string takes whatever is written to it");
        }
    }
    match file {
        Some(file) => {
            let text = std::fs::read_to_string(&file).expect("a file that can be read");
            std::fs::write(&file, with_tables(&text, &tables)).expect("a file that can be written");
        }
        None => print!("{tables}"),
    }
}
