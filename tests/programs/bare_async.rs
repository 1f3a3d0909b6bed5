//! The async job without the attribute, for comparison.

mod body;

#[tokio::main]
async fn main() -> Result<(), String> {
    body::body(|_| {})
}
