//! The job without the attribute, for comparison.

mod body;

fn main() -> Result<(), String> {
    body::body(|_| {})
}
