//! `Acceptance`: how far a sink has processed a request when it confirms it.

/// How far a request has been processed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// The sink checked the request and applied it.
    Applied,
    /// The sink accepted the request without checking it, or applies it later.
    Queued,
    /// The sink did not accept the request yet. It is stored on disk, and delivered later; see
    /// [`Gateway::spool`](crate::Gateway::spool).
    Spooled,
}
