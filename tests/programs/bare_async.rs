//! The asynchronous job without its attribute: what the others are compared with.

mod body;

#[tokio::main]
async fn main() -> Result<(), String> {
    body::body(|_| {})
}
