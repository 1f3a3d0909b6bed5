use metrics_push::push_job;

#[push_job(every = 24, run = "run", instance(a), grouping = region, signals = none)]
fn import() {}

fn main() {}
