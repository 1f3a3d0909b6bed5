use metrics_push::counted;

#[counted(name = "my-metric_total")]
fn dash() {}

#[counted(name = "")]
fn empty() {}

#[counted(name = "9_lives_total")]
fn leading_digit() {}

fn main() {}
