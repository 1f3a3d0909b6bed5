use metrics_push::push_job;

#[push_job(failure_threshold = 0, recovery_threshold = "2")]
fn import() {}

fn main() {}
