//! The async job with `#[push_job]` above `#[tokio::main]`.

mod body;

#[metrics_push::push_job(run = run, every = "1h")]
#[tokio::main]
async fn main() -> Result<(), String> {
    body::body(|records| run.add_processed(records))
}
