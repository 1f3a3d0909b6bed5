use metrics_push::timed;

#[timed(in_fligth)]
fn load() {}

fn main() {}
