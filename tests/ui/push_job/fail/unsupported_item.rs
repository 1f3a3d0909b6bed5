use metrics_push::push_job;

#[push_job]
impl Job {}

#[push_job]
const fn constant() {}

struct Job;

fn main() {}
