//! Pushgateway: verbs become PUT, POST and DELETE; statuses and texts become errors with cause and remedy.
//!
//! The rules are those of the Pushgateway's README, section "API". This is the only file that names HTTP methods.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::clock::Moment;
use crate::error::{Error, Kind};
use crate::http::{LISTING_LIMIT, Method, REPLY_LIMIT, Reply, Request, Server};
use crate::labels::{GroupingKey, exact_path};
use crate::notice::{self, excerpt};
use crate::parcel::{Parcel, Verb};
use crate::sink::Acceptance;
use crate::sink::listing::{self, StoredGroup};
use crate::sink::wire::{Body, Wire};

#[derive(Debug)]
pub(crate) struct GatewayClient {
    server: Server,
    wire: Wire,
    /// Whether the gateway turned out to read nothing but plain text.
    reads_plain_only: AtomicBool,
}

impl GatewayClient {
    pub(crate) fn new(server: Server, wire: Wire) -> Self {
        Self { server, wire, reads_plain_only: AtomicBool::new(false) }
    }

    pub(crate) fn url(&self) -> &str {
        self.server.shown()
    }

    pub(crate) async fn send(
        &self,
        parcel: &Parcel,
        timeout: Duration,
    ) -> Result<Acceptance, Error> {
        let until = Moment::now().after(timeout);
        match self.send_once(parcel, timeout).await {
            // Secrets change while jobs run; a file that is read again may have the new one.
            Err(error) if error.is_about_credentials() && self.server.renew() => {
                self.send_once(parcel, until.remaining()).await
            }
            answer => answer,
        }
    }

    async fn send_once(&self, parcel: &Parcel, timeout: Duration) -> Result<Acceptance, Error> {
        let answer = match self.send_understood(parcel, timeout).await {
            Ok(reply) => {
                accepted(&reply, parcel.key()).map_err(|error| error.at("url", self.url()))
            }
            Err(error) => Err(error),
        };
        answer.map_err(|error| error.at("group", parcel.key()))
    }

    /// Sends a parcel as it is wanted; and once more as plain text to a gateway that doesn't read that.
    async fn send_understood(&self, parcel: &Parcel, timeout: Duration) -> Result<Reply, Error> {
        let until = Moment::now().after(timeout);
        let body = if self.reads_plain_only.load(Ordering::Relaxed) {
            Wire::default().encode(parcel)
        } else {
            self.wire.encode(parcel)
        };
        let is_plain = body.is_plain();
        let reply = self.send_as(parcel, body, timeout).await?;
        if is_plain || !is_misread(&reply) {
            return Ok(reply);
        }
        let plain = Wire::default().encode(parcel);
        let reply = self.send_as(parcel, plain, until.remaining()).await?;
        let is_understood = matches!(reply.status, 200..=299);
        if is_understood && !self.reads_plain_only.swap(true, Ordering::Relaxed) {
            notice::warn(format_args!(
                "the gateway at {} reads neither gzip nor protobuf, or not both: from now on it is sent plain text; \
                 a Pushgateway reads them from version 1.5 on",
                self.url()
            ));
        }
        Ok(reply)
    }

    async fn send_as(
        &self,
        parcel: &Parcel,
        body: Body,
        timeout: Duration,
    ) -> Result<Reply, Error> {
        let (method, has_body) = match parcel.verb() {
            Verb::Push => (Method::PUT, true),
            Verb::Add => (Method::POST, true),
            Verb::Delete => (Method::DELETE, false),
        };
        let request = Request {
            method,
            path: &parcel.key().url_path(),
            content_type: has_body.then_some(body.content_type),
            content_encoding: body.content_encoding,
            body: body.bytes,
            reply_limit: REPLY_LIMIT,
            timeout,
        };
        self.server.send(request).await
    }

