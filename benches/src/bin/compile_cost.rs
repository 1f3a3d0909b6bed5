//! Measures the compile time and the machine code of the attributes: 500 functions, half of them `async`, bare and
//! annotated.
//!
//! `cargo run -p metrics-push-benches --bin compile_cost` prints seconds and ratios, first with unoptimised macros, which
//! is cargo's default, then with `build-override.opt-level = 3`. It measures the CPU time of the compiler, which does not
//! depend on other load. Then it compiles the functions for release and prints the bytes of machine code that an attribute
//! adds to each; this needs `size` of binutils. `keep` after `--` keeps the generated sources.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use metrics_push_benches::functions::function;
use metrics_push_benches::{Table, median, median_ratio};
use serde_json::Value;

const FUNCTIONS: usize = 500;
const ROUNDS: usize = 5;

/// The crates: the name, and the attributes of each function.
const CRATES: [(&str, &str); 8] = [
    ("bare", ""),
    ("timed", "#[metrics_push::timed]"),
    ("timed_outcome", "#[metrics_push::timed(name = \"load_seconds\", outcome)]"),
    ("counted", "#[metrics_push::counted]"),
    ("counted_and_timed", "#[metrics_push::counted] #[metrics_push::timed]"),
    ("push_job", "#[metrics_push::push_job]"),
    ("instrument", "#[tracing_attributes::instrument]"),
    ("instrument_skip_all", "#[tracing_attributes::instrument(skip_all)]"),
];

/// The targets: a crate, the crate it is compared with, and the maximum ratio of their times.
const TARGETS: [(&str, &str, f64); 4] = [
    ("timed", "bare", 1.35),
    ("counted", "bare", 2.0),
    ("timed", "instrument", 0.6),
    ("counted", "instrument", 0.6),
];

fn main() {
    let folder = std::env::temp_dir().join(format!("compile_cost-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    for (name, attributes) in CRATES {
        fs::write(folder.join(name).with_extension("rs"), source(attributes)).unwrap();
    }
    for macros in [Macros::Unoptimised, Macros::Optimised] {
        println!(
            "\nMacros {}, median of {ROUNDS} rounds, CPU seconds of the compiler:\n",
            macros.text()
        );
        print_tables(&measure(&folder, &dependencies(macros)));
    }
    println!("\nMachine code of the object file with `opt-level = 3`:\n");
    print_text_sizes(&folder);
    if std::env::args().nth(1).as_deref() == Some("keep") {
        println!("\nThe sources are in {}.", folder.display());
    } else {
        fs::remove_dir_all(&folder).unwrap();
    }
}

fn source(attributes: &str) -> String {
    (0..FUNCTIONS).map(|number| function(number, number % 2 == 1, attributes, "limit")).collect()
}

/// How the macro crates are compiled.
#[derive(Clone, Copy)]
enum Macros {
    /// Cargo's default in every profile.
    Unoptimised,
    /// With `build-override.opt-level = 3`.
    Optimised,
}

impl Macros {
    const fn text(self) -> &'static str {
        match self {
            Self::Unoptimised => "unoptimised, which is cargo's default",
            Self::Optimised => "optimised",
        }
    }

    /// The target folder of the dependencies. Each setting has its own, so that cargo rebuilds neither.
    const fn target(self) -> &'static str {
        match self {
            Self::Unoptimised => "target",
            Self::Optimised => "target/compile_cost",
        }
    }
}

/// The compiled crates that provide the attributes.
struct Dependencies {
    metrics_push: PathBuf,
    tracing: PathBuf,
    tracing_attributes: PathBuf,
}

/// Builds the dependencies with the `dev` profile.
fn dependencies(macros: Macros) -> Dependencies {
    let ours = build(macros, "metrics-push/Cargo.toml", "");
    let theirs = build(macros, "benches/peers/instrument/Cargo.toml", "peers/instrument");
    Dependencies {
        metrics_push: library(&ours, "metrics_push"),
        tracing: library(&theirs, "tracing"),
        tracing_attributes: library(&theirs, "tracing_attributes"),
    }
}

/// Builds the library of a package in a folder of the target folder. Returns cargo's JSON messages.
fn build(macros: Macros, manifest: &str, folder: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--lib", "--message-format", "json", "--manifest-path", manifest])
        .arg("--target-dir")
        .arg(root.join(macros.target()).join(folder))
        .current_dir(root)
        .stderr(Stdio::inherit());
    if matches!(macros, Macros::Optimised) {
        cargo.env("CARGO_PROFILE_DEV_BUILD_OVERRIDE_OPT_LEVEL", "3");
    }
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{manifest} does not build");
    String::from_utf8(output.stdout).unwrap()
}

/// Returns the file of a library from cargo's messages: its metadata, or its shared object for a macro crate.
fn library(messages: &str, name: &str) -> PathBuf {
    let messages = messages.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let files = messages
        .filter(|message| {
            message["reason"] == "compiler-artifact" && message["target"]["name"] == name
        })
        .flat_map(|message| message["filenames"].as_array().unwrap().clone());
    let mut paths = files.filter_map(|file| file.as_str().map(PathBuf::from));
    paths
        .find(|path| {
            path.extension().is_some_and(|extension| {
                ["rmeta", "so", "dylib"].iter().any(|known| extension == *known)
            })
        })
        .unwrap_or_else(|| panic!("cargo did not build {name}"))
}

