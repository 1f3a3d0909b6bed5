//! `Pushgateway`: sends requests to a Pushgateway and queries the groups that it stores.
//!
//! A push becomes PUT, an add POST and a delete DELETE, as in the section "API" of the Pushgateway's README. In the sinks,
//! only this file names HTTP methods.

mod encoding;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod group_states_reader;
mod groups_reader;
mod kind;
mod listing;
mod negotiation;
mod protobuf;
mod query_api;
mod response;
mod single_flight;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::group_states::{GroupState, GroupStates};
use super::interface::{
    Accepted, BoxFuture, Model, OnFailure, OnRepeat, Query, QueryFuture, Rejection, Semantics,
    SendFuture, Sink,
};
use super::post::renewing_credentials;
use super::target::Target;
use crate::clock::Moment;
use crate::error::Error;
use crate::http::{MAX_LISTING_SIZE, Method, Request, Response, Server};
use crate::labels::{GroupingKey, exact_path};
use crate::push_request::{Payload, PushRequest, Verb};
use encoding::Body;
pub(crate) use encoding::Encoding;
use group_states_reader::GroupStatesReader;
#[cfg(test)]
pub(crate) use group_states_reader::parse_states;
use groups_reader::GroupsReader;
pub use kind::GatewayKind;
use listing::{Listing, Visitor};
use negotiation::Negotiation;
pub use query_api::{StoredFamily, StoredGroup, StoredMetric, StoredValue};
use query_api::{invalid_response, parse_start_time};
use response::{accepted, check_success};
use single_flight::SingleFlight;

/// The client of one Pushgateway.
#[derive(Debug)]
pub(crate) struct Pushgateway {
    server: Server,
    kind: GatewayKind,
    negotiation: Negotiation,
    shared_states: SingleFlight,
}

impl Pushgateway {
    fn new(server: Server, kind: GatewayKind, encoding: Encoding) -> Self {
        let negotiation = Negotiation::new(encoding);
        Self { server, kind, negotiation, shared_states: SingleFlight::default() }
    }

    /// Returns the sink for a target with the scheme `http` or `https`.
    ///
    /// # Errors
    /// `is_config` if the URL, a header or a TLS setting is invalid.
    pub(super) fn open(target: &Target) -> Result<Arc<dyn Sink>, Error> {
        Ok(Arc::new(Self::connect(target)?))
    }

    /// Returns the client for a target.
    ///
    /// # Errors
    /// `is_config` if the URL, a header or a TLS setting is invalid.
    pub(crate) fn connect(target: &Target) -> Result<Self, Error> {
        let server = Server::new(target.url.as_str(), target.transport.clone())?;
        Ok(Self::new(server, target.kind, target.encoding))
    }

    /// Returns the base URL without credentials.
    pub(crate) fn url(&self) -> &str {
        self.server.redacted_url()
    }

    /// Makes one attempt to send a request, and a second one if the credentials were rejected and may have changed.
    ///
    /// # Errors
    /// If the gateway did not accept the request.
    async fn send_payload(
        &self,
        payload: &Payload<'_>,
        timeout: Duration,
    ) -> Result<Accepted, Error> {
        let is_rejected = |result: &Result<Accepted, Error>| {
            result.as_ref().is_err_and(Error::is_about_credentials)
        };
        let send = |timeout| self.send_once(payload, timeout);
        renewing_credentials(&self.server, timeout, is_rejected, send).await
    }

    async fn send_once(&self, payload: &Payload<'_>, timeout: Duration) -> Result<Accepted, Error> {
        let send = |body, timeout| self.send_encoded(payload, body, timeout);
        let result = match self.negotiation.send(payload, timeout, self.url(), send).await {
            Ok(response) => {
                accepted(&response, payload.key()).map_err(|error| error.at("url", self.url()))
            }
            Err(error) => Err(error),
        };
        result.map_err(|error| error.at("group", payload.key()))
    }

    async fn send_encoded(
        &self,
        payload: &Payload<'_>,
        body: Body,
        timeout: Duration,
    ) -> Result<Response, Error> {
        let method = match payload.verb() {
            Verb::Push => Method::PUT,
            Verb::Add => Method::POST,
            Verb::Delete => Method::DELETE,
        };
        let path = payload.key().url_path();
        let request = Request::new(method, &path, timeout);
        let request = match payload.verb() {
            Verb::Delete => request,
            Verb::Push | Verb::Add => {
                request.with_body(body.content_type, body.content_encoding, body.bytes)
            }
        };
        self.server.send(request).await
    }

    /// Returns all groups.
    pub(crate) async fn metrics(&self, timeout: Duration) -> Result<Vec<StoredGroup>, Error> {
        let listing = Listing::new(GroupsReader::default());
        self.list(listing, timeout).await.map(GroupsReader::into_groups)
    }

    /// Returns the states of these groups, and of all others if they fit into memory.
    async fn states(
        &self,
        asked: BTreeSet<GroupingKey>,
        timeout: Duration,
    ) -> Result<GroupStates, Error> {
        let listing = GroupStatesReader::listing(asked);
        self.list(listing, timeout).await.map(GroupStatesReader::into_states)
    }

    async fn list<V: Visitor + Send>(
        &self,
        mut listing: Listing<V>,
        timeout: Duration,
    ) -> Result<V, Error> {
        let mut read = |part: &[u8]| listing.read(part);
        let request = Request::new(Method::GET, "/api/v1/metrics", timeout)
            .with_reader(MAX_LISTING_SIZE, &mut read);
        let response = self.server.send(request).await?;
        self.check_query(&response)?;
        listing.finish().map_err(|error| error.at("url", self.url()))
    }

