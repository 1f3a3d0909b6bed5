use metrics_push::timed;

#[timed(name = "load_ms")]
fn milliseconds() {}

#[timed(name = "load_seconds_total")]
fn counter() {}

#[timed(name = "load_time")]
fn without_unit() {}

fn main() {}
