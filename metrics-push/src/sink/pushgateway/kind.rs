//! `GatewayKind`: the kinds of servers that implement the push API of the Pushgateway.

/// How a gateway treats a request that it receives twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum GatewayKind {
    /// A Pushgateway: the second request changes nothing. Requests without a response are sent again.
    #[default]
    Pushgateway,
    /// A gateway that adds up the values it receives: both requests count.
    ///
    /// A request that may have arrived is never sent again, neither at once nor by a later run, so it can be lost. A
    /// request that cannot have arrived (no connection, 408, 425, 429) is retried as usual.
    ///
    /// Pending requests for the same group are merged as for a Pushgateway: later values replace earlier ones. Wait for
    /// each push before you start the next one, so that the gateway adds up all values.
    ///
    /// The sum of several timestamps is meaningless, so do not send the `batch_job_` families of runs to such a gateway.
    Aggregating,
}
