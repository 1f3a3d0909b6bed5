//! Pages to read: what happens when, how to test a job, where to come from, and what to do about an error.
//!
//! - [`choices`]: what happens when, which verb, why not a counter.
//! - [`testing`]: a job's outcome, metrics and labels, asserted in your own tests.
//! - [`migration`]: from the Go client, the `prometheus` crate's `push`, autometrics, and `curl` at the end of a script.
//! - [`troubleshooting`]: by error message.
//! - [`dependencies`]: every crate that comes along, and what for.
//! - [`questions`]: the instance label, times to live, counters across runs, `honor_labels`, and others that are asked.

#[doc = include_str!("guide/choices.md")]
pub mod choices {}

#[doc = include_str!("guide/testing.md")]
pub mod testing {}

#[doc = include_str!("guide/migration.md")]
pub mod migration {}

#[doc = include_str!("guide/troubleshooting.md")]
pub mod troubleshooting {}

#[doc = include_str!("guide/dependencies.md")]
pub mod dependencies {}

#[doc = include_str!("guide/questions.md")]
pub mod questions {}
