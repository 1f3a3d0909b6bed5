//! The job that does nothing, without the attribute.

fn main() {}
