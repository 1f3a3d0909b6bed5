//! [`FakeReceiver`] and its [`ReceiverBuilder`], the public API of the fake receiver of remote write.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use super::assertions::RUN_TIMEOUT;
use super::auth::RequiredAuth;
use super::family::{Family, Kind, Metric, MetricValue};
use super::fault::Fault;
use super::group::{Group, Selector, grouping_labels};
use super::http::Request;
use super::receiver_service::{PATH, ReceiverService};
use super::sample_store::{Rules, SampleStore};
use super::series::Series;
use super::server::HttpServer;
use super::state::SharedState;

/// A receiver of remote write in this process, on a free port of 127.0.0.1.
///
/// It accepts and refuses samples by the rules of Prometheus 2, or of [Prometheus 3](ReceiverBuilder::prometheus_3), with
/// the same responses. It runs until it is dropped. Each test can start its own, so that tests run in parallel.
///
/// `Display` prints all samples in the Prometheus text format, with timestamps in milliseconds.
///
/// # Examples
///
/// ```
/// use metrics_push::testing::FakeReceiver;
/// use metrics_push::{Config, push_job};
///
/// #[push_job]
/// fn reindex() {}
///
/// # #[cfg(feature = "remote-write")]
/// # fn main() -> Result<(), metrics_push::Error> {
/// let receiver = FakeReceiver::start();
/// let _scope = Config::default().url(receiver.url())?.scope()?;
/// reindex();
/// receiver.after_run("reindex", &[]).assert_outcome("success");
/// assert_eq!(receiver.value("batch_job_last_run_exit_code", &[]), 0.0);
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "remote-write"))]
/// # fn main() {}
/// ```
///
/// # Differences from Prometheus
///
/// - Nothing is stored on disk, and no sample is ever too old to be returned.
/// - It does not have a query API. Tests read [`series`](Self::series).
/// - Exemplars, native histograms and metadata are ignored.
pub struct FakeReceiver {
    server: HttpServer<ReceiverService>,
}

/// Configures and starts a [`FakeReceiver`]. Created by [`FakeReceiver::builder`].
#[derive(Clone, Debug)]
pub struct ReceiverBuilder {
    port: u16,
    rules: Rules,
    out_of_order_window: Duration,
    clock_behind: Duration,
}

impl ReceiverBuilder {
    /// Listens on this port instead of a free one.
    #[must_use]
    pub const fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Follows the rules of Prometheus 3: accepts version 2.0 of the protocol as well, and refuses samples that are more
    /// than ten minutes ahead of its clock.
    #[must_use]
    pub const fn prometheus_3(mut self) -> Self {
        self.rules = Rules::Prometheus3;
        self
    }

    /// Accepts samples that are older than the newest sample by up to this time, like the setting
    /// `out_of_order_time_window`.
    #[must_use]
    pub const fn out_of_order_window(mut self, window: Duration) -> Self {
        self.out_of_order_window = window;
        self
    }

    /// Sets the clock of the receiver back, as if the clock of this machine was ahead.
    #[must_use]
    pub const fn clock_behind(mut self, time: Duration) -> Self {
        self.clock_behind = time;
        self
    }

    /// Starts the receiver.
    ///
    /// # Panics
    ///
    /// Panics if the port cannot be opened.
    #[must_use]
    #[track_caller]
    pub fn start(self) -> FakeReceiver {
        let window = i64::try_from(self.out_of_order_window.as_millis()).unwrap_or(i64::MAX);
        let store = SampleStore::new(self.rules, window);
        let service = ReceiverService { store, clock_behind: self.clock_behind };
        match HttpServer::start(self.port, service) {
            Ok(server) => FakeReceiver { server },
            Err(why) => panic!("cannot start a fake receiver on 127.0.0.1:{}: {why}", self.port),
        }
    }
}

impl FakeReceiver {
    /// Starts a receiver on a free port.
    ///
    /// # Panics
    ///
    /// Panics if no port can be opened.
    #[must_use]
    #[track_caller]
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// Returns a builder, which sets the rules of the receiver.
    #[must_use]
    pub const fn builder() -> ReceiverBuilder {
        ReceiverBuilder {
            port: 0,
            rules: Rules::Prometheus2,
            out_of_order_window: Duration::ZERO,
            clock_behind: Duration::ZERO,
        }
    }

    /// Returns the URL for `METRICS_PUSH_URL`: the scheme of remote write, the address and the path.
    #[must_use]
    pub fn url(&self) -> String {
        format!("remote-write+http://{}{PATH}", self.address())
    }

    /// Returns the address on which the receiver listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Returns all series, sorted by their labels.
    #[must_use]
    pub fn series(&self) -> Vec<Series> {
        let state = self.shared().lock();
        let series = state.service.store.series().iter();
        series.map(|(labels, samples)| Series::new(labels, samples)).collect()
    }

    /// Returns the series with this name and these labels, among others; `None` if no series matches.
    ///
    /// # Panics
    ///
    /// Panics if several series match.
    #[must_use]
    #[track_caller]
    pub fn find_series(&self, name: &str, labels: &[(&str, &str)]) -> Option<Series> {
        let is_selected = |series: &Series| series.is_selected(name, labels);
        let mut found: Vec<_> = self.series().into_iter().filter(is_selected).collect();
        let selector = Selector(name, labels);
        assert!(
            found.len() < 2,
            "{selector} matches {} series; add labels to select one of them; the samples of the receiver are:\n{self}",
            found.len(),
        );
        found.pop()
    }

