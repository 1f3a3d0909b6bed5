//! HTTP: the only folder that knows the client. One request, one reply; what a status means is the sink's affair.
//!
//! Redirects are not followed, reply bodies are capped, every request has a deadline, and no error or
//! debug text carries a secret. The client is made on first use, on the thread that sends.

mod address;
mod credentials;
mod direct;
mod headers;
mod reply;
#[cfg(not(feature = "tls"))]
#[path = "plain.rs"]
mod tls;
#[cfg(feature = "tls")]
mod tls;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, Url};

use crate::clock::Moment;
use crate::error::Error;
pub(crate) use address::Address;
use address::{is_loopback, parse_base};
use credentials::take_userinfo;
pub(crate) use credentials::{Auth, Secret, SecretSource};
use direct::Direct;
pub(crate) use headers::check_headers;
use headers::header_map;
pub(crate) use reply::Reply;
use reply::{failure, read_reply};
pub(crate) use reqwest::Method;

/// What servers are told of who asks.
const NAME: &str = concat!("metrics-push/", env!("CARGO_PKG_VERSION"));
/// How long a connection may take to open: a gateway is near, and a dead one should not use up a budget.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How much of a reply is read. A gateway answers with a line; a wrong server may never stop.
pub(crate) const REPLY_LIMIT: usize = 64 * 1024;
/// How much of the query API's answer is read: it lists everything that a gateway holds.
pub(crate) const LISTING_LIMIT: usize = 256 * 1024 * 1024;

/// Whether variables of the environment may name a proxy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Proxy {
    /// None is used, whatever the environment says.
    #[default]
    Never,
    /// `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` are honoured, but never for this machine itself.
    Environment,
}

/// Everything about a connection but its address.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transport {
    pub(crate) auth: Auth,
    pub(crate) headers: Vec<(String, Secret)>,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) cert_file: Option<PathBuf>,
    pub(crate) key_file: Option<PathBuf>,
    /// The name that the certificate is to have, if it is not the URL's.
    pub(crate) server_name: Option<String>,
    pub(crate) proxy: Proxy,
}

/// One server: its address, and how to talk to it.
pub(crate) struct Server {
    base: Url,
    transport: Transport,
    headers: HeaderMap,
    /// Where no TLS and no proxy is on the way.
    direct: Option<Direct>,
    client: Mutex<Option<Client>>,
}

/// What is sent, and how much of the answer is wanted.
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    /// Percent-encoded, starting with a slash; appended to the base URL's path.
    pub(crate) path: &'a str,
    pub(crate) content_type: Option<&'static str>,
    pub(crate) content_encoding: Option<&'static str>,
    pub(crate) body: Vec<u8>,
    pub(crate) reply_limit: usize,
    pub(crate) timeout: Duration,
}

impl<'a> Request<'a> {
    /// One without a body, whose answer is a line.
    pub(crate) fn new(method: Method, path: &'a str, timeout: Duration) -> Self {
        Self {
            method,
            path,
            content_type: None,
            content_encoding: None,
            body: Vec::new(),
            reply_limit: REPLY_LIMIT,
            timeout,
        }
    }

    pub(crate) fn carrying(
        self,
        content_type: &'static str,
        content_encoding: Option<&'static str>,
        body: Vec<u8>,
    ) -> Self {
        Self { content_type: Some(content_type), content_encoding, body, ..self }
    }

    pub(crate) fn expecting(mut self, reply_limit: usize) -> Self {
        self.reply_limit = reply_limit;
        self
    }
}

impl Server {
    /// A server at `address`: a URL, or a host and port, which means `http`.
    ///
    /// # Errors
    /// `is_config`, if the address is no base URL, or a header is not a header.
    pub(crate) fn new(address: &str, mut transport: Transport) -> Result<Self, Error> {
        let mut base = parse_base(address)?;
        let of_url = take_userinfo(&mut base)?;
        if transport.auth == Auth::None {
            transport.auth = of_url;
        }
        tls::check(&base, &transport)?;
        let headers = header_map(&transport.headers)?;
        let direct = if uses_proxies(&base, &transport) { None } else { Direct::new(&base) };
        Ok(Self { base, transport, headers, direct, client: Mutex::default() })
    }

