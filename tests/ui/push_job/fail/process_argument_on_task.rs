use metrics_push::push_job;

#[push_job(max_runtime = "1h", kill, supervise, signals = off)]
fn import() {}

fn main() {}
