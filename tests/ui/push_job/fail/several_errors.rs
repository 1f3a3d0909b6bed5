use metrics_push::push_job;

#[push_job(nome = "a", every = "24 hours", max_runtime = "1 hour", heartbeat = "0s", on_success = delete)]
fn import() {}

fn main() {}
