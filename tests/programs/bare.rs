//! The job without `#[push_job]`, for comparison.

mod body;

fn main() -> Result<(), String> {
    body::body(|_| {})
}
