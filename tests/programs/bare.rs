//! The job without its attribute: what the others are compared with.

mod body;

fn main() -> Result<(), String> {
    body::body(|_| {})
}