    /// Removes a group by its exact labels, including those that a [`GroupingKey`] cannot have.
    ///
    /// # Errors
    /// If the gateway did not accept the request.
    pub(crate) async fn remove(&self, group: &StoredGroup, timeout: Duration) -> Result<(), Error> {
        let path = exact_path(&group.labels);
        let response = self.server.send(Request::new(Method::DELETE, &path, timeout)).await?;
        self.check(&response)
    }

    /// Removes all groups.
    ///
    /// # Errors
    /// `is_config` if the gateway's admin API is disabled; otherwise if the gateway did not accept the request.
    pub(crate) async fn wipe(&self, timeout: Duration) -> Result<(), Error> {
        let response = self.send_wipe(Method::PUT, timeout).await?;
        self.check(&response)
    }

    /// Checks that the gateway's admin API is enabled. Removes nothing: the gateway accepts only other methods.
    ///
    /// # Errors
    /// `is_config` if the gateway's admin API is disabled; otherwise if the gateway could not be queried.
    pub(crate) async fn check_wipe(&self, timeout: Duration) -> Result<(), Error> {
        let response = self.send_wipe(Method::GET, timeout).await?;
        if response.status == 405 { Ok(()) } else { self.check(&response) }
    }

    async fn send_wipe(&self, method: Method, timeout: Duration) -> Result<Response, Error> {
        let request = Request::new(method, "/api/v1/admin/wipe", timeout);
        let response = self.server.send(request).await?;
        if response.status == 404 {
            return Err(Error::config("the gateway's admin API is disabled")
                .at("url", self.url())
                .remedy("start the gateway with --web.enable-admin-api, or delete its groups"));
        }
        Ok(response)
    }

    /// Returns `Ok` if the gateway is ready to serve requests.
    ///
    /// # Errors
    /// If the gateway is not ready or could not be queried.
    pub(crate) async fn ready(&self, timeout: Duration) -> Result<(), Error> {
        let request = Request::new(Method::GET, "/-/ready", timeout);
        self.check(&self.server.send(request).await?)
    }

    /// Checks a response of the query API. A Pushgateway before 1.2 does not have it, and responds with 404.
    fn check_query(&self, response: &Response) -> Result<(), Error> {
        if response.status == 404 {
            return Err(invalid_response().at("status", response.status).at("url", self.url()));
        }
        self.check(response)
    }

    fn check(&self, response: &Response) -> Result<(), Error> {
        check_success(response, None).map_err(|error| error.at("url", self.url()))
    }
}

impl Sink for Pushgateway {
    fn semantics(&self) -> Semantics {
        let on_repeat = match self.kind {
            GatewayKind::Pushgateway => OnRepeat::Idempotent,
            GatewayKind::Aggregating => OnRepeat::CountsTwice,
        };
        Semantics { model: Model::Groups, on_repeat, on_failure: OnFailure::Spools }
    }

    /// Builds the HTTP client before the first request needs it.
    fn prepare(&self) {
        self.server.prepare();
    }

    fn send<'a>(&'a self, payload: &'a Payload<'a>, timeout: Duration) -> SendFuture<'a> {
        Box::pin(async move { self.send_payload(payload, timeout).await.map_err(rejection) })
    }

    fn query(&self) -> Option<&dyn Query> {
        Some(self)
    }
}

impl fmt::Display for Pushgateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url())
    }
}

/// Returns what an error means for the delivery of a request.
fn rejection(error: Error) -> Rejection {
    let is_about_metrics = matches!(error.status(), Some(400 | 413 | 422)) && error.is_rejected();
    if is_about_metrics { Rejection::InvalidMetrics(error) } else { Rejection::Failed(error) }
}

/// The errors are `is_config` or `is_rejected` if the gateway has no query API.
impl Query for Pushgateway {
    /// Concurrent callers share one response.
    fn group<'a>(
        &'a self,
        key: &'a GroupingKey,
        since: Option<Moment>,
        timeout: Duration,
    ) -> QueryFuture<'a, Option<GroupState>> {
        Box::pin(async move {
            let deadline = Moment::now().after(timeout);
            let query = |asked| self.states(asked, timeout);
            self.shared_states.group(key, since, deadline, query).await
        })
    }

    fn groups(
        &self,
        keys: BTreeSet<GroupingKey>,
        timeout: Duration,
    ) -> QueryFuture<'_, GroupStates> {
        Box::pin(self.states(keys, timeout))
    }

    fn expect_groups(&self, keys: &[GroupingKey], response_ttl: Duration) {
        self.shared_states.expect(keys, response_ttl);
    }

    fn late_responses<'a>(
        &'a self,
        key: &'a GroupingKey,
        timeout: Duration,
    ) -> BoxFuture<'a, bool> {
        Box::pin(async move { self.server.wait_for_late_responses(&key.url_path(), timeout).await })
    }

    fn started_at(&self, timeout: Duration) -> QueryFuture<'_, SystemTime> {
        Box::pin(async move {
            let request = Request::new(Method::GET, "/api/v1/status", timeout);
            let response = self.server.send(request).await?;
            self.check_query(&response)?;
            parse_start_time(&response.body).map_err(|error| error.at("url", self.url()))
        })
    }

    /// An empty group can make the gateway reject pushes to other groups.
    fn remove_empty_group<'a>(
        &'a self,
        key: &'a GroupingKey,
        timeout: Duration,
    ) -> QueryFuture<'a, bool> {
        Box::pin(async move {
            let deadline = Moment::now().after(timeout);
            let state = Query::group(self, key, Some(Moment::now()), timeout).await?;
            let is_empty = state.is_some_and(|state| state.has_no_accepted_push());
            if is_empty {
                let delete = PushRequest::delete(key.clone());
                self.send_payload(&Payload::from(&delete), deadline.remaining()).await?;
            }
            Ok(is_empty)
        })
    }
}
