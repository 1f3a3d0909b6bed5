//! End-to-end tests against real servers: Debian's `prometheus-pushgateway`, `prometheus`, `influxdb` and
//! `victoria-metrics`. The page of the command is tested in `chromium`.
//!
//! If a server is missing, a test fails and names the package to install. The feature `e2e` enables these tests.

#[path = "../it/arbitrary_metrics.rs"]
mod arbitrary_metrics;
mod attack;
#[expect(dead_code, reason = "some functions are used by the other tests only")]
#[path = "../it/child.rs"]
mod child;
mod cli;
mod clock_steps;
mod container;
mod dns;
mod environments;
mod examples;
mod exposition;
mod failing_disk;
mod failing_files;
mod fake_gateway;
mod fake_random;
mod fake_vs_real;
mod faketime;
mod few_processes;
mod gateway_faults;
mod guarantees;
mod http;
mod jobs;
mod kill_sweep;
mod late_requests;
mod lifecycle;
mod listener;
mod long_outage;
mod merging;
mod monitoring;
mod page;
mod power_loss;
#[path = "../it/programs.rs"]
mod programs;
mod real;
mod recording_proxy;
mod remote_write;
mod restarting_gateway;
mod round_trips;
mod rules;
mod samples;
mod scheduler;
mod security;
mod shards;
mod shared_folder;
#[path = "../it/signal_defaults.rs"]
mod signal_defaults;
mod sinks;
#[expect(dead_code, reason = "some functions are used by the other tests only")]
#[path = "../it/state_dir.rs"]
mod state_dir;
mod supervise;
mod syscalls;
mod textfile;
mod totals;
mod unprivileged;
mod watch;
mod wire;
mod wrong_clock;

/// The root of the repository.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
