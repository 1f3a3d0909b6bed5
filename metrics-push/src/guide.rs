//! Guide pages: which metrics and verbs, how requests are delivered, how to test, migrate and fix errors.
//!
//! - [`choices`]: when a run pushes what, which verb to use, the API without attributes, why not a counter.
//! - [`metrics`]: all metrics of a run.
//! - [`delivery`]: timeouts, retries, stored requests, several gateways, wire formats.
//! - [`configuration`]: all environment variables, proxies, secrets, the state directory.
//! - [`sinks`]: the destinations, and the credentials of each.
//! - [`textfile`]: the textfile collector of the node exporter as a destination.
//! - [`remote_write`]: Prometheus, Mimir, Grafana Cloud and VictoriaMetrics as destinations.
//! - [`influxdb`]: InfluxDB and other servers that accept its line protocol as destinations.
//! - [`otlp`]: the OpenTelemetry Collector and other receivers of OTLP as destinations.
//! - [`kafka`]: a topic of Kafka as a destination, and the relay that delivers from there.
//! - [`scale`]: which destination for how many runs, and rings of Pushgateways.
//! - [`schedulers`]: many tasks in one long-lived process.
//! - [`schedules`]: cron expressions, time zones, missed runs, thresholds.
//! - [`command`]: the command `metrics-push`.
//! - [`testing`]: assertions on outcome, metrics and labels in your own tests.
//! - [`migration`]: from the Go client, the `prometheus` crate's `push`, autometrics, and `curl` in a script.
//! - [`troubleshooting`]: causes and remedies by error message.
//! - [`questions`]: frequently asked questions.
//! - [`costs`]: measurements next to other libraries.
//! - [`dependencies`]: every crate in the dependency tree and its purpose.

#[doc = include_str!("guide/choices.md")]
pub mod choices {}

#[doc = include_str!("guide/metrics.md")]
pub mod metrics {}

#[doc = include_str!("guide/delivery.md")]
pub mod delivery {}

#[doc = include_str!("guide/history.md")]
pub mod history {}

#[doc = include_str!("guide/configuration.md")]
pub mod configuration {}

#[doc = include_str!("guide/sinks.md")]
pub mod sinks {}

#[doc = include_str!("guide/textfile.md")]
pub mod textfile {}

#[doc = include_str!("guide/remote_write.md")]
pub mod remote_write {}

#[doc = include_str!("guide/influxdb.md")]
pub mod influxdb {}

#[doc = include_str!("guide/otlp.md")]
pub mod otlp {}

#[doc = include_str!("guide/kafka.md")]
pub mod kafka {}

#[doc = include_str!("guide/scale.md")]
pub mod scale {}

#[doc = include_str!("guide/schedulers.md")]
pub mod schedulers {}

#[doc = include_str!("guide/schedules.md")]
pub mod schedules {}

#[doc = include_str!("guide/command.md")]
pub mod command {}

#[doc = include_str!("guide/testing.md")]
pub mod testing {}

#[doc = include_str!("guide/migration.md")]
pub mod migration {}

#[doc = include_str!("guide/troubleshooting.md")]
pub mod troubleshooting {}

#[doc = include_str!("guide/questions.md")]
pub mod questions {}

#[doc = include_str!("guide/costs.md")]
#[expect(clippy::doc_markdown, reason = "the benches write the names of programs into the tables")]
pub mod costs {}

#[doc = include_str!("guide/dependencies.md")]
pub mod dependencies {}
