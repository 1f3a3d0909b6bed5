use metrics_push::push_job;

#[push_job(name = "")]
fn import() {}

fn main() {}