/// Returns the times of each crate, one per round. Each round compiles all crates, so that its times are comparable.
fn measure(folder: &Path, dependencies: &Dependencies) -> Vec<Vec<f64>> {
    let mut times = vec![Vec::new(); CRATES.len()];
    for _ in 0..ROUNDS {
        for ((name, _), times) in CRATES.iter().zip(&mut times) {
            times.push(check(&folder.join(name).with_extension("rs"), dependencies));
        }
    }
    times
}

/// Compiles a crate as `cargo check` does. Returns the compiler's CPU time in user mode, in seconds.
fn check(source: &Path, dependencies: &Dependencies) -> f64 {
    let Dependencies { metrics_push, tracing, tracing_attributes } = dependencies;
    // The shell reports the CPU time of a child in milliseconds.
    let output = Command::new("bash")
        .args(["-c", "TIMEFORMAT=%3U; time \"$@\"", "bash", "rustc", "--edition", "2024"])
        .args(["--crate-type", "lib", "--emit", "dep-info,metadata", "-C", "debuginfo=2"])
        .arg("--out-dir")
        .arg(source.parent().unwrap())
        .arg("--extern")
        .arg(format!("metrics_push={}", metrics_push.display()))
        .arg("--extern")
        .arg(format!("tracing={}", tracing.display()))
        .arg("--extern")
        .arg(format!("tracing_attributes={}", tracing_attributes.display()))
        .args([metrics_push, tracing].map(|library| search_path(library)))
        .arg(source)
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stderr}");
    stderr.trim().parse().unwrap_or_else(|_| panic!("the compiler warns: {stderr}"))
}

/// Returns the search path for the dependencies of a library.
fn search_path(library: &Path) -> String {
    format!("-Ldependency={}", library.parent().unwrap().display())
}

fn print_tables(times: &[Vec<f64>]) {
    let times_of = |name| &times[CRATES.iter().position(|(other, _)| *other == name).unwrap()][..];
    let mut table = Table::new(&["500 functions", "CPU, s", "/ bare", "/ `instrument`"]);
    for ((name, _), times) in CRATES.iter().zip(times) {
        let ratio = |basis| format!("{:.2}", median_ratio(times, times_of(basis)));
        let seconds = format!("{:.2}", median(times));
        table.row(&[*name, &seconds, &ratio("bare"), &ratio("instrument")]);
    }
    println!("{table}");
    let mut table = Table::new(&["ratio", "measured", "at most", ""]);
    for (name, basis, target) in TARGETS {
        table.ratio(
            &format!("{name} / {basis}"),
            median_ratio(times_of(name), times_of(basis)),
            target,
        );
    }
    println!("{table}");
}

/// A crate, and the maximum bytes of machine code that its attributes add to each `fn` and to each `async fn`.
const TEXT_TARGETS: [(&str, [f64; 2]); 3] =
    [("counted", [153.0, 283.0]), ("timed", [172.0, 190.0]), ("counted_and_timed", [358.0, 466.0])];

fn print_text_sizes(folder: &Path) {
    let library = release_library();
    let sizes = |name| {
        let (_, attributes) = CRATES.iter().find(|(other, _)| *other == name).unwrap();
        [false, true].map(|is_async| {
            let source = folder.join(format!("{name}_text_{is_async}.rs"));
            fs::write(&source, text_source(attributes, is_async)).unwrap();
            text_size(&source, &library)
        })
    };
    let bare = sizes("bare");
    let mut table =
        Table::new(&["bytes of machine code per function above bare", "measured", "at most", ""]);
    for (name, targets) in TEXT_TARGETS {
        let measured = sizes(name).into_iter().zip(bare);
        for ((kind, target), (size, bare)) in ["", "async: "].iter().zip(targets).zip(measured) {
            table.ratio(&format!("{kind}{name}"), (size - bare) / FUNCTIONS as f64, target);
        }
    }
    println!("{table}");
}

/// Builds the library with the release profile. Returns the path of its metadata.
fn release_library() -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--release", "--lib", "--package", "metrics-push"]);
    cargo.args(["--message-format", "json"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = cargo.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "the library does not build");
    library(&String::from_utf8(output.stdout).unwrap(), "metrics_push")
}

/// Returns functions of one kind. Each `async fn` has a caller that boxes its future, because the compiler generates no code
/// for an unused one.
fn text_source(attributes: &str, is_async: bool) -> String {
    let mut source = String::new();
    for number in 0..FUNCTIONS {
        source += &function(number, is_async, attributes, "limit");
        if is_async {
            writeln!(
                source,
                "pub fn boxed_{number}<'a>(text: &'a str, limit: u64)
                -> Box<dyn Future<Output = Result<u64, std::num::ParseIntError>> + 'a> {{
                    Box::new(total_{number}(text, limit))
                }}"
            )
            .unwrap();
        }
    }
    source
}

/// Compiles a crate to an object file. Returns the size of its text in bytes.
fn text_size(source: &Path, library: &Path) -> f64 {
    let object = source.with_extension("o");
    let mut rustc = Command::new("rustc");
    rustc.args(["--edition", "2024", "--crate-type", "lib", "--emit", "obj"]);
    rustc.args(["-C", "opt-level=3", "-C", "codegen-units=1", "--extern"]);
    rustc.arg(format!("metrics_push={}", library.display())).arg(search_path(library));
    let status = rustc.arg("-o").arg(&object).arg(source).status().unwrap();
    assert!(status.success(), "{} does not compile", source.display());
    let output = Command::new("size")
        .arg("-A")
        .arg(&object)
        .output()
        .expect("`size` of binutils is installed");
    let sections = String::from_utf8(output.stdout).unwrap();
    let sections = sections.lines().filter(|line| line.starts_with(".text"));
    sections.map(|line| line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap()).sum()
}
