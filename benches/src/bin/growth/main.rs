//! Measures how the cost of a process grows with each dimension of its work, and fits the exponent of the growth.
//!
//! ```sh
//! cargo run --release -p metrics-push-benches --bin growth              # all dimensions
//! cargo run --release -p metrics-push-benches --bin growth -- shards    # those whose names contain a text
//! ```
//!
//! For each dimension the bench doubles the work. Each amount of work runs in a separate process, three times, in turn with
//! the same process without work; the least cost counts, because other load only adds to it. The exponent is the slope of
//! the cost above that of no work, on logarithmic scales: 1 is linear, 2 is quadratic. It is fitted to the amounts of work
//! whose cost is well above that of no work, and it is not stated if there are fewer than three of them. The peak of the memory
//! of a process is at least that of this bench, which started it.

mod dimensions;
mod fit;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use dimensions::{DIMENSIONS, Dimension, Measured};
use fit::Growth;
use metrics_push_benches::server::Server;
use metrics_push_benches::usage::measure;
use metrics_push_benches::{Table, build_beside};

/// The greatest exponent of a cost that grows only with the work.
const MAX_EXPONENT: f64 = 1.1;
/// The prefix of the dimensions that do their work without this library.
const LIMIT: &str = "limit: ";
/// How often each amount of work is measured.
const ROUNDS: usize = 3;
/// The program that the package `metrics-push-cli` builds.
const COMMAND: &str = "metrics-push";

/// What a process costs.
#[derive(Clone, Copy)]
struct Cost {
    cpu_ms: f64,
    memory_kib: f64,
    /// The calls of `read` and `write`, on files and sockets.
    calls: f64,
}

impl Cost {
    const INFINITE: Self =
        Self { cpu_ms: f64::INFINITY, memory_kib: f64::INFINITY, calls: f64::INFINITY };

    fn min(self, other: Self) -> Self {
        Self {
            cpu_ms: self.cpu_ms.min(other.cpu_ms),
            memory_kib: self.memory_kib.min(other.memory_kib),
            calls: self.calls.min(other.calls),
        }
    }
}

fn main() {
    let arguments: Vec<_> = env::args().skip(1).collect();
    if let [command, name, phase, size, url] = &*arguments
        && command == "child"
    {
        dimensions::run_child(name, phase, size.parse().expect("a number"), url);
        return;
    }
    let is_wanted = |dimension: &&Dimension| {
        arguments.is_empty() || arguments.iter().any(|text| dimension.name.contains(&**text))
    };
    let mut folders = Folders::new();
    let mut table = Table::new(&[
        "dimension",
        "up to",
        "CPU per unit, µs",
        "CPU, exponent",
        "memory per unit, KiB",
        "memory, exponent",
        "reads and writes per unit",
        "reads and writes, exponent",
        "",
    ]);
    let dimensions: Vec<_> = DIMENSIONS.iter().filter(is_wanted).collect();
    if dimensions.iter().any(|dimension| matches!(dimension.measured, Measured::Status)) {
        build_beside("metrics-push-cli", COMMAND);
    }
    for dimension in dimensions {
        add_row(&mut table, dimension, &mut folders);
    }
    print!("{table}");
}

/// Measures a dimension and adds its row.
fn add_row(table: &mut Table, dimension: &Dimension, folders: &mut Folders) {
    let mut sizes = vec![0];
    sizes.extend(dimension.sizes());
    let mut costs = vec![Cost::INFINITE; sizes.len()];
    for _ in 0..ROUNDS {
        for (size, cost) in sizes.iter().zip(&mut costs) {
            *cost = cost.min(cost_of(dimension, *size, folders));
        }
    }
    let growth = |of: fn(&Cost) -> f64, resolution: f64| {
        let values: Vec<_> = costs.iter().map(of).collect();
        Growth::fit(&sizes, &values, resolution)
    };
    let cpu = growth(|cost| cost.cpu_ms * 1e3, 4e3);
    let memory = growth(|cost| cost.memory_kib, 512.0);
    let calls = growth(|cost| cost.calls, 20.0);
    let is_met = [&cpu, &memory, &calls]
        .iter()
        .all(|growth| growth.exponent.is_none_or(|exponent| exponent <= MAX_EXPONENT));
    let verdict = match (dimension.name.starts_with(LIMIT), is_met) {
        (true, _) => "",
        (false, true) => "met",
        (false, false) => "missed",
    };
    table.row(&[
        dimension.name,
        &dimension.max.to_string(),
        &cpu.per_unit(),
        &cpu.exponent(),
        &memory.per_unit(),
        &memory.exponent(),
        &calls.per_unit(),
        &calls.exponent(),
        verdict,
    ]);
}

/// Runs a process that does this amount of work, and returns its cost.
fn cost_of(dimension: &Dimension, size: usize, folders: &mut Folders) -> Cost {
    let folder = folders.create();
    let server = Server::bind();
    if dimension.prepare.is_some() {
        let mut prepare = child(dimension, "prepare", size, &server, &folder);
        let status = prepare.stderr(Stdio::null()).status();
        assert!(status.expect("the child starts").success());
    }
    let measured = match dimension.measured {
        Measured::JobInOutage(_) => child(dimension, "measure", size, &server, &folder),
        Measured::Job(_) => {
            server.start(0);
            child(dimension, "measure", size, &server, &folder)
        }
        Measured::Status => {
            // Without any group, the verdict would be "unknown".
            server.start(size.max(1));
            status(&server, &folder)
        }
    };
    let usage = measure(measured);
    Cost {
        cpu_ms: usage.cpu_ms,
        memory_kib: usage.resident_mib * 1024.0,
        calls: usage.calls as f64,
    }
}

fn child(
    dimension: &Dimension,
    phase: &str,
    size: usize,
    server: &Server,
    folder: &Path,
) -> Command {
    let mut command = Command::new(this_program());
    command.args(["child", dimension.name, phase, &size.to_string(), &server.url()]);
    command.env_clear().env(dimensions::FOLDER_VARIABLE, folder);
    command
}

/// Returns `metrics-push status`. Its verdict is that no group needs attention.
fn status(server: &Server, folder: &Path) -> Command {
    let mut command = Command::new(this_program().with_file_name(COMMAND));
    command.args(["status", "--url", &server.url()]);
    command.env_clear().env("METRICS_PUSH_STATE_DIR", dimensions::state_dir_in(folder));
    command
}

fn this_program() -> PathBuf {
    env::current_exe().expect("the path of this program")
}

/// The state directories of the children. They are removed at the end, because ext4 needs longer to create a file after
/// many files were deleted.
struct Folders {
    parent: PathBuf,
    count: usize,
}

impl Folders {
    fn new() -> Self {
        let name = format!("metrics-push-growth-{}", std::process::id());
        Self { parent: env::temp_dir().join(name), count: 0 }
    }

    fn create(&mut self) -> PathBuf {
        self.count += 1;
        let folder = self.parent.join(self.count.to_string());
        fs::create_dir_all(&folder).expect("the temporary folder is writable");
        folder
    }
}

impl Drop for Folders {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.parent);
    }
}
