use metrics_push::push_job;

#[push_job(grouping(job = "a", le = 1, __x = 1, region = "eu", region = "us", instance = "a"), instance)]
fn import() {}

fn main() {}
