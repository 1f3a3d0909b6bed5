//! `Source`: the servers that have the metrics of jobs. It reads them, the history and the spool of this machine into an
//! [`Overview`].

use std::collections::BTreeMap;
use std::thread;
use std::time::Instant;

use clap::Args;
use metrics_push::__private::QueryServer;
use metrics_push::{Config, Error, Gateway};

use crate::context::{self, GatewayArguments};
use crate::failure::Failure;
use crate::humanize::unix_seconds;
use crate::jobs::{Delivery, GatewayStatus, Group, LocalClock, Overview, PendingRequests};
use crate::local_history;
use crate::query_api;
use crate::samples::Window;

/// Arguments that select the servers.
#[derive(Debug, Default, Args)]
pub(crate) struct SourceArguments {
    #[command(flatten)]
    gateways: GatewayArguments,
    /// The URL of a Prometheus, or of a server with its query API, to read the jobs from instead of the gateways. It gets
    /// the credentials of the variables.
    #[arg(long, value_name = "URL", value_parser = context::parse_url)]
    prometheus: Option<String>,
    /// How far back the last sample of a job is searched on the Prometheus, such as 8d.
    #[arg(long, value_name = "DURATION", requires = "prometheus")]
    window: Option<Window>,
}

/// The servers that have the metrics of jobs.
pub(crate) enum Source {
    Gateways(Vec<Gateway>),
    Prometheus(QueryServer, Window),
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
        let source = match &arguments.prometheus {
            Some(url) => {
                let server =
                    QueryServer::from_config(&context::config_at(url, &arguments.gateways)?)?;
                Self::Prometheus(server, arguments.window.clone().unwrap_or_default())
            }
            None => Self::Gateways(context::gateways(&config)?),
        };
        metrics_push::init(config)?;
        Ok(source)
    }

    /// Like [`new`](Self::new), but without a gateway, only the history of this machine is read.
    pub(crate) fn or_history(arguments: &SourceArguments) -> Result<Self, Failure> {
        let config = context::config(&arguments.gateways)?;
        if arguments.prometheus.is_none() && Gateway::from_config(&config)?.is_empty() {
            metrics_push::init(config)?;
            return Ok(Self::Gateways(Vec::new()));
        }
        Self::new(arguments)
    }

    /// Selects the Pushgateways of a configuration.
    pub(crate) fn from_config(config: &Config) -> Result<Self, Error> {
        Gateway::from_config(config).map(Self::Gateways)
    }

    /// Asks all servers at the same time.
    fn ask(&self) -> Vec<Answer> {
        let gateways = match self {
            Self::Prometheus(server, window) => {
                return vec![Answer::from_prometheus(server, window)];
            }
            Self::Gateways(gateways) => gateways,
        };
        thread::scope(|scope| {
            let start = |gateway| scope.spawn(move || Answer::from_gateway(gateway));
            let threads: Vec<_> = gateways.iter().map(start).collect();
            threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
        })
    }

    /// Reads the selected groups from all servers. If a server does not respond, adds the groups that only the history of
    /// this machine has.
    pub(crate) fn load(&self, is_selected: impl Fn(&Group) -> bool) -> Overview {
        let answers = self.ask();
        let is_complete = !answers.is_empty() && answers.iter().all(|it| it.status.is_up());
        let pending = pending_requests();
        let breakers = metrics_push::circuit_breakers();
        let mut delivery = Delivery::default();
        let mut groups = Vec::new();
        for Answer { mut status, groups: found } in answers {
            status.pending = pending.get(&status.url).copied().unwrap_or_default();
            let breaker = breakers.iter().find(|breaker| breaker.gateway == status.url);
            status.breaker = breaker.map(|breaker| breaker.state);
            delivery.gateways.push(status);
            groups.extend(found);
        }
        if !is_complete {
            groups.extend(metrics_push::histories().iter().map(local_history::group));
        }
        groups.retain(is_selected);
        delivery.other_pending = pending
            .into_iter()
            .filter(|(url, _)| delivery.gateways.iter().all(|gateway| gateway.url != *url))
            .collect();
        Overview::new(groups, local_history::runs, delivery, &LocalClock::system())
    }
}

impl Answer {
    fn from_gateway(gateway: &Gateway) -> Self {
        let asked = Instant::now();
        let groups = gateway.metrics();
        let groups = groups.map(|groups| groups.into_iter().map(Group::from).collect());
        Self::new(gateway.url(), groups, asked)
    }

    fn from_prometheus(server: &QueryServer, window: &Window) -> Self {
        let asked = Instant::now();
        Self::new(server.url().to_owned(), query_api::groups(server, window), asked)
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
            breaker: None,
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
