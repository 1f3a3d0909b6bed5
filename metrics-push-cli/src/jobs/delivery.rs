//! `Delivery`: whether the gateways respond, and the undelivered requests on this machine's disk.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::time::Duration;

use metrics_push::{BreakerState, Error};

use super::local_clock::LocalClock;
use crate::humanize::{age, count};

#[derive(Clone, Debug, Default)]
pub(crate) struct Delivery {
    pub(crate) gateways: Vec<GatewayStatus>,
    /// The undelivered requests for sinks whose state is unknown, by URL.
    pub(crate) other_pending: BTreeMap<String, PendingRequests>,
}

/// One server that stores groups: a gateway, or a Prometheus.
#[derive(Clone, Debug)]
pub(crate) struct GatewayStatus {
    /// The URL without credentials.
    pub(crate) url: String,
    /// Why it did not respond; `None` if it responded.
    pub(crate) error: Option<Error>,
    /// How long it took to respond.
    pub(crate) response_time: Duration,
    /// The newest push to any of its groups, as Unix time in seconds.
    pub(crate) last_push: Option<f64>,
    /// Whether this machine delivers to it at present; `None` if it is not a sink of this machine.
    pub(crate) breaker: Option<BreakerState>,
    /// The undelivered requests for it.
    pub(crate) pending: PendingRequests,
}

/// Undelivered requests on this machine's disk.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct PendingRequests {
    pub(crate) count: usize,
    /// When the oldest was created, as Unix time in seconds.
    pub(crate) oldest: Option<f64>,
}

impl Delivery {
    /// One sentence for each gateway that does not respond or for which requests wait.
    pub(crate) fn sentences(&self, clock: &LocalClock) -> Vec<String> {
        let gateways = self.gateways.iter().filter_map(|gateway| gateway.sentence(clock));
        let others = self.other_pending.iter();
        let others =
            others.map(|(url, pending)| format!("{}: {}", host(url), pending.sentence(clock)));
        gateways.chain(others).collect()
    }
}

impl GatewayStatus {
    pub(crate) fn is_up(&self) -> bool {
        self.error.is_none()
    }

    /// Since when it is down, as far as the undelivered requests show.
    pub(crate) fn down_since(&self) -> Option<f64> {
        self.pending.oldest.filter(|_| !self.is_up())
    }

    /// The host and the port.
    pub(crate) fn host(&self) -> &str {
        host(&self.url)
    }

    /// Why it did not respond, in a few words: `connection refused`.
    pub(crate) fn cause(&self) -> Option<String> {
        let error = self.error.as_ref()?;
        let mut innermost = error.source();
        while let Some(cause) = innermost.and_then(std::error::Error::source) {
            innermost = Some(cause);
        }
        let Some(innermost) = innermost else { return Some(first_clause(&error.to_string())) };
        let cause = innermost.to_string();
        // The number of a system's error.
        let cause = cause.split_once(" (os error").map_or(cause.as_str(), |(cause, _)| cause);
        Some(cause.to_lowercase())
    }

    /// `gateway-b:9091 has been down since 06:21 (connection refused); 7 requests wait on this machine's disk, oldest 21m`.
    fn sentence(&self, clock: &LocalClock) -> Option<String> {
        let pending = (self.pending.count > 0).then(|| self.pending.sentence(clock));
        let Some(cause) = self.cause() else {
            return pending.map(|pending| format!("{}: {pending}", self.host()));
        };
        let down = match self.down_since() {
            Some(since) => format!("has been down since {} ({cause})", clock.moment(since)),
            None => format!("does not respond ({cause})"),
        };
        let pending = pending.map_or(String::new(), |pending| format!("; {pending}"));
        Some(format!("{} {down}{pending}", self.host()))
    }
}

impl PendingRequests {
    pub(crate) fn add(&mut self, created_at: f64) {
        self.count += 1;
        self.oldest = Some(self.oldest.map_or(created_at, |oldest| oldest.min(created_at)));
    }

    fn sentence(&self, clock: &LocalClock) -> String {
        let requests = count(self.count, "request");
        let verb = if self.count == 1 { "waits" } else { "wait" };
        let oldest = self
            .oldest
            .map_or(String::new(), |oldest| format!(", oldest {}", age(clock.now() - oldest)));
        format!("{requests} {verb} on this machine's disk{oldest}")
    }
}

fn host(url: &str) -> &str {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    after_scheme.split('/').next().unwrap_or(after_scheme)
}

/// The text before the place and the remedy of an error.
fn first_clause(message: &str) -> String {
    message.split([';', '(']).next().unwrap_or(message).trim_end().to_owned()
}
