//! `Frame`: what every page has: its time, its policy, the delivery path and its sources.

use super::cells::ShownTime;
use super::policy::{SCRIPT, STYLE, content_security_policy};
use crate::humanize::{age, count, duration};
use crate::jobs::{GatewayStatus, LocalClock, Overview, PendingRequests};

pub(super) struct Frame {
    pub(super) policy: String,
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
    pub(super) delivery: String,
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
            delivery: pending_text(delivery.pending, clock),
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
            breaker: gateway.breaker.map_or("-", |breaker| breaker.as_str()).replace('_', " "),
        }
    }
}

/// What follows the words `up` or `down`.
fn state(gateway: &GatewayStatus, clock: &LocalClock) -> String {
    if gateway.is_up() {
        let took = gateway.response_seconds;
        return took.map_or(String::new(), |took| format!(", responds in {}", duration(took)));
    }
    let since = gateway.down_since();
    let since = since.map_or(String::new(), |since| format!(" since {}", clock.moment(since)));
    let cause = gateway.cause.as_ref().or(gateway.error.as_ref());
    format!("{since}{}", cause.map_or(String::new(), |cause| format!(": {cause}")))
}

fn waiting(pending: PendingRequests, clock: &LocalClock) -> String {
    let oldest = pending.oldest.map(|oldest| format!(", oldest {}", clock.moment(oldest)));
    format!("{}{}", count(pending.count, "request"), oldest.unwrap_or_default())
}

fn pending_text(pending: PendingRequests, clock: &LocalClock) -> String {
    if pending.count == 0 {
        return "No request waits on this machine's disk.".to_owned();
    }
    format!(
        "On this machine's disk: {}. The next push to a gateway delivers its requests, and so does \
         \"metrics-push recover\".",
        waiting(pending, clock)
    )
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
