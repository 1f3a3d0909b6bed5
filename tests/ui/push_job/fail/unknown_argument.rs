use metrics_push::push_job;

#[push_job(retries = 3)]
fn import() {}

fn main() {}
