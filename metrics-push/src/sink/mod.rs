//! Sinks: whatever accepts parcels. `send` makes one attempt and says what came of it.

pub(crate) mod gateway;
pub(crate) mod listing;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::Error;
use crate::notice;
use crate::parcel::{Parcel, Verb};
use gateway::GatewayClient;

/// How sure it is that a sink has taken a parcel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// It was checked and applied.
    Applied,
    /// It was taken, to be applied unchecked or later.
    Queued,
}

/// Something that accepts parcels. Clones are the same sink.
#[derive(Clone, Debug)]
pub(crate) enum Sink {
    Gateway(Arc<GatewayClient>),
    /// Shows what the gateway at this URL would be sent, and sends nothing.
    DryRun(Arc<str>),
}

impl Sink {
    /// What tells this sink from others. Two may share a URL and differ in credentials, so it is no URL.
    pub(crate) fn id(&self) -> usize {
        match self {
            Self::Gateway(gateway) => Arc::as_ptr(gateway).addr(),
            Self::DryRun(url) => Arc::as_ptr(url).addr(),
        }
    }

    /// Makes one attempt.
    ///
    /// # Errors
    /// Whatever kept the sink from accepting the parcel, with its place.
    pub(crate) async fn send(
        &self,
        parcel: &Parcel,
        timeout: Duration,
    ) -> Result<Acceptance, Error> {
        match self {
            Self::Gateway(gateway) => gateway.send(parcel, timeout).await,
            Self::DryRun(url) => {
                show(url, parcel);
                Ok(Acceptance::Queued)
            }
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

fn show(url: &str, parcel: &Parcel) {
    let direction = match parcel.verb() {
        Verb::Push | Verb::Add => "to",
        Verb::Delete => "from",
    };
    notice::warn(format_args!(
        "dry run: {} {} {direction} {url}\n{}",
        parcel.verb().as_str(),
        parcel.key(),
        parcel.body().trim_end(),
    ));
}
