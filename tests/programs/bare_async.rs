//! The async job without `#[push_job]`, for comparison.

mod body;

#[tokio::main]
async fn main() -> Result<(), String> {
    body::body(|_| {})
}
