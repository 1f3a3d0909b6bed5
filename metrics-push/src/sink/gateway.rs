//! Pushgateway: verbs become PUT, POST and DELETE, and what it holds is read back.
//!
//! The rules are those of the Pushgateway's README, section "API". This is the only file that names HTTP methods.

use std::time::{Duration, SystemTime};

use super::answer::{accepted, refusal};
use super::dialect::Dialect;
use super::listing::{self, StoredGroup};
use super::survey::Survey;
use super::wire::{Body, Wire};
use super::{Acceptance, GatewayKind};
use crate::clock::Moment;
use crate::error::Error;
use crate::http::{MAX_LISTING_SIZE, Method, Request, Response, Server};
use crate::labels::{GroupingKey, exact_path};
use crate::push_request::{Payload, PushRequest, Verb};

#[derive(Debug)]
pub(crate) struct GatewayClient {
    server: Server,
    kind: GatewayKind,
    dialect: Dialect,
    survey: Survey,
}

impl GatewayClient {
    pub(crate) fn new(server: Server, kind: GatewayKind, wire: Wire) -> Self {
        Self { server, kind, dialect: Dialect::new(wire), survey: Survey::default() }
    }

    pub(crate) fn kind(&self) -> GatewayKind {
        self.kind
    }

    pub(crate) fn url(&self) -> &str {
        self.server.redacted_url()
    }

    pub(crate) fn prepare(&self) {
        self.server.make_ready();
    }

    pub(crate) async fn send(
        &self,
        payload: &Payload<'_>,
        timeout: Duration,
    ) -> Result<Acceptance, Error> {
        let until = Moment::now().after(timeout);
        match self.send_once(payload, timeout).await {
            // Secrets change while jobs run; a file that is read again may have the new one.
            Err(error) if error.is_about_credentials() && self.server.reload_credentials() => {
                self.send_once(payload, until.remaining()).await
            }
            answer => answer,
        }
    }

    async fn send_once(
        &self,
        payload: &Payload<'_>,
        timeout: Duration,
    ) -> Result<Acceptance, Error> {
        let send = |body, timeout| self.send_as(payload, body, timeout);
        let answer = match self.dialect.send(payload, timeout, self.url(), send).await {
            Ok(reply) => {
                accepted(&reply, payload.key()).map_err(|error| error.at("url", self.url()))
            }
            Err(error) => Err(error),
        };
        answer.map_err(|error| error.at("group", payload.key()))
    }

    async fn send_as(
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
        let http_request = Request::new(method, &path, timeout);
        let http_request = match payload.verb() {
            Verb::Delete => http_request,
            Verb::Push | Verb::Add => {
                http_request.with_body(body.content_type, body.content_encoding, body.bytes)
            }
        };
        self.server.send(http_request).await
    }

    pub(crate) async fn metrics(&self, timeout: Duration) -> Result<Vec<StoredGroup>, Error> {
        let reply = self.get("/api/v1/metrics", timeout).await?;
        listing::parse(&reply.body).map_err(|error| error.at("url", self.url()))
    }

    /// When the gateway was started.
    ///
    /// # Errors
    /// Whatever kept it from answering; `is_config` or `is_rejected`, if it can't be asked such things.
    pub(crate) async fn started_at(&self, timeout: Duration) -> Result<SystemTime, Error> {
        let reply = self.get("/api/v1/status", timeout).await?;
        listing::started_at(&reply.body).map_err(|error| error.at("url", self.url()))
    }

    /// What the gateway holds for this key.
    ///
    /// # Errors
    /// Whatever kept it from answering; `is_config` or `is_rejected`, if it can't be asked such things.
    pub(crate) async fn group(
        &self,
        key: &GroupingKey,
        timeout: Duration,
    ) -> Result<Option<StoredGroup>, Error> {
        let groups = self.metrics(timeout).await?;
        Ok(groups.into_iter().find(|group| group.is_at(key)))
    }

    /// The same for many groups at once: one answer may be for several who ask.
    ///
    /// # Errors
    /// As [`group`](Self::group).
    pub(crate) async fn group_surveyed(
        &self,
        key: &GroupingKey,
        timeout: Duration,
    ) -> Result<Option<StoredGroup>, Error> {
        let until = Moment::now().after(timeout);
        self.survey.look_up(key, until, self.metrics(timeout)).await
    }

    /// Removes what a first push that was refused leaves behind: a group that has never held anything, but can clash
    /// with others. Returns whether there was one.
    ///
    /// # Errors
    /// Whatever kept it from being found or removed.
    pub(crate) async fn remove_empty_group(
        &self,
        key: &GroupingKey,
        timeout: Duration,
    ) -> Result<bool, Error> {
        let until = Moment::now().after(timeout);
        let is_ghost =
            self.group(key, timeout).await?.is_some_and(|group| group.has_never_been_pushed_to());
        if is_ghost {
            self.send(&Payload::from(&PushRequest::delete(key.clone())), until.remaining()).await?;
        }
        Ok(is_ghost)
    }

    /// Removes a group with exactly its labels, those among them that no key of ours would have.
    ///
    /// # Errors
    /// Whatever kept the gateway from accepting it.
    pub(crate) async fn remove(&self, group: &StoredGroup, timeout: Duration) -> Result<(), Error> {
        let path = exact_path(&group.labels);
        let reply = self.server.send(Request::new(Method::DELETE, &path, timeout)).await?;
        self.check(&reply, &[200, 202, 204])
    }

    /// Removes every group, where the server was started with its admin API.
    pub(crate) async fn wipe(&self, timeout: Duration) -> Result<(), Error> {
        let request = Request::new(Method::PUT, "/api/v1/admin/wipe", timeout);
        let reply = self.server.send(request).await?;
        if reply.status == 404 {
            return Err(Error::config("the gateway's admin API is off")
                .at("url", self.url())
                .remedy("start the gateway with --web.enable-admin-api, or delete its groups"));
        }
        self.check(&reply, &[200, 202])
    }

    pub(crate) async fn ready(&self, timeout: Duration) -> Result<(), Error> {
        self.get("/-/ready", timeout).await.map(drop)
    }

    async fn get(&self, path: &str, timeout: Duration) -> Result<Response, Error> {
        let request =
            Request::new(Method::GET, path, timeout).with_max_response_size(MAX_LISTING_SIZE);
        let reply = self.server.send(request).await?;
        self.check(&reply, &[200])?;
        Ok(reply)
    }

    fn check(&self, reply: &Response, done: &[u16]) -> Result<(), Error> {
        if done.contains(&reply.status) {
            return Ok(());
        }
        Err(refusal(reply, None).at("url", self.url()))
    }
}
