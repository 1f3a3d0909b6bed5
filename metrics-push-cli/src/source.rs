//! `Source`: the servers that have the metrics of jobs. It reads them, the history and the spool of this machine into an
//! [`Overview`].

use std::collections::BTreeMap;
use std::thread;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use clap::Args;
use metrics_push::{Error, Gateway};

use crate::context::{self, GatewayArguments};
use crate::failure::Failure;
use crate::jobs::{
    Delivery, GatewayStatus, Group, LocalClock, Overview, PendingRequests, RunSummary,
};

/// Arguments that select the servers.
#[derive(Debug, Default, Args)]
pub(crate) struct SourceArguments {
    #[command(flatten)]
    gateways: GatewayArguments,
}

/// The servers that have the metrics of jobs.
pub(crate) struct Source {
    gateways: Vec<Gateway>,
}

/// The groups of one server, or why it did not respond.
struct Answer {
    status: GatewayStatus,
    groups: Vec<Group>,
}

impl Source {
    /// Reads the configuration. Connects to no server yet.
    pub(crate) fn new(arguments: &SourceArguments) -> Result<Self, Failure> {
        let config = context::config(&arguments.gateways)?;
        let gateways = context::gateways(&config)?;
        metrics_push::init(config)?;
        Ok(Self { gateways })
    }

    /// Reads the selected groups from all servers at the same time.
    pub(crate) fn load(&self, is_selected: impl Fn(&Group) -> bool) -> Overview {
        let answers: Vec<Answer> = thread::scope(|scope| {
            let start = |gateway| scope.spawn(move || Answer::from_gateway(gateway));
            let threads: Vec<_> = self.gateways.iter().map(start).collect();
            threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
        });
        let pending = pending_requests();
        let mut delivery = Delivery::default();
        let mut groups = Vec::new();
        for Answer { mut status, groups: found } in answers {
            status.pending = pending.get(&status.url).copied().unwrap_or_default();
            delivery.gateways.push(status);
            groups.extend(found.into_iter().filter(|group| is_selected(group)));
        }
        delivery.other_pending = pending
            .into_iter()
            .filter(|(url, _)| delivery.gateways.iter().all(|gateway| gateway.url != *url))
            .collect();
        Overview::new(groups, last_runs, delivery, &LocalClock::system())
    }
}

impl Answer {
    fn from_gateway(gateway: &Gateway) -> Self {
        let asked = Instant::now();
        let groups = gateway.metrics();
        let groups = groups.map(|groups| groups.into_iter().map(Group::from).collect());
        Self::new(gateway.url(), groups, asked)
    }

    fn new(url: String, groups: Result<Vec<Group>, Error>, asked: Instant) -> Self {
        let (groups, error) = match groups {
            Ok(groups) => (groups, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        let status = GatewayStatus {
            url,
            error,
            response_time: asked.elapsed(),
            last_push: groups.iter().filter_map(Group::pushed_at).reduce(f64::max),
            pending: PendingRequests::default(),
        };
        Self { status, groups }
    }
}

/// Returns the undelivered requests on this machine's disk by the URL of their gateway.
fn pending_requests() -> BTreeMap<String, PendingRequests> {
    let mut by_url: BTreeMap<String, PendingRequests> = BTreeMap::new();
    for request in metrics_push::spooled_requests() {
        let pending = by_url.entry(request.url().to_owned()).or_default();
        pending.add(unix_seconds(request.created_at()));
    }
    by_url
}

/// Returns the runs of a group in the history of this machine, oldest first.
fn last_runs(_group: &Group) -> Vec<RunSummary> {
    Vec::new()
}

fn unix_seconds(instant: SystemTime) -> f64 {
    instant.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
