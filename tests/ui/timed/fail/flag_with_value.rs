use metrics_push::timed;

#[timed(outcome = true, in_flight())]
fn load() {}

fn main() {}
