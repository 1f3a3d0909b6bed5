//! The asynchronous job with its attribute below the runtime's.

mod body;

#[tokio::main(flavor = "current_thread")]
#[metrics_push::push_job(run = run, every = "1h")]
async fn main() -> Result<(), String> {
    body::body(|records| run.add_processed(records))
}
