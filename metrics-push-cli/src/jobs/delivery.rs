//! `Delivery`: whether the gateways respond, and the undelivered requests on this machine's disk.

use metrics_push::BreakerState;

#[derive(Clone, Debug, Default)]
pub(crate) struct Delivery {
    pub(crate) gateways: Vec<GatewayStatus>,
    /// The undelivered requests for all gateways, also for those that are not configured.
    pub(crate) pending: PendingRequests,
}

/// One source of groups: a gateway, or a Prometheus.
#[derive(Clone, Debug, Default)]
pub(crate) struct GatewayStatus {
    /// The URL without credentials.
    pub(crate) url: String,
    /// Why it did not respond; `None` if it responded.
    pub(crate) error: Option<String>,
    /// The innermost cause in few words, such as `connection refused`.
    pub(crate) cause: Option<String>,
    /// How long the response took, in seconds.
    pub(crate) response_seconds: Option<f64>,
    /// The newest push of any group that it stores, as Unix time in seconds.
    pub(crate) last_push: Option<f64>,
    /// The undelivered requests for it.
    pub(crate) pending: PendingRequests,
    pub(crate) breaker: Option<BreakerState>,
}

/// Undelivered requests on this machine's disk.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct PendingRequests {
    pub(crate) count: usize,
    /// When the oldest was created, as Unix time in seconds.
    pub(crate) oldest: Option<f64>,
}

impl GatewayStatus {
    pub(crate) fn is_up(&self) -> bool {
        self.error.is_none()
    }

    /// Since when it is down, as far as the undelivered requests show.
    pub(crate) fn down_since(&self) -> Option<f64> {
        if self.is_up() { None } else { self.pending.oldest }
    }

    /// The host and port, as sentences name the gateway.
    pub(crate) fn host(&self) -> &str {
        let after_scheme = self.url.split_once("://").map_or(self.url.as_str(), |(_, rest)| rest);
        after_scheme.split('/').next().unwrap_or(after_scheme)
    }
}

impl PendingRequests {
    pub(crate) fn add(&mut self, created_at: f64) {
        self.count += 1;
        self.oldest = Some(self.oldest.map_or(created_at, |oldest| oldest.min(created_at)));
    }
}
