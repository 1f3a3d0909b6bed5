//! The job with `#[push_job]`.

mod body;

#[metrics_push::push_job(run = run, every = "1h")]
fn main() -> Result<(), String> {
    body::body(|records| run.add_processed(records))
}
