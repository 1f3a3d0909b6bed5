use metrics_push::counted;

#[counted(name = "push_time_seconds", conventions = off)]
fn metric_of_the_gateway() {}

#[counted(name = "batch_job_total")]
fn metric_of_a_run() {}

fn main() {}
