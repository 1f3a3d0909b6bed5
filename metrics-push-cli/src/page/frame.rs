//! `Frame`: what every page has: its time, its policy, the delivery path and its sources.

use super::cells::ShownTime;
use super::policy::{SCRIPT, STYLE, content_security_policy};
use crate::humanize::{age, count, duration};
use crate::jobs::{Delivery, GatewayStatus, LocalClock, Overview, PendingRequests};

pub(super) struct Frame {
    pub(super) policy: &'static str,
    pub(super) style: &'static str,
    pub(super) script: &'static str,
    pub(super) version: &'static str,
    /// The interval of the refresh in seconds; `None` for a file.
    pub(super) refresh: Option<u64>,
    /// The name of the time zone, if it has one.
    pub(super) zone: String,
    pub(super) offset: String,
    pub(super) date: String,
    pub(super) made: ShownTime,
    pub(super) gateways: Vec<GatewayRow>,
    pub(super) delivery: &'static str,
    pub(super) sources: Vec<String>,
}

/// One gateway.
pub(super) struct GatewayRow {
    pub(super) url: String,
    pub(super) is_up: bool,
    pub(super) state: String,
    pub(super) last_push: String,
    pub(super) waiting: String,
    pub(super) breaker: String,
}

impl Frame {
    pub(super) fn new(overview: &Overview, refresh: Option<u64>) -> Self {
        let (clock, delivery) = (&overview.clock, &overview.delivery);
        let now = clock.now();
        let made =
            ShownTime { text: clock.format(now, |_| "%H:%M:%S"), datetime: clock.rfc3339(now) };
        Self {
            policy: content_security_policy(),
            style: STYLE,
            script: SCRIPT,
            version: env!("CARGO_PKG_VERSION"),
            refresh,
            zone: clock.zone(),
            offset: clock.offset(),
            date: clock.format(now, |_| "%a %-d %b %Y"),
            made,
            gateways: delivery.gateways.iter().map(|it| GatewayRow::new(it, clock)).collect(),
            delivery: pending_text(delivery),
            sources: sources(overview),
        }
    }

    pub(super) fn is_served(&self) -> bool {
        self.refresh.is_some()
    }
}

impl GatewayRow {
    fn new(gateway: &GatewayStatus, clock: &LocalClock) -> Self {
        Self {
            url: gateway.url.clone(),
            is_up: gateway.is_up(),
            state: state(gateway, clock),
            last_push: gateway.last_push.map_or("-".to_owned(), |push| {
                format!("{}, {} ago", clock.moment(push), age(clock.now() - push))
            }),
            waiting: waiting(gateway.pending, clock),
            breaker: gateway.breaker.map_or("-".to_owned(), |it| it.as_str().replace('_', " ")),
        }
    }
}

/// What follows the word `up` or `down`.
fn state(gateway: &GatewayStatus, clock: &LocalClock) -> String {
    let Some(cause) = gateway.cause() else {
        return format!(", responds in {}", duration(gateway.response_time.as_secs_f64()));
    };
    let since = gateway.down_since();
    let since = since.map_or(String::new(), |since| format!(" since {}", clock.moment(since)));
    format!("{since}: {cause}")
}

fn waiting(pending: PendingRequests, clock: &LocalClock) -> String {
    let oldest = pending.oldest.map(|oldest| format!(", oldest {}", clock.moment(oldest)));
    format!("{}{}", count(pending.count, "request"), oldest.unwrap_or_default())
}

/// Explains the requests on this machine's disk.
fn pending_text(delivery: &Delivery) -> &'static str {
    let has_requests = |gateway: &GatewayStatus| gateway.pending.count > 0;
    if delivery.gateways.iter().any(has_requests) || !delivery.other_pending.is_empty() {
        "Waiting requests are delivered with the next push to that gateway, or by \"metrics-push recover\"."
    } else {
        "No request waits on this machine's disk."
    }
}

/// Where the data of the page is from.
fn sources(overview: &Overview) -> Vec<String> {
    let responding = overview.delivery.gateways.iter().filter(|gateway| gateway.is_up());
    let hosts: Vec<_> = responding.map(GatewayStatus::host).collect();
    let hosts = if hosts.is_empty() { "no gateway".to_owned() } else { hosts.join(", ") };
    let recorded = overview.jobs.iter().filter(|job| !job.runs.is_empty()).count();
    vec![format!(
        "Read from {hosts}; runs of {} from the history on this machine.",
        count(recorded, "job")
    )]
}
