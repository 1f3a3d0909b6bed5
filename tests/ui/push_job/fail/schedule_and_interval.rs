use metrics_push::push_job;

#[push_job(schedule = "0 3 * * *", every = "24h")]
fn import() {}

fn main() {}
