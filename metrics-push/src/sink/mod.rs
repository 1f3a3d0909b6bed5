//! Sinks: whatever accepts parcels. `send` makes one attempt and says what came of it.

pub(crate) mod gateway;
#[cfg(feature = "gzip")]
mod gzip;
#[cfg(not(feature = "gzip"))]
#[path = "no_gzip.rs"]
mod gzip;
pub(crate) mod listing;
mod protobuf;
pub(crate) mod wire;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::Error;
use crate::labels::GroupingKey;
use crate::notice;
use crate::parcel::{Parcel, Verb};
use gateway::GatewayClient;
use listing::StoredGroup;

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

impl Sink {
    /// What the sink holds for a key, where it can be asked.
    ///
    /// # Errors
    /// Whatever kept it from answering.
    pub(crate) async fn group(
        &self,
        key: &GroupingKey,
        timeout: Duration,
    ) -> Result<Option<StoredGroup>, Error> {
        match self {
            Self::Gateway(gateway) => gateway.group(key, timeout).await,
            Self::DryRun(_) => Ok(None),
        }
    }

    /// Removes what a refused first push leaves behind. Returns whether there was something.
    ///
    /// # Errors
    /// Whatever kept it from being found or removed.
    pub(crate) async fn remove_ghost(
        &self,
        key: &GroupingKey,
        timeout: Duration,
    ) -> Result<bool, Error> {
        match self {
            Self::Gateway(gateway) => gateway.remove_ghost(key, timeout).await,
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
