//! End to end against the servers that people run: Debian's `prometheus-pushgateway` and `prometheus`.
//!
//! A missing server fails these tests and names the package; without the feature `e2e` they are not built.

mod cli;
mod fake_gateway;
mod http;
mod jobs;
mod real;
mod round_trips;
