//! HTTP: the only file that knows the client. One request, one reply; what a status means is the sink's affair.
//!
//! Redirects are not followed, reply bodies are capped, every request has a deadline, and no error or
//! debug text carries a secret. The client is made on first use, on the thread that sends.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderMap, HeaderName,
    HeaderValue, LOCATION, RETRY_AFTER, TRANSFER_ENCODING,
};
use reqwest::{Client, Url};

use crate::clock::Moment;
use crate::retry;

use crate::error::{Error, Kind};

#[cfg(not(feature = "tls"))]
#[path = "plain.rs"]
mod tls;
#[cfg(feature = "tls")]
mod tls;

pub(crate) use reqwest::Method;

/// How long a connection may take to open: a gateway is near, and a dead one should not use up a budget.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How much of a reply is read. A gateway answers with a line; a wrong server may never stop.
pub(crate) const REPLY_LIMIT: usize = 64 * 1024;
/// How much of the query API's answer is read: it lists everything that a gateway holds.
pub(crate) const LISTING_LIMIT: usize = 256 * 1024 * 1024;

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"…\"")
    }
}

/// A URL as it was given, which may hold credentials. They are not shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address(String);

impl Address {
    pub(crate) fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&without_userinfo(&self.0), f)
    }
}

/// Where a secret comes from. Files are read for every request, so that a rotated secret is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SecretSource {
    Value(Secret),
    File(PathBuf),
}

impl SecretSource {
    fn read(&self) -> Result<Secret, Error> {
        match self {
            Self::Value(secret) => Ok(secret.clone()),
            Self::File(path) => std::fs::read_to_string(path)
                // Editors and `echo` end a file with a line break that is no part of the secret.
                .map(|text| Secret::new(text.trim_end_matches(['\r', '\n'])))
                .map_err(|error| {
                    Error::config("the secret file can't be read")
                        .at("file", path.display())
                        .caused_by(error)
                        .remedy("let the job's user read it, or name another file")
                }),
        }
    }
}

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Auth {
    #[default]
    None,
    Basic {
        user: String,
        password: SecretSource,
    },
    Bearer(SecretSource),
}

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
    client: Mutex<Option<Client>>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) location: Option<String>,
    /// How long the server asks to be left alone.
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: String,
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

impl Server {
    /// A server at `address`: a URL, or a host and port, which means `http`.
    ///
    /// # Errors
    /// `is_config`, if the address is no base URL, or a header is not a header.
    pub(crate) fn new(address: &str, mut transport: Transport) -> Result<Self, Error> {
        let mut base = parse_base(address)?;
        move_userinfo(&mut base, &mut transport)?;
        tls::check(&base, &transport)?;
        let headers = header_map(&transport.headers)?;
        Ok(Self { base, transport, headers, client: Mutex::default() })
    }

