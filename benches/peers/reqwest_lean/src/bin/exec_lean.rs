//! `exec_lean URL START COMPLETION COMMAND` pushes the content of a file before a command, and that of another one after it.

use std::process::Command;

use reqwest_lean::Lean;

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [url, start, completion, command] = &arguments[..] else { return };
    let lean = Lean::new(url);
    lean.push(start);
    assert!(Command::new(command).status().unwrap().success());
    lean.push(completion);
}
