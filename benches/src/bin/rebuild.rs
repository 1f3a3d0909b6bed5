//! Measures a rebuild after a change in the body of one function, for a program with 500 functions in 25 files.
//!
//! `cargo run -p metrics-push-benches --bin rebuild` prints the CPU time of cargo and the compiler, which does not depend on
//! other load: for `cargo check`, and for `cargo build`, which also links the program. All programs have `#[push_job]` on
//! `main`. The changed function has the attributes of the row, and half of the functions are `async`.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use metrics_push_benches::usage::measure;
use metrics_push_benches::{Table, functions, median, median_ratio};

const FILES: usize = 25;
const FUNCTIONS_PER_FILE: usize = 20;
const CHANGED_FILE: usize = 12;
const ROUNDS: usize = 9;

/// The programs: the name, the attributes, and how many functions there are for each annotated one. The other programs
/// are compared with the first.
const PROGRAMS: [(&str, &str, usize); 7] = [
    ("bare", "", 1),
    ("counted", COUNTED, 10),
    ("timed", TIMED, 10),
    ("both", BOTH, 10),
    ("counted_everywhere", COUNTED, 1),
    ("timed_everywhere", TIMED, 1),
    ("both_everywhere", BOTH, 1),
];
const COUNTED: &str = "#[metrics_push::counted]";
const TIMED: &str = "#[metrics_push::timed]";
const BOTH: &str = "#[metrics_push::counted] #[metrics_push::timed]";

const COMMANDS: [&str; 2] = ["check", "build"];

/// The maximum ratio of a rebuild to that of the bare program.
const MAX_RATIO: f64 = 1.1;

const MANIFEST: &str = r#"[package]
name = "NAME"
version = "0.0.0"
edition = "2024"

[dependencies]
metrics-push = { path = "PATH", default-features = false }

[workspace]
"#;

fn main() {
    // Always the same folder: otherwise each run would add programs to the target folder.
    let folder = target().join("programs");
    let mut times = COMMANDS.map(|_| vec![Vec::new(); PROGRAMS.len()]);
    for (name, attributes, every) in PROGRAMS {
        write_program(&folder.join(name), attributes, every);
        for command in COMMANDS {
            cpu_seconds(&folder.join(name), command);
        }
    }
    for round in 1..=ROUNDS {
        for (position, (name, attributes, every)) in PROGRAMS.into_iter().enumerate() {
            let package = folder.join(name);
            write_file(&package, CHANGED_FILE, attributes, every, round);
            for (command, times) in COMMANDS.iter().zip(&mut times) {
                times[position].push(cpu_seconds(&package, command));
            }
        }
    }
    fs::remove_dir_all(&folder).unwrap();
    print_tables(&times);
}

/// Writes a package whose `main` calls all functions.
fn write_program(package: &Path, attributes: &str, every: usize) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let name = package.file_name().unwrap().to_str().unwrap();
    let library = root.join("metrics-push");
    let manifest = MANIFEST.replace("NAME", name).replace("PATH", library.to_str().unwrap());
    fs::create_dir_all(package.join("src")).unwrap();
    fs::write(package.join("Cargo.toml"), manifest).unwrap();
    let (mut modules, mut calls) = (String::new(), String::new());
    for file in 0..FILES {
        write_file(package, file, attributes, every, 0);
        writeln!(modules, "mod part_{file};").unwrap();
        for function in 0..FUNCTIONS_PER_FILE {
            let wait = if is_async(function) { ".await" } else { "" };
            writeln!(calls, "    part_{file}::total_{function}(\"7\", 9){wait}?;").unwrap();
        }
    }
    let main = format!(
        "{modules}
#[metrics_push::push_job]
fn main() -> Result<(), std::num::ParseIntError> {{
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let polled = std::pin::pin!(run()).poll(&mut context);
    assert!(polled.is_ready());
    Ok(())
}}

async fn run() -> Result<(), std::num::ParseIntError> {{
{calls}    Ok(())
}}
"
    );
    fs::write(package.join("src/main.rs"), main).unwrap();
}

/// Writes one file of functions. `change` is a constant in the body of the first one.
fn write_file(package: &Path, file: usize, attributes: &str, every: usize, change: usize) {
    let mut source = String::new();
    for function in 0..FUNCTIONS_PER_FILE {
        let (attributes, change) = (
            if function % every == 0 { attributes } else { "" },
            if function == 0 { change } else { 0 },
        );
        let limit = format!("limit + {change}");
        source += &functions::function(function, is_async(function), attributes, &limit);
    }
    fs::write(package.join(format!("src/part_{file}.rs")), source).unwrap();
}

/// Half of the functions of each file, and half of those that every tenth attribute is on.
const fn is_async(function: usize) -> bool {
    function >= FUNCTIONS_PER_FILE / 2
}

/// Runs cargo in a package, and returns the CPU time of all processes in seconds.
fn cpu_seconds(package: &Path, command: &str) -> f64 {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.arg(command).current_dir(package);
    // Incremental compilation is cargo's default, but the caller's environment may turn it off.
    cargo.env("CARGO_INCREMENTAL", "1").env("CARGO_TARGET_DIR", target());
    measure(cargo).cpu_ms / 1e3
}

/// All programs share the compiled dependencies.
fn target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("target").join("peers/rebuild")
}

fn print_tables(times: &[Vec<Vec<f64>>; 2]) {
    let mut table =
        Table::new(&["500 functions", "annotated", "check, s", "/ bare", "build, s", "/ bare"]);
    let mut limits = Table::new(&["ratio", "measured", "at most", ""]);
    for (position, (name, attributes, every)) in PROGRAMS.into_iter().enumerate() {
        let annotated = if attributes.is_empty() { 0 } else { FILES * FUNCTIONS_PER_FILE / every };
        let mut cells = vec![name.to_owned(), annotated.to_string()];
        for (command, times) in COMMANDS.iter().zip(times) {
            let ratio = median_ratio(&times[position], &times[0]);
            cells.push(format!("{:.2}", median(&times[position])));
            cells.push(format!("{ratio:.2}"));
            if annotated > 0 {
                limits.ratio(&format!("{command}: {name} / bare"), ratio, MAX_RATIO);
            }
        }
        table.row(&cells);
    }
    println!("{table}\n{limits}");
}