    /// Returns the newest value of the series with this name and these labels, among others.
    ///
    /// # Panics
    ///
    /// Panics if no series matches, if several do, or if a stale marker has ended the series.
    #[must_use]
    #[track_caller]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let last = self.find_series(name, labels).and_then(|series| series.last());
        let Some(point) = last else {
            let selector = Selector(name, labels);
            panic!("the receiver has no value of {selector}; its samples are:\n{self}");
        };
        point.value
    }

    /// Returns the newest values of all series with these labels, as the group that a gateway would have. All families are
    /// untyped. Without such series, the group has no families.
    #[must_use]
    pub fn group(&self, job: &str, labels: &[(&str, &str)]) -> Group {
        let labels = grouping_labels(job, labels);
        let (mut families, mut last_push) = (BTreeMap::new(), None);
        for series in self.series() {
            let is_member =
                labels.iter().all(|(name, value)| series.labels.get(name) == Some(value));
            let Some(point) = series.last().filter(|_| is_member) else { continue };
            last_push = last_push.max(Some(point.time));
            let family = families.entry(series.name.clone()).or_insert_with(|| Family {
                name: series.name,
                help: String::new(),
                kind: Kind::Untyped,
                metrics: Vec::new(),
            });
            let value = MetricValue::Number(point.value);
            family.metrics.push(Metric { labels: series.labels, value });
        }
        Group { labels, families, last_push, last_failure: None }
    }

    /// Waits until a run of the group with these grouping labels has finished, and returns the group.
    ///
    /// If a test runs a job twice, call [`clear`](Self::clear) between the runs. Otherwise this method returns at once
    /// with the values of the first run.
    ///
    /// # Panics
    ///
    /// Panics if no run of the group finishes within ten seconds. The message contains all samples.
    #[must_use]
    #[track_caller]
    pub fn after_run(&self, job: &str, labels: &[(&str, &str)]) -> Group {
        self.wait_for(RUN_TIMEOUT, |receiver| receiver.group(job, labels).has_finished_run());
        self.group(job, labels)
    }

    /// Returns all requests received so far, including failed ones.
    ///
    /// If there are many thousands, only the latest are recorded.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.shared().requests()
    }

    /// Waits until `condition` returns true. The condition is evaluated at once and after each request.
    ///
    /// # Panics
    ///
    /// Panics if the condition is not met within `timeout`. The message contains the requests and all samples.
    #[track_caller]
    pub fn wait_for(&self, timeout: Duration, condition: impl Fn(&Self) -> bool) {
        assert!(
            self.shared().wait_for(timeout, || condition(self)),
            "the condition was not met within {timeout:?}; {}samples of the receiver:\n{self}",
            self.shared().list_requests(),
        );
    }

    /// Fails the next `times` requests that match the fault.
    ///
    /// Faults of several calls apply one after the other.
    pub fn fail_next(&self, times: usize, fault: Fault) {
        self.shared().lock().faults.add_next(times, fault);
    }

    /// Fails all requests that match the fault, until [`heal`](Self::heal).
    pub fn fault(&self, fault: Fault) {
        self.shared().lock().faults.set_permanent(fault);
    }

    /// Removes all faults, ends the active ones, and accepts connections.
    ///
    /// # Panics
    ///
    /// Panics if connections were refused and another process has taken the port.
    #[track_caller]
    pub fn heal(&self) {
        self.shared().heal();
        self.accept_connections();
    }

    /// Closes the port and all connections, as if the receiver had been killed. The samples stay.
    pub fn refuse_connections(&self) {
        self.server.refuse();
    }

    /// Listens on the same port again.
    ///
    /// # Panics
    ///
    /// Panics if another process has taken the port.
    #[track_caller]
    pub fn accept_connections(&self) {
        if let Err(why) = self.server.listen() {
            panic!("cannot listen on {} again: {why}", self.address());
        }
    }

    /// Responds with 401 to requests without this user and password.
    pub fn require_basic_auth(&self, user: &str, password: &str) {
        self.set_auth(RequiredAuth::Basic { user: user.to_owned(), password: password.to_owned() });
    }

    /// Responds with 401 to requests without this bearer token.
    pub fn require_bearer_token(&self, token: &str) {
        self.set_auth(RequiredAuth::Bearer(token.to_owned()));
    }

    /// Accepts requests without credentials, which is the default.
    pub fn require_no_auth(&self) {
        self.set_auth(RequiredAuth::None);
    }

    fn set_auth(&self, auth: RequiredAuth) {
        self.shared().lock().auth = auth;
    }

    /// Deletes all samples and recorded requests. Faults stay.
    pub fn clear(&self) {
        let mut state = self.shared().lock();
        state.service.store.clear();
        state.requests.clear();
    }

    fn shared(&self) -> &SharedState<ReceiverService> {
        self.server.shared()
    }
}

impl fmt::Display for FakeReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.series().iter().try_for_each(|series| series.fmt(f))
    }
}

impl fmt::Debug for FakeReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeReceiver").field("url", &self.url()).finish_non_exhaustive()
    }
}
