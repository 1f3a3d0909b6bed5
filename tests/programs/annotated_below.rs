//! The async job with `#[push_job]` below `#[tokio::main]`.

mod body;

#[tokio::main(flavor = "current_thread")]
#[metrics_push::push_job(run = run, every = "1h")]
async fn main() -> Result<(), String> {
    body::body(|records| run.add_processed(records))
}
