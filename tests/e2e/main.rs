//! End to end against the servers that people run: Debian's `prometheus-pushgateway` and `prometheus`.
//!
//! A missing server fails these tests and names the package; without the feature `e2e` they are not built.

#[path = "../it/arbitrary_metrics.rs"]
mod arbitrary_metrics;
#[expect(dead_code, reason = "what only the other tests need")]
#[path = "../it/child.rs"]
mod child;
mod cli;
mod container;
mod dns;
mod fake_gateway;
mod fake_random;
mod fake_vs_real;
mod gateway_faults;
mod guarantees;
mod http;
mod jobs;
mod lifecycle;
mod merging;
mod monitoring;
mod power_loss;
mod real;
mod recording_proxy;
mod restless;
mod round_trips;
mod rules;
mod scheduler;
mod security;
#[expect(dead_code, reason = "what only the other tests need")]
#[path = "../it/state.rs"]
mod state;
mod supervise;
mod survival;
mod sweep;
mod syscalls;
mod wire;
