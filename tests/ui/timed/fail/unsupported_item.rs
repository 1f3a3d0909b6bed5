use metrics_push::timed;

#[timed]
enum Enumeration {}

fn main() {}
