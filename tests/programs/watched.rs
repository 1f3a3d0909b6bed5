//! The job with a maximum runtime, for the alert rules.

mod body;

#[metrics_push::push_job(name = "watched", run = run, every = "1h", max_runtime = "1s")]
fn main() -> Result<(), String> {
    body::body(|records| run.add_processed(records))
}
