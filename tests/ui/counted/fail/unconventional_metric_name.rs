use metrics_push::counted;

#[counted(name = "loads")]
fn without_total() {}

#[counted(name = "loads_count")]
fn suffix_of_a_histogram() {}

#[counted(name = "job:loads_total")]
fn recording_rule() {}

fn main() {}
