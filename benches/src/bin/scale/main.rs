//! Measures processes with thousands of groups, and what a gateway costs that is down. The gateways are real ones.
//!
//! ```sh
//! cargo run --release -p metrics-push-benches --bin scale            # all tables, in about ten minutes
//! cargo run --release -p metrics-push-benches --bin scale -- drain   # one of: open, dead, drain, long, recover
//! ```
//!
//! Each measured process is a child of this one. The bench fails if a gateway lacks an outcome at the end.

mod child;
mod dead;
mod drain;
mod folder;
mod long;
mod open;
mod recover;

use std::env;

use metrics_push_benches::Table;

/// Measures and returns a table.
type Measure = fn() -> Table;

/// The tables, by the argument that selects them.
const TABLES: [(&str, Measure); 5] = [
    ("open", open::table),
    ("dead", dead::table),
    ("drain", drain::table),
    ("long", long::table),
    ("recover", recover::table),
];

fn main() {
    let arguments: Vec<_> = env::args().skip(1).collect();
    if let [command, work, number, url] = &*arguments
        && command == child::COMMAND
    {
        child::run(work, number.parse().expect("a number"), url);
        return;
    }
    for (name, measure) in TABLES {
        if arguments.is_empty() || arguments.iter().any(|wanted| wanted == name) {
            println!("{}", measure());
        }
    }
}
