//! `Target`: the part of a configuration that applies to one sink.

use super::pushgateway::{Encoding, GatewayKind};
use super::remote_write_version::RemoteWriteVersion;
use super::sasl_mechanism::SaslMechanism;
use crate::http::{RawUrl, Transport};

/// How to push to one sink.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) url: RawUrl,
    pub(crate) transport: Transport,
    pub(crate) kind: GatewayKind,
    pub(crate) encoding: Encoding,
    #[cfg_attr(
        not(feature = "remote-write"),
        expect(dead_code, reason = "only remote write has versions")
    )]
    pub(crate) remote_write: RemoteWriteVersion,
    #[cfg_attr(not(feature = "kafka"), expect(dead_code, reason = "only Kafka has mechanisms"))]
    pub(crate) sasl_mechanism: SaslMechanism,
    pub(crate) mode: Mode,
}

impl Target {
    /// Returns the target at `url` with the default settings.
    pub(crate) fn with_defaults(url: RawUrl) -> Self {
        Self {
            url,
            transport: Transport::default(),
            kind: GatewayKind::default(),
            encoding: Encoding::default(),
            remote_write: RemoteWriteVersion::default(),
            sasl_mechanism: SaslMechanism::default(),
            mode: Mode::Live,
        }
    }
}

/// Whether requests that change a sink are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Live,
    /// Requests are written to stderr and not sent.
    DryRun,
}
