//! `reqwest_lean URL FILE` pushes the content of a file.

use reqwest_lean::Lean;

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [url, file] = &arguments[..] else { return };
    Lean::new(url).push(file);
}
