//! `SaslMechanism`: how a Kafka client proves its password.

/// The mechanism by which a user name and a password are sent to a Kafka broker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SaslMechanism {
    /// The password itself. Use it with TLS only.
    #[default]
    Plain,
    /// A challenge and a response with SHA-256. Needs the feature `kafka-tls`.
    ScramSha256,
    /// A challenge and a response with SHA-512. Needs the feature `kafka-tls`.
    ScramSha512,
}

impl SaslMechanism {
    /// Returns the registered name of the mechanism.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}
