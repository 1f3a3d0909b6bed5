use metrics_push::push_job;

#[push_job(kill)]
fn main() {}
