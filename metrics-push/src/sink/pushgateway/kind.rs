//! The two kinds of servers that implement the Pushgateway's push API.

/// How a gateway treats a request that it receives twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum GatewayKind {
    /// A Pushgateway: the second request changes nothing. Requests without a response are sent again.
    #[default]
    Pushgateway,
    /// A gateway that adds up the values it receives: both requests count.
    ///
    /// A request that may have arrived is never sent again, neither at once nor by a later run, so it can be lost. A request
    /// that cannot have arrived (no connection, 408, 425, 429) is retried as usual. Requests for the same group are still
    /// merged while they wait, as on a Pushgateway, so wait for each push before the next one. A sum of timestamps means
    /// nothing, so do not send the `batch_job_` families of runs to such a gateway.
    Aggregating,
}
