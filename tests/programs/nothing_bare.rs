//! The job that does nothing, without `#[push_job]`.

fn main() {}
