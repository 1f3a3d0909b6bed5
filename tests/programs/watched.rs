//! The job with its attribute, and a run time that alerts watch.

mod body;

#[metrics_push::push_job(name = "watched", run = run, every = "1h", max_runtime = "1s")]
fn main() -> Result<(), String> {
    body::body(|records| run.add_processed(records))
}
