//! The job that does nothing, without its attribute.

fn main() {}
