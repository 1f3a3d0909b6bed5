use metrics_push::push_job;

#[push_job(registry = "metrics")]
fn import() {}

fn main() {}
