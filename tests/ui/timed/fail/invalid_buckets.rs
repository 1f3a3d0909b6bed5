use metrics_push::timed;

#[timed(buckets = [])]
fn empty() {}

#[timed(buckets = [1.0, 0.5, 0.5, -1])]
fn not_increasing() {}

#[timed(buckets = [0.1, f64::INFINITY, f64::NAN, 1e400])]
fn not_finite() {}

#[timed(buckets = 3)]
fn not_a_list() {}

#[timed(buckets(1, 2))]
fn parentheses() {}

fn main() {}
