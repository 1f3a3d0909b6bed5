use metrics_push::push_job;

#[push_job(grace = "10m")]
fn import() {}

fn main() {}
