//! Sinks: the destinations of requests. One file for each kind, and one row in `schemes.rs`.

mod acceptance;
mod answers;
mod compression;
mod dry_run;
mod group_states;
#[cfg(feature = "gzip")]
mod gzip;
#[cfg(not(feature = "gzip"))]
#[path = "gzip_disabled.rs"]
mod gzip;
mod influx;
mod interface;
#[cfg(feature = "kafka")]
pub(crate) mod kafka;
#[cfg(not(feature = "kafka"))]
#[path = "kafka_disabled.rs"]
mod kafka;
mod otlp;
mod outbox;
mod post;
mod prometheus_api;
mod proto;
pub(crate) mod pushgateway;
#[cfg(feature = "remote-write")]
mod remote_write;
#[cfg(not(feature = "remote-write"))]
#[path = "remote_write_disabled.rs"]
mod remote_write;
mod remote_write_version;
mod ring;
mod sample_clock;
mod sample_sink;
mod sample_times;
mod sasl_mechanism;
mod schemes;
mod series;
mod shards;
mod target;
mod textfile;

#[cfg(test)]
pub(crate) use dry_run::DryRun;
#[cfg(test)]
pub(crate) use interface::{QueryFuture, Semantics, SendFuture};

pub use acceptance::Acceptance;
pub(crate) use group_states::{GroupState, GroupStates};
pub(crate) use interface::{Accepted, Model, OnFailure, OnRepeat, Query, Rejection, Sink};
pub(crate) use prometheus_api::PrometheusApi;
pub use pushgateway::GatewayKind;
pub(crate) use remote_write_version::RemoteWriteVersion;
pub use sasl_mechanism::SaslMechanism;
pub(crate) use schemes::{
    Destination, display_url, is_kafka_scheme, is_pushgateway, is_sharded, is_textfile, open,
};
pub(crate) use shards::Shards;
pub(crate) use target::{Mode, Target};
pub use textfile::GroupFile;
pub(crate) use textfile::Textfile;
