//! `Acceptance`: how far a sink has processed a request when it confirms it.

/// How far a sink has processed a request that it accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// The sink checked the request and applied it.
    Applied,
    /// The sink accepted the request without checking it, or applies it later.
    Queued,
}
