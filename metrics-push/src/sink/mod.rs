//! `Sink`: a destination of requests. A call makes one attempt; `delivery` decides about retries.

mod acceptance;
pub(crate) mod pushgateway;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::clock::Moment;
use crate::error::Error;
use crate::labels::GroupingKey;
use crate::log;
use crate::push_request::{Payload, Verb};
pub use acceptance::Acceptance;
pub use pushgateway::GatewayKind;
use pushgateway::{GroupState, Pushgateway};

/// A destination of requests. Clones share the connection.
#[derive(Clone, Debug)]
pub(crate) enum Sink {
    Pushgateway(Arc<Pushgateway>),
    /// Logs the requests for the gateway at this URL and sends nothing.
    DryRun(Arc<str>),
}

impl Sink {
    /// Prepares the connection, so that the first request is sent sooner.
    pub(crate) fn prepare(&self) {
        match self {
            Self::Pushgateway(gateway) => gateway.prepare(),
            Self::DryRun(_) => {}
        }
    }

    /// Makes one attempt to send a request.
    ///
    /// # Errors
    /// If the sink did not accept the request.
    pub(crate) async fn send(
        &self,
        payload: &Payload<'_>,
        timeout: Duration,
    ) -> Result<Acceptance, Error> {
        match self {
            Self::Pushgateway(gateway) => gateway.send(payload, timeout).await,
            Self::DryRun(url) => {
                log_dry_run(url, payload);
                Ok(Acceptance::Queued)
            }
        }
    }

    /// Returns true if the sink adds up the values it receives, so that a request that may have arrived must not be sent
    /// again.
    pub(crate) fn is_aggregating(&self) -> bool {
        match self {
            Self::Pushgateway(gateway) => gateway.kind() == GatewayKind::Aggregating,
            Self::DryRun(_) => false,
        }
    }

    /// Returns the state of the group with this key; `None` if the sink does not have it. The result may be cached for a
    /// short time.
    ///
    /// # Errors
    /// If the sink could not be queried.
    pub(crate) async fn group(
        &self,
        key: &GroupingKey,
        timeout: Duration,
    ) -> Result<Option<GroupState>, Error> {
        match self {
            Self::Pushgateway(gateway) => gateway.group_state(key, None, timeout).await,
            Self::DryRun(_) => Ok(None),
        }
    }

    /// Like [`group`](Self::group), but the result is not cached.
    ///
    /// # Errors
    /// If the sink could not be queried.
    pub(crate) async fn present_group(
        &self,
        key: &GroupingKey,
        timeout: Duration,
    ) -> Result<Option<GroupState>, Error> {
        match self {
            Self::Pushgateway(gateway) => {
                gateway.group_state(key, Some(Moment::now()), timeout).await
            }
            Self::DryRun(_) => Ok(None),
        }
    }

    /// Returns the time at which the sink was started.
    ///
    /// # Errors
    /// If the sink could not be queried.
    pub(crate) async fn started_at(&self, timeout: Duration) -> Result<SystemTime, Error> {
        match self {
            Self::Pushgateway(gateway) => gateway.started_at(timeout).await,
            Self::DryRun(_) => Err(Error::config("a dry run does not query the gateway")
                .remedy("unset METRICS_PUSH_DRY_RUN")),
        }
    }

    /// Removes the empty group that a rejected first push leaves behind. Returns true if there was one.
    ///
    /// # Errors
    /// If the group could not be queried or removed.
    pub(crate) async fn remove_empty_group(
        &self,
        key: &GroupingKey,
        timeout: Duration,
    ) -> Result<bool, Error> {
        match self {
            Self::Pushgateway(gateway) => gateway.remove_empty_group(key, timeout).await,
            Self::DryRun(_) => Ok(false),
        }
    }
}

impl fmt::Display for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pushgateway(gateway) => f.write_str(gateway.url()),
            Self::DryRun(url) => write!(f, "{url} (dry run)"),
        }
    }
}

fn log_dry_run(url: &str, payload: &Payload<'_>) {
    let preposition = match payload.verb() {
        Verb::Push | Verb::Add => "to",
        Verb::Delete => "from",
    };
    log::warn_lines(format_args!(
        "dry run: {} {} {preposition} {url}\n{}",
        payload.verb().as_str(),
        payload.key(),
        payload.body().trim_end(),
    ));
}
