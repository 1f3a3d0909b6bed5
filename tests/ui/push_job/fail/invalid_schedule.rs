use metrics_push::push_job;

#[push_job(schedule = "60 3 * * *")]
fn minute() {}

#[push_job(schedule = "0 24 * * *")]
fn hour() {}

#[push_job(schedule = "0 3 L * *")]
fn day() {}

#[push_job(schedule = "0 3 * JANUARY *")]
fn month() {}

#[push_job(schedule = "0 3 * * FRI-MON")]
fn weekday() {}

#[push_job(schedule = "0 3 * *")]
fn four_fields() {}

#[push_job(schedule = "@reboot")]
fn short_form() {}

fn main() {}
