//! End-to-end tests against real servers: Debian's `prometheus-pushgateway` and `prometheus`.
//!
//! If a server is missing, a test fails and names the package to install. The feature `e2e` enables these tests.

#[expect(dead_code, reason = "some functions are used by the other tests only")]
#[path = "../it/child.rs"]
mod child;
mod cli;
mod container;
mod economy;
mod fake_gateway;
mod fake_random;
#[path = "../it/families.rs"]
mod families;
mod gateway_faults;
mod guarantees;
mod http;
mod jobs;
mod lifecycle;
mod merging;
mod monitoring;
mod names;
mod pair;
mod power_loss;
mod real;
mod recorder;
mod restless;
mod round_trips;
mod rules;
mod scheduler;
mod security;
#[expect(dead_code, reason = "some functions are used by the other tests only")]
#[path = "../it/state.rs"]
mod state;
mod supervise;
mod survival;
mod sweep;
mod wire;
