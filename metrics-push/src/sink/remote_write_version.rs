//! `RemoteWriteVersion`: the version of the remote-write protocol.

/// The version of the protocol that a sink sends first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum RemoteWriteVersion {
    #[default]
    V1,
    /// Falls back to version 1.0 if the receiver does not support 2.0.
    V2,
}