    /// The address as a person may see it: without credentials.
    pub(crate) fn shown(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Whether another attempt would use other credentials: those in files may have been changed. Certificates are
    /// read anew by the next request.
    pub(crate) fn renew(&self) -> bool {
        let secret_is_in_file = match &self.transport.auth {
            Auth::None => false,
            Auth::Basic { password: secret, .. } | Auth::Bearer(secret) => {
                matches!(secret, SecretSource::File(_))
            }
        };
        let has_certificates = self.transport.cert_file.is_some();
        if has_certificates {
            *self.client.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        secret_is_in_file || has_certificates
    }

    /// Sends one request and reads the reply.
    ///
    /// # Errors
    /// `is_unreachable` and `is_timeout` for the connection, `is_config` for certificates, secrets and TLS.
    pub(crate) async fn send(&self, request: Request<'_>) -> Result<Reply, Error> {
        let limit = request.reply_limit;
        let timeout = request.timeout;
        let sent = async {
            let response = self.prepare(request)?.send().await.map_err(|error| failure(&error))?;
            read_reply(response, limit).await
        };
        sent.await.map_err(|error: Error| {
            let error = error.at("url", self.shown());
            if error.is_timeout() {
                error.at("time-out", format_args!("{timeout:?}"))
            } else {
                error
            }
        })
    }

    fn prepare(&self, request: Request<'_>) -> Result<reqwest::RequestBuilder, Error> {
        let mut url = self.base.clone();
        // Appending keeps a prefix of the base URL; the path is encoded already.
        url.set_path(&format!("{}{}", self.base.path().trim_end_matches('/'), request.path));
        let mut builder = self
            .client()?
            .request(request.method, url)
            .headers(self.headers.clone())
            .timeout(request.timeout);
        if let Some(content_type) = request.content_type {
            builder = builder.header(CONTENT_TYPE, content_type);
        }
        if let Some(content_encoding) = request.content_encoding {
            builder = builder.header(CONTENT_ENCODING, content_encoding);
        }
        // Without a body there must still be a length: some servers store nothing otherwise.
        builder = self.authorize(builder.body(request.body))?;
        Ok(builder)
    }

    fn authorize(
        &self,
        builder: reqwest::RequestBuilder,
    ) -> Result<reqwest::RequestBuilder, Error> {
        Ok(match &self.transport.auth {
            Auth::None => builder,
            Auth::Basic { user, password } => builder.basic_auth(user, Some(password.read()?.0)),
            Auth::Bearer(token) => {
                let mut value = HeaderValue::try_from(format!("Bearer {}", token.read()?.0))
                    .map_err(|_| {
                        Error::config("the bearer token has characters no header can carry")
                            .remedy("give the token alone, on one line")
                    })?;
                value.set_sensitive(true);
                builder.header(AUTHORIZATION, value)
            }
        })
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
            .user_agent(concat!("metrics-push/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT);
        if self.transport.proxy == Proxy::Never || is_loopback(&self.base) {
            builder = builder.no_proxy();
        }
        tls::configure(builder, &self.base, &self.transport)?
            .build()
            .map_err(|error| Error::config("the HTTP client can't be made").caused_by(error))
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("base", &self.shown()).finish_non_exhaustive()
    }
}

fn parse_base(address: &str) -> Result<Url, Error> {
    let refused = |what: &'static str| {
        Error::config(what)
            .at("url", format_args!("{:?}", without_userinfo(address)))
            .remedy("write it as http://host:9091 or https://host/prefix")
    };
    let address = address.trim();
    let with_scheme =
        if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
    let url = Url::parse(&with_scheme)
        .map_err(|error| refused("the gateway's URL can't be read").caused_by(error))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refused("the gateway's URL is neither http nor https"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refused("the gateway's URL has a query or a fragment, which would be lost"));
    }
    if url.path().contains("/metrics/job/") {
        return Err(refused("the gateway's URL names a group, which every push does itself"));
    }
    Ok(url)
}

/// The address up to its authority's `@` may hold a password.
fn without_userinfo(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((before, host)) => {
            let scheme = before.split_once("://").map_or("", |(scheme, _)| scheme);
            if scheme.is_empty() { format!("…@{host}") } else { format!("{scheme}://…@{host}") }
        }
        None => address.to_owned(),
    }
}

/// Where a redirect leads, as a person may see it: a query may hold a session, and the rest what a URL may.
fn shown_target(location: &str) -> String {
    let path = location.split(['?', '#']).next().unwrap_or_default();
    without_userinfo(path)
}

/// Credentials in the URL would be shown with it: they belong into the header.
fn move_userinfo(base: &mut Url, transport: &mut Transport) -> Result<(), Error> {
    if base.username().is_empty() && base.password().is_none() {
        return Ok(());
    }
    if transport.auth == Auth::None {
        transport.auth = Auth::Basic {
            user: percent_decoded(base.username())?,
            password: SecretSource::Value(Secret::new(percent_decoded(
                base.password().unwrap_or_default(),
            )?)),
        };
    }
    // These fail only for URLs that cannot have credentials in the first place.
    let _ = base.set_username("");
    let _ = base.set_password(None);
    Ok(())
}

fn percent_decoded(text: &str) -> Result<String, Error> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = match tail {
            [high, low, ..] if *first == b'%' => hex_digit(*high).zip(hex_digit(*low)),
            _ => None,
        };
        bytes.push(hex.map_or(*first, |(high, low)| high * 16 + low));
        rest = if hex.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(bytes).map_err(|_| Error::config("the URL's user or password is not UTF-8"))
}

fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// What says how a body is to be read: another value would make the gateway read something else.
const OWN_HEADERS: [HeaderName; 4] =
    [CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING];

/// Whether these can be sent with every request.
///
/// # Errors
/// `is_config`, if one can't.
pub(crate) fn check_headers(headers: &[(String, Secret)]) -> Result<(), Error> {
    header_map(headers).map(drop)
}

