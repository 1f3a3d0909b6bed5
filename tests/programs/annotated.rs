//! The job with its attribute.

mod body;

#[metrics_push::push_job(run = run, every = "1h")]
fn main() -> Result<(), String> {
    body::body(|records| run.add_processed(records))
}
