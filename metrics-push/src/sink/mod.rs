//! Sinks: whatever accepts requests. `send` makes one attempt and says what came of it.

mod answer;
mod dialect;
pub(crate) mod gateway;
#[cfg(feature = "gzip")]
mod gzip;
#[cfg(not(feature = "gzip"))]
#[path = "no_gzip.rs"]
mod gzip;
pub(crate) mod listing;
mod protobuf;
mod survey;
pub(crate) mod wire;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::error::Error;
use crate::labels::GroupingKey;
use crate::log;
use crate::push_request::{Payload, Verb};
use gateway::GatewayClient;
use listing::StoredGroup;

/// How sure it is that a sink has taken a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// It was checked and applied.
    Applied,
    /// It was taken, to be applied unchecked or later.
    Queued,
}

/// What a gateway makes of a request that it gets twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum GatewayKind {
    /// The second one changes nothing, as on a Pushgateway: whatever may not have arrived is sent again.
    #[default]
    Pushgateway,
    /// Both count: the gateway adds up what it gets.
    ///
    /// What may have arrived is never sent again, neither at once nor by a later run; it may be lost instead. What can't have
    /// arrived (no connection, 408, 425, 429) is tried again as ever. Parcels that wait for one group are still merged as
    /// a Pushgateway would, so hand each over before the next is made; and a sum of time stamps means nothing, so such a
    /// gateway should not be given the `batch_job_` families of runs.
    Aggregating,
}

/// Something that accepts requests. Clones are the same sink.
#[derive(Clone, Debug)]
pub(crate) enum Sink {
    Gateway(Arc<GatewayClient>),
    /// Shows what the gateway at this URL would be sent, and sends nothing.
    DryRun(Arc<str>),
}

impl Sink {
    /// Does what can be done before there is anything to send.
    pub(crate) fn prepare(&self) {
        match self {
            Self::Gateway(gateway) => gateway.prepare(),
            Self::DryRun(_) => {}
        }
    }

    /// Makes one attempt.
    ///
    /// # Errors
    /// Whatever kept the sink from accepting the request, with its place.
    pub(crate) async fn send(
        &self,
        payload: &Payload<'_>,
        timeout: Duration,
    ) -> Result<Acceptance, Error> {
        match self {
            Self::Gateway(gateway) => gateway.send(payload, timeout).await,
            Self::DryRun(url) => {
                show(url, payload);
                Ok(Acceptance::Queued)
            }
        }
    }
}

impl Sink {
    /// Whether a request must not be sent again that may have arrived.
    pub(crate) fn is_aggregating(&self) -> bool {
        match self {
            Self::Gateway(gateway) => gateway.kind() == GatewayKind::Aggregating,
            Self::DryRun(_) => false,
        }
    }

    /// What the sink holds for a key, where it can be asked; or has held a moment ago, if it was just asked.
    ///
    /// # Errors
    /// Whatever kept it from answering.
    pub(crate) async fn group(
        &self,
        key: &GroupingKey,
        timeout: Duration,
    ) -> Result<Option<StoredGroup>, Error> {
        match self {
            Self::Gateway(gateway) => gateway.group_surveyed(key, timeout).await,
            Self::DryRun(_) => Ok(None),
        }
    }

    /// When the sink was started, where it says so.
    ///
    /// # Errors
    /// Whatever kept it from answering.
    pub(crate) async fn started_at(&self, timeout: Duration) -> Result<SystemTime, Error> {
        match self {
            Self::Gateway(gateway) => gateway.started_at(timeout).await,
            Self::DryRun(_) => Err(Error::config("nobody is asked in a dry run")),
        }
    }

    /// Removes what a refused first push leaves behind. Returns whether there was something.
    ///
    /// # Errors
    /// Whatever kept it from being found or removed.
    pub(crate) async fn remove_empty_group(
        &self,
        key: &GroupingKey,
        timeout: Duration,
    ) -> Result<bool, Error> {
        match self {
            Self::Gateway(gateway) => gateway.remove_empty_group(key, timeout).await,
            Self::DryRun(_) => Ok(false),
        }
    }
}

impl fmt::Display for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gateway(gateway) => f.write_str(gateway.url()),
            Self::DryRun(url) => write!(f, "{url} (dry run)"),
        }
    }
}

fn show(url: &str, payload: &Payload<'_>) {
    let direction = match payload.verb() {
        Verb::Push | Verb::Add => "to",
        Verb::Delete => "from",
    };
    log::warn(format_args!(
        "dry run: {} {} {direction} {url}\n{}",
        payload.verb().as_str(),
        payload.key(),
        payload.body().trim_end(),
    ));
}
