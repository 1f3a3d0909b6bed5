use metrics_push::push_job;

#[push_job(every = "24h", timezone = "Europe/Berlin")]
fn daily() {}

#[push_job(schedule = "@daily", timezone = "")]
fn unnamed() {}

fn main() {}