    /// The address as a person may see it: without credentials.
    pub(crate) fn shown(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Whether another attempt would use other credentials: those in files may have been changed. Certificates are
    /// read anew by the next request.
    pub(crate) fn renew(&self) -> bool {
        let has_certificates = self.transport.cert_file.is_some();
        if has_certificates {
            *self.client.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        has_certificates || self.transport.auth.may_change()
    }

    /// Sends one request and reads the reply.
    ///
    /// # Errors
    /// `is_unreachable` and `is_timeout` for the connection, `is_config` for certificates, secrets and TLS.
    pub(crate) async fn send(&self, request: Request<'_>) -> Result<Reply, Error> {
        let timeout = request.timeout;
        // Boxed: a client's futures are large, and those who await this one would be larger still.
        Box::pin(self.send_in_time(request)).await.map_err(|error: Error| {
            let error = error.at("url", self.shown());
            if error.is_timeout() {
                error.at("time-out", format_args!("{:?}", to_the_millisecond(timeout)))
            } else {
                error
            }
        })
    }

    async fn send_in_time(&self, request: Request<'_>) -> Result<Reply, Error> {
        let until = Moment::now().after(request.timeout);
        if let Some(direct) = &self.direct {
            let (path, headers) = (self.path(&request), self.headers_of(&request)?);
            let Request { method, body, reply_limit, .. } = request;
            let request = direct.request(method, &path, headers, body)?;
            return direct.send(request, reply_limit, until).await;
        }
        let limit = request.reply_limit;
        match Box::pin(self.prepare(request)?.send()).await {
            Ok(response) => read_reply(response, limit, until).await,
            Err(error) => Reply::of_proxy(&error).ok_or_else(|| failure(&error)),
        }
    }

    fn prepare(&self, request: Request<'_>) -> Result<reqwest::RequestBuilder, Error> {
        let mut url = self.base.clone();
        url.set_path(&self.path(&request));
        let headers = self.headers_of(&request)?;
        let builder = self.client()?.request(request.method, url).headers(headers);
        // Without a body there must still be a length: some servers store nothing otherwise.
        Ok(builder.timeout(request.timeout).body(request.body))
    }

    /// Appending keeps a prefix of the base URL; the path is encoded already.
    fn path(&self, request: &Request<'_>) -> String {
        format!("{}{}", self.base.path().trim_end_matches('/'), request.path)
    }

    fn headers_of(&self, request: &Request<'_>) -> Result<HeaderMap, Error> {
        let mut headers = self.headers.clone();
        if let Some(content_type) = request.content_type {
            headers.append(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        if let Some(content_encoding) = request.content_encoding {
            headers.append(CONTENT_ENCODING, HeaderValue::from_static(content_encoding));
        }
        self.transport.auth.authorize(&mut headers)?;
        Ok(headers)
    }

    /// Gets connected, or at least makes the client, so that the first request need not wait for that. What goes wrong is
    /// that request's error. Called where the runtime is.
    pub(crate) fn make_ready(&self) {
        match &self.direct {
            Some(direct) => direct.open_ahead(),
            None => drop(self.client()),
        }
    }

    fn client(&self) -> Result<Client, Error> {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        Ok(client.insert(self.make_client()?).clone())
    }

    fn make_client(&self) -> Result<Client, Error> {
        let mut builder = Client::builder()
            .user_agent(NAME)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT);
        if !uses_proxies(&self.base, &self.transport) {
            builder = builder.no_proxy();
        }
        tls::configure(builder, &self.base, &self.transport)?
            .build()
            .map_err(|error| Error::config("the HTTP client can't be made").caused_by(error))
    }
}

/// As people are told of it: what was left of a round number is nearly that.
fn to_the_millisecond(time: Duration) -> Duration {
    time.as_nanos().div_ceil(1_000_000).try_into().map_or(time, Duration::from_millis)
}

fn uses_proxies(base: &Url, transport: &Transport) -> bool {
    transport.proxy == Proxy::Environment && !is_loopback(base)
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("base", &self.shown()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(address: &str) -> Result<Server, Error> {
        Server::new(address, Transport::default())
    }

    fn url(address: &str) -> String {
        let server = server(address).unwrap();
        let path = "/metrics/job/a%2Bb/shard@base64/YS9i";
        let request = Request::new(Method::GET, path, Duration::ZERO);
        server.prepare(request).unwrap().build().unwrap().url().to_string()
    }

    #[test]
    fn the_path_is_appended_to_any_base() {
        for (base, joined) in [
            ("http://gateway:9091", "http://gateway:9091"),
            ("http://gateway:9091/", "http://gateway:9091"),
            ("gateway:9091", "http://gateway:9091"),
            ("https://host/prefix", "https://host/prefix"),
            ("https://host/a/b//", "https://host/a/b"),
        ] {
            if cfg!(not(feature = "tls")) && base.starts_with("https") {
                continue;
            }
            assert_eq!(
                url(base),
                format!("{joined}/metrics/job/a%2Bb/shard@base64/YS9i"),
                "{base}"
            );
        }
    }

    #[test]
    fn no_secret_is_shown() {
        let secret = SecretSource::Value(Secret::new("hunter2"));
        let error = server("http://user:hunter2@ho st").unwrap_err();
        let server = server("http://user:hunter2@gateway").unwrap();
        for text in [format!("{secret:?}"), format!("{error:?}"), format!("{server:?}")] {
            assert!(!text.contains("hunter2"), "{text}");
        }
    }
}