fn header_map(headers: &[(String, Secret)]) -> Result<HeaderMap, Error> {
    let mut map = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let header = HeaderName::try_from(name).map_err(|_| {
            Error::config(format!("{name:?} is not the name of an HTTP header"))
                .remedy("use letters, digits and hyphens, as in X-Scope-OrgID")
        })?;
        if OWN_HEADERS.contains(&header) {
            return Err(Error::config(format!("the header {name:?} is set by every push itself"))
                .remedy("leave it out"));
        }
        let mut value = HeaderValue::try_from(&value.0).map_err(|_| {
            Error::config(format!(
                "the value of the header {name:?} has characters no header can carry"
            ))
            .remedy("leave out line breaks and other control characters")
        })?;
        value.set_sensitive(true);
        map.append(header, value);
    }
    Ok(map)
}

fn is_loopback(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost") => true,
        Some(host) => host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback()),
        None => false,
    }
}

async fn read_reply(mut response: reqwest::Response, limit: usize) -> Result<Reply, Error> {
    let status = response.status().as_u16();
    let location = response
        .headers()
        .get(LOCATION)
        .map(|value| shown_target(&String::from_utf8_lossy(value.as_bytes())));
    let retry_after = retry_after(response.headers());
    let mut body = Vec::new();
    while body.len() < limit {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                body.extend_from_slice(&chunk[..chunk.len().min(limit - body.len())]);
            }
            Ok(None) => break,
            // A status has arrived and says it all; only a text for people is cut short.
            Err(_) if status >= 300 => break,
            Err(error) => return Err(failure(&error)),
        }
    }
    Ok(Reply { status, location, retry_after, body: String::from_utf8_lossy(&body).into_owned() })
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    retry::retry_after(text(RETRY_AFTER)?, text(DATE), Moment::now().wall())
}

/// The client's error in our terms. Its own text repeats the URL, so only its causes are kept.
fn failure(error: &reqwest::Error) -> Error {
    use std::error::Error as _;

    if let Some(error) = tls::failure(error) {
        return error;
    }
    let classified = if error.is_timeout() {
        Error::new(Kind::Timeout, "the gateway did not answer in time")
            .remedy("what it did is unknown; the next push carries everything again")
    } else if error.is_connect() {
        Error::new(Kind::Unreachable, "no connection to the gateway")
            .remedy("check the address, and that the gateway runs")
    } else if error.is_builder() {
        Error::config("the request can't be made")
    } else {
        Error::new(Kind::Unreachable, "the connection to the gateway broke")
    };
    match root_cause(error.source()) {
        Some(cause) => classified.caused_by(cause),
        None => classified,
    }
}

/// The last error of a chain, as text: the ones before it say only that something failed.
fn root_cause(first: Option<&(dyn std::error::Error + 'static)>) -> Option<String> {
    std::iter::successors(first, |error| error.source()).last().map(ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(address: &str) -> Result<Server, Error> {
        Server::new(address, Transport::default())
    }

    fn url(address: &str) -> String {
        let server = server(address).unwrap();
        let request = Request {
            method: Method::GET,
            path: "/metrics/job/a%2Bb/shard@base64/YS9i",
            content_type: None,
            content_encoding: None,
            body: Vec::new(),
            reply_limit: 0,
            timeout: Duration::ZERO,
        };
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
    fn a_url_that_would_lose_something_is_refused() {
        for address in [
            "http://host/?a=b",
            "http://host/#x",
            "ftp://host",
            "http://",
            "http://ho st",
            "http://h/metrics/job/x",
        ] {
            let error = server(address).unwrap_err();
            assert!(error.is_config() && error.to_string().contains("http://host:9091"), "{error}");
        }
    }

    #[test]
    fn credentials_move_from_the_url_to_the_header() {
        let server = server("http://us%40er:p%2Fw@gateway:9091/").unwrap();
        assert_eq!(server.shown(), "http://gateway:9091");
        let expected =
            Auth::Basic { user: "us@er".into(), password: SecretSource::Value(Secret::new("p/w")) };
        assert_eq!(server.transport.auth, expected);
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

    #[test]
    fn the_machine_itself_is_recognized() {
        for (address, local) in [
            ("http://localhost:1", true),
            ("http://127.0.0.9:1", true),
            ("http://[::1]:1", true),
            ("http://gateway:1", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(is_loopback(&parse_base(address).unwrap()), local, "{address}");
        }
    }
}