    pub(crate) async fn metrics(&self, timeout: Duration) -> Result<Vec<StoredGroup>, Error> {
        let reply = self.get("/api/v1/metrics", timeout).await?;
        listing::parse(&reply.body).map_err(|error| error.at("url", self.url()))
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

    /// Removes what a first push that was refused leaves behind: a group that has never held anything, but can clash
    /// with others. Returns whether there was one.
    ///
    /// # Errors
    /// Whatever kept it from being found or removed.
    pub(crate) async fn remove_ghost(
        &self,
        key: &GroupingKey,
        timeout: Duration,
    ) -> Result<bool, Error> {
        let until = Moment::now().after(timeout);
        let is_ghost =
            self.group(key, timeout).await?.is_some_and(|group| group.has_never_been_pushed_to());
        if is_ghost {
            self.send(&Parcel::delete(key.clone()), until.remaining()).await?;
        }
        Ok(is_ghost)
    }

    /// Removes a group with exactly its labels, those among them that no key of ours would have.
    ///
    /// # Errors
    /// Whatever kept the gateway from accepting it.
    pub(crate) async fn remove(&self, group: &StoredGroup, timeout: Duration) -> Result<(), Error> {
        let request = Request {
            method: Method::DELETE,
            path: &exact_path(&group.labels),
            content_type: None,
            content_encoding: None,
            body: Vec::new(),
            reply_limit: REPLY_LIMIT,
            timeout,
        };
        let reply = self.server.send(request).await?;
        match reply.status {
            200 | 202 | 204 => Ok(()),
            _ => Err(refusal(&reply, None).at("url", self.url())),
        }
    }

    /// Removes every group, where the server was started with its admin API.
    pub(crate) async fn wipe(&self, timeout: Duration) -> Result<(), Error> {
        let request = Request {
            method: Method::PUT,
            path: "/api/v1/admin/wipe",
            content_type: None,
            content_encoding: None,
            body: Vec::new(),
            reply_limit: REPLY_LIMIT,
            timeout,
        };
        let reply = self.server.send(request).await?;
        match reply.status {
            200 | 202 => Ok(()),
            404 => Err(Error::config("the gateway's admin API is off")
                .at("url", self.url())
                .remedy("start the gateway with --web.enable-admin-api, or delete its groups")),
            _ => Err(refusal(&reply, None).at("url", self.url())),
        }
    }

    pub(crate) async fn ready(&self, timeout: Duration) -> Result<(), Error> {
        self.get("/-/ready", timeout).await.map(drop)
    }

    async fn get(&self, path: &str, timeout: Duration) -> Result<Reply, Error> {
        let request = Request {
            method: Method::GET,
            path,
            content_type: None,
            content_encoding: None,
            body: Vec::new(),
            reply_limit: LISTING_LIMIT,
            timeout,
        };
        let reply = self.server.send(request).await?;
        match reply.status {
            200 => Ok(reply),
            _ => Err(refusal(&reply, None).at("url", self.url())),
        }
    }
}

/// Whether a gateway may have taken a body for something that it is not. What it could read, and refuses, it calls
/// pushed metrics.
fn is_misread(reply: &Reply) -> bool {
    reply.status == 415 || (reply.status == 400 && !reply.body.contains("pushed metrics"))
}

/// What the gateway's answer to a parcel means.
fn accepted(reply: &Reply, key: &GroupingKey) -> Result<Acceptance, Error> {
    match reply.status {
        // A gateway has nothing to say to a push; a login page has.
        200..=299 if reply.body.trim_start().starts_with('<') => {
            Err(Error::config("a web page answered, not a gateway")
                .remedy("check the URL: a proxy or a login page may stand in front of the gateway"))
        }
        200..=299 if reply.body.len() >= REPLY_LIMIT => {
            Err(Error::config("something answered at length, as no gateway does")
                .remedy("check the URL: another server may listen there"))
        }
        200 => Ok(Acceptance::Applied),
        // Not checked, as the server was told to, or queued; aggregating and compatible servers answer 204.
        202 | 204 => Ok(Acceptance::Queued),
        _ => Err(refusal(reply, Some(key))),
    }
}

fn refusal(reply: &Reply, key: Option<&GroupingKey>) -> Error {
    let status = reply.status;
    let (what, remedy) = cause(reply, key);
    let kind = match status {
        401 | 403 => Kind::Credentials { status: Some(status) },
        300..=399 | 404 | 405 => Kind::Config,
        _ => Kind::Refused { status },
    };
    let mut error = Error::new(kind, what).at("status", status).after(reply.retry_after);
    if let Some(location) = &reply.location {
        error = error.at("location", location);
    }
    let said = said(&reply.body);
    if !said.is_empty() {
        error = error.at("the gateway said", said);
    }
    match remedy {
        Some(remedy) => error.remedy(remedy),
        None => error,
    }
}

/// The likely cause of a refusal, and what to do about it.
fn cause(reply: &Reply, key: Option<&GroupingKey>) -> (&'static str, Option<String>) {
    let body = &reply.body;
    let owned = |text: &str| Some(text.to_owned());
    match reply.status {
        300..=399 => (
            "the gateway's address redirects",
            owned("a redirected push would arrive empty: use the target's address as the URL"),
        ),
        400 if body.contains("HTTP request to an HTTPS server") => {
            ("the gateway speaks TLS on this port", owned("use https:// in its URL"))
        }
        400 if body.contains("must not have timestamps") => {
            ("the gateway takes no timestamps", owned("export samples without them"))
        }
        400 if body.contains("inconsistent with existing metrics") => {
            ("the metrics clash with what the gateway holds", Some(clash_remedy(body, key)))
        }
        400 if body.contains("parsing error") => (
            "the gateway could not read the metrics",
            owned("an ingress or the server may be no Pushgateway"),
        ),
        400 => ("the gateway refused the push", None),
        401 => {
            ("the gateway wants credentials", owned("check the user and password, or the token"))
        }
        403 => ("the credentials do not allow this", owned("check what the user or token may do")),
        404 => (
            "there is no Pushgateway at this URL",
            owned("check the port, and the path prefix the gateway was started with"),
        ),
        405 => (
            "the server does not take pushes here",
            owned("check that the URL is a Pushgateway's, not Prometheus' own"),
        ),
        413 => (
            "the push is larger than the server allows",
            owned("export fewer series, or raise the limit of the ingress in front of the gateway"),
        ),
        429 => ("the server limits the rate of pushes", owned("push less often")),
        408 | 425 | 500..=599 => ("the gateway can't take pushes at the moment", None),
        _ => ("the server's answer is not a Pushgateway's", owned("check the URL")),
    }
}

fn clash_remedy(body: &str, key: Option<&GroupingKey>) -> String {
    let own = key.map_or_else(String::new, |key| format!(" (this push was for {key})"));
    match quoted_metric(body) {
        Some(name) => format!(
            "another group holds {name:?} with another type, or the push has it twice{own}: \
             rename one of them, or delete the other group"
        ),
        None => format!("rename the metric the text names, or delete the group that holds it{own}"),
    }
}

/// The metric that the consistency check names: `collected metric "x" {…} is not a GAUGE`.
fn quoted_metric(body: &str) -> Option<&str> {
    let after = body.split_once("collected metric ")?.1.trim_start_matches(['"', '\'']);
    after.split(['"', '\'', ' ']).next().filter(|name| !name.is_empty())
}

/// The first line of a reply, shortened: enough to recognize it, too little to flood a log.
fn said(body: &str) -> Cow<'_, str> {
    const LONGEST: usize = 400;
    excerpt(body.trim().lines().next().unwrap_or_default(), LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Result<Acceptance, Error> {
        let location = (300..400).contains(&status).then(|| "https://elsewhere/metrics".to_owned());
        let reply = Reply { status, location, retry_after: None, body: body.into() };
        accepted(&reply, &GroupingKey::new("import").unwrap())
    }

    fn refused(status: u16, body: &str) -> Error {
        answer(status, body).unwrap_err()
    }

    #[test]
    fn three_statuses_are_success() {
        assert_eq!(answer(200, "").unwrap(), Acceptance::Applied);
        assert_eq!(answer(202, "").unwrap(), Acceptance::Queued);
        assert_eq!(answer(204, "").unwrap(), Acceptance::Queued);
    }

    #[test]
    fn each_kind_of_refusal_is_told_apart() {
        for status in [301, 302, 303, 307, 308, 401, 403, 404, 405] {
            assert!(refused(status, "").is_config(), "{status}");
        }
        for status in [400, 402, 409, 413, 422] {
            let error = refused(status, "");
            assert!(error.is_rejected() && error.status() == Some(status), "{status}");
        }
        for status in [408, 425, 429, 500, 502, 503, 504] {
            assert!(refused(status, "").is_retryable(), "{status}");
        }
    }

    #[test]
    fn a_redirect_names_its_target() {
        assert_eq!(
            refused(301, "<a href=..>Moved</a>").to_string(),
            "the gateway's address redirects (status: 301, location: https://elsewhere/metrics, \
             the gateway said: <a href=..>Moved</a>); a redirected push would arrive empty: use the target's \
             address as the URL"
        );
    }

    #[test]
    fn a_page_is_no_success() {
        let error = refused(200, "\n<html>Please log in</html>");
        assert!(error.is_config() && error.to_string().contains("login page"), "{error}");
    }

    #[test]
    fn a_clash_names_the_metric_and_the_group() {
        let error = refused(
            400,
            "pushed metrics are invalid or inconsistent with existing metrics: collected metric \"orders\" \
             { label:<name:\"job\" value:\"y\" > counter:<value:1 > } is not a GAUGE\n",
        );
        let text = error.to_string();
        assert!(text.contains(r#"another group holds "orders""#), "{text}");
        assert!(text.contains(r#"this push was for {job="import"}"#), "{text}");
    }

    #[test]
    fn plain_http_to_a_tls_port_is_recognized() {
        let error = refused(400, "Client sent an HTTP request to an HTTPS server.\n");
        assert!(error.to_string().contains("use https://"), "{error}");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let long = "é".repeat(1_000);
        let said = said(&long);
        assert_eq!(said.chars().count(), 401);
    }
}
