//! `Server`: the URL of one server, its transport settings and the client that connects to it.
//!
//! The client is built on first use, on the thread that sends requests, so that it does not delay the job.

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
};
use reqwest::{Client, ClientBuilder, Method, Url};

use super::client_error::{convert, convert_proxied, timed_out, timed_out_proxied};
use super::credentials::{Auth, take_userinfo};
use super::dns::Resolver;
use super::endpoint::EndpointRules;
use super::headers::header_map;
use super::late_responses::LateResponses;
use super::proxy::Proxy;
use super::redaction::Secrets;
use super::request::Request;
use super::response::Response;
use super::tls;
use super::tracked_body::TrackedBody;
use super::transport::Transport;
use super::url::{parse_base, parse_endpoint, redacted};
use crate::clock::Moment;
use crate::error::Error;

const USER_AGENT: &str = concat!("metrics-push/", env!("CARGO_PKG_VERSION"));
/// Short, because a gateway is usually in the same network, and a host that is down must not use up the timeout of a
/// delivery.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Firewalls drop idle connections without closing them, so a connection that was idle for longer may not work any more.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// The maximum number of requests in flight, so that the requests for thousands of groups share the connections of the first
/// ones.
const MAX_IDLE_CONNECTIONS: usize = 16;
/// With this interval and number of probes, TCP detects an unreachable host within a minute.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEPALIVE_RETRIES: u32 = 3;
/// The kernel closes a connection if sent data is not acknowledged for this time.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED_TIMEOUT: Duration = Duration::from_secs(30);

/// The word before a token in the header `Authorization`, if the endpoint has no other.
const TOKEN_SCHEME: &str = "Bearer";

pub(crate) struct Server {
    base: Url,
    /// The URL without credentials, as messages display it.
    name: String,
    token_scheme: &'static str,
    transport: Transport,
    headers: HeaderMap,
    client: Mutex<CurrentClient>,
    late_responses: LateResponses,
}

/// The client that new requests use.
#[derive(Default)]
struct CurrentClient {
    client: Option<Client>,
    /// The number of clients that were discarded before this one.
    generation: u64,
}

impl Server {
    /// Creates a server from a base URL. The scheme may be missing; it defaults to `http`.
    ///
    /// # Errors
    /// `is_config` if the URL, a header or a TLS setting is invalid.
    pub(crate) fn new(url: &str, transport: Transport) -> Result<Self, Error> {
        let mut server = Self::with_url(parse_base(url)?, transport, &[])?;
        server.name = server.base.as_str().trim_end_matches('/').to_owned();
        Ok(server)
    }

    /// Creates a server from the whole URL of an endpoint. Requests have an empty path.
    ///
    /// # Errors
    /// `is_config` if the URL, a header or a TLS setting is invalid.
    pub(crate) fn endpoint(
        url: &str,
        rules: EndpointRules,
        transport: Transport,
    ) -> Result<Self, Error> {
        let EndpointRules { prefix, default_path, reserved_headers, token_scheme } = rules;
        let url = parse_endpoint(url, prefix, default_path)?;
        let mut server = Self::with_url(url, transport, reserved_headers)?;
        server.name = format!("{prefix}{}", server.base);
        server.token_scheme = token_scheme;
        Ok(server)
    }

    fn with_url(mut base: Url, mut transport: Transport, reserved: &[&str]) -> Result<Self, Error> {
        let userinfo = take_userinfo(&mut base)?;
        if transport.auth == Auth::None {
            transport.auth = userinfo;
        }
        tls::check(&base, &transport)?;
        let headers = header_map(&transport.headers, reserved)?;
        Ok(Self {
            base,
            name: String::new(),
            token_scheme: TOKEN_SCHEME,
            transport,
            headers,
            client: Mutex::default(),
            late_responses: LateResponses::default(),
        })
    }

    /// Returns the URL without credentials.
    pub(crate) fn redacted_url(&self) -> &str {
        &self.name
    }

    /// Makes the next request read the client certificate again. Files with a password or token are read for every
    /// request in any case. Returns true if the next request may send other credentials.
    pub(crate) fn reload_credentials(&self) -> bool {
        let has_certificate = self.transport.cert_file.is_some();
        if has_certificate {
            let generation = self.lock_client().generation;
            self.discard_client(generation);
        }
        has_certificate || self.transport.auth.may_change()
    }

    /// Sends a request and reads the response.
    ///
    /// # Errors
    /// `is_unreachable` or `is_timeout` if the connection fails; `is_config` if a certificate, a secret or a
    /// TLS setting is invalid.
    pub(crate) async fn send(&self, request: Request<'_>) -> Result<Response, Error> {
        let timeout = request.timeout;
        let at_url = |error: Error| {
            let error = error.at("url", self.redacted_url());
            match self.proxy() {
                Ok(Some(Proxy { url, variable })) => {
                    error.at("proxy", redacted(url.as_str())).at("variable", variable)
                }
                _ => error,
            }
        };
        let (client, generation) = self.client().map_err(at_url)?;
        self.exchange(&client, request).await.map_err(at_url).map_err(|error| {
            if !error.is_timeout() {
                return error;
            }
            // The other idle connections may be as broken as this one, so the next attempt opens a new connection.
            self.discard_client(generation);
            error.at("timeout", format_args!("{:?}", round_up_to_millis(timeout)))
        })
    }

    /// Waits until the server has responded to the requests with this path whose timeout has passed. Returns false if
    /// `timeout` passes first.
    pub(crate) async fn wait_for_late_responses(&self, path: &str, timeout: Duration) -> bool {
        self.late_responses.wait(path, timeout).await
    }

    async fn exchange(&self, client: &Client, request: Request<'_>) -> Result<Response, Error> {
        let deadline = Moment::now().after(request.timeout);
        let headers = self.request_headers(&request)?;
        let proxy = self.proxy()?;
        let secrets = Secrets::new(&headers, proxy.as_ref().map(|proxy| &proxy.url));
        let (body, is_body_read) = TrackedBody::wrap(request.body);
        let url = self.request_url(request.path, request.query);
        let is_query = request.method == Method::GET;
        let builder = client.request(request.method, url);
        // Boxed because the client's futures are large, and every future that awaits this one contains it.
        let mut sending = Box::pin(builder.headers(headers).body(body).send());
        let Ok(result) = tokio::time::timeout(request.timeout, &mut sending).await else {
            let error = if proxy.is_some() { timed_out_proxied() } else { timed_out() };
            if !is_body_read.load(Ordering::Relaxed) {
                return Err(error.unsent());
            }
            if !is_query {
                self.late_responses.receive(request.path, sending);
            }
            return Err(error);
        };
        match result {
            Ok(response) => {
                let (reader, max_size) = (request.reader, request.max_response_size);
                Box::pin(Response::read(response, reader, max_size, deadline, &secrets)).await
            }
            Err(error) => Response::from_proxy(&error).ok_or_else(|| {
                let is_unsent = error.is_connect() || !is_body_read.load(Ordering::Relaxed);
                let error =
                    tls::handshake_failure(&error, &self.transport).unwrap_or_else(
                        || match proxy {
                            Some(_) => convert_proxied(&error),
                            None => convert(&error),
                        },
                    );
                if is_unsent { error.unsent() } else { error }
            }),
        }
    }

    /// Appends the path, which is already encoded, to the path of the URL, and the parameters to its query.
    fn request_url(&self, path: &str, query: Option<&str>) -> Url {
        let mut url = self.base.clone();
        if !path.is_empty() {
            url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        }
        match (self.base.query(), query) {
            (_, None) => {}
            (None | Some(""), Some(query)) => url.set_query(Some(query)),
            (Some(own), Some(query)) => url.set_query(Some(&format!("{own}&{query}"))),
        }
        url
    }

    fn request_headers(&self, request: &Request<'_>) -> Result<HeaderMap, Error> {
        let mut headers = self.headers.clone();
        // hyper omits the length of an empty body, and some servers reject requests without a length.
        headers.insert(CONTENT_LENGTH, request.body.len().into());
        if let Some(content_type) = request.content_type {
            headers.append(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        if let Some(content_encoding) = request.content_encoding {
            headers.append(CONTENT_ENCODING, HeaderValue::from_static(content_encoding));
        }
        for (name, value) in request.headers {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        self.transport.auth.authorize(&mut headers, self.token_scheme)?;
        Ok(headers)
    }

    /// Builds the client, so that the first request does not wait for it. If this fails, the first request reports the
    /// error.
    pub(crate) fn prepare(&self) {
        drop(self.client());
    }

    /// Returns the client and its generation.
    fn client(&self) -> Result<(Client, u64), Error> {
        let mut current = self.lock_client();
        let client = match &current.client {
            Some(client) => client.clone(),
            None => current.client.insert(self.build_client()?).clone(),
        };
        Ok((client, current.generation))
    }

    /// Closes the idle connections of the client with this generation, unless another request has done so: many requests
    /// can fail at the same time. Requests in flight are not affected.
    fn discard_client(&self, generation: u64) {
        let mut current = self.lock_client();
        if current.generation == generation {
            *current = CurrentClient { client: None, generation: generation + 1 };
        }
    }

    fn lock_client(&self) -> MutexGuard<'_, CurrentClient> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the proxy for the requests to this server.
    fn proxy(&self) -> Result<Option<Proxy>, Error> {
        self.transport.proxy.proxy_for(&self.base)
    }

    fn build_client(&self) -> Result<Client, Error> {
        let unusable =
            |error: reqwest::Error| Error::config("cannot build the HTTP client").caused_by(error);
        let mut builder = limit_connections(Client::builder())
            .user_agent(USER_AGENT)
            .dns_resolver(Resolver)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        if let Some(proxy) = self.proxy()? {
            builder = builder.proxy(reqwest::Proxy::all(proxy.url).map_err(unusable)?);
        }
        tls::configure(builder, &self.base, &self.transport)?.build().map_err(unusable)
    }
}

fn limit_connections(builder: ClientBuilder) -> ClientBuilder {
    let builder = builder
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(MAX_IDLE_CONNECTIONS)
        .tcp_keepalive(KEEPALIVE_INTERVAL)
        .tcp_keepalive_interval(KEEPALIVE_INTERVAL)
        .tcp_keepalive_retries(KEEPALIVE_RETRIES);
    #[cfg(target_os = "linux")]
    let builder = builder.tcp_user_timeout(UNACKNOWLEDGED_TIMEOUT);
    builder
}

/// Rounds a timeout up to milliseconds. The remaining time of a delivery is slightly less than the configured timeout,
/// which messages show.
fn round_up_to_millis(time: Duration) -> Duration {
    time.as_nanos().div_ceil(1_000_000).try_into().map_or(time, Duration::from_millis)
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("base", &self.redacted_url()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::sync::Arc;
    use std::sync::mpsc::{Receiver, channel};

    use super::*;
    use crate::http::credentials::{Secret, SecretSource};

    const TIMEOUT: Duration = Duration::from_secs(60);
    /// The timeout of requests without a response: long enough for a busy machine to send them.
    const SHORT_TIMEOUT: Duration = Duration::from_secs(2);

    fn server(url: &str) -> Result<Server, Error> {
        Server::new(url, Transport::default())
    }

    fn get(path: &str, timeout: Duration) -> Request<'_> {
        Request::new(Method::GET, path, timeout)
    }

    fn put(body: Vec<u8>, timeout: Duration) -> Request<'static> {
        Request::new(Method::PUT, "/", timeout).with_body("text/plain", None, body)
    }

    #[test]
    fn request_path_is_appended_to_the_base_url() {
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
            let path = "/metrics/job/a%2Bb/shard@base64/YS9i";
            let url = server(base).unwrap().request_url(path, None);
            assert_eq!(url.as_str(), format!("{joined}{path}"), "{base}");
        }
    }

    #[test]
    fn debug_output_contains_no_secrets() {
        let secret = SecretSource::Value(Secret::new("hunter2"));
        let error = server("http://user:hunter2@ho st").unwrap_err();
        let server = server("http://user:hunter2@gateway").unwrap();
        for text in [format!("{secret:?}"), format!("{error:?}"), format!("{server:?}")] {
            assert!(!text.contains("hunter2"), "{text}");
        }
    }

    /// Accepts connections on a thread and calls `serve` for each. The receiver gets one message per connection. If
    /// `serve` returns the connection, it stays open.
    fn listen(
        mut serve: impl FnMut(BufReader<TcpStream>) -> Option<BufReader<TcpStream>> + Send + 'static,
    ) -> (Server, Receiver<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (sender, connections) = channel();
        std::thread::spawn(move || {
            let mut open = Vec::new();
            for stream in listener.incoming() {
                if sender.send(()).is_err() {
                    break;
                }
                open.extend(serve(BufReader::new(stream.unwrap())));
            }
        });
        (server(&url).unwrap(), connections)
    }

    /// Reads the head of a request. Returns false at the end of the connection.
    fn read_head(stream: &mut BufReader<TcpStream>) -> bool {
        stream.by_ref().lines().any(|line| line.is_ok_and(|line| line.is_empty()))
    }

    /// Responds to a request. Returns false if the client has closed the connection.
    fn respond(stream: &mut BufReader<TcpStream>) -> bool {
        let response = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        read_head(stream) && stream.get_mut().write_all(response).is_ok()
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(future)
    }

    #[test]
    fn prepared_client_reuses_its_connection() {
        let (server, connections) = listen(|mut stream| {
            while respond(&mut stream) {}
            None
        });
        run(async {
            server.prepare();
            for _ in 0..3 {
                assert_eq!(server.send(get("/", TIMEOUT)).await.unwrap().body, "ok");
            }
        });
        assert_eq!(connections.try_iter().count(), 1);
    }

    #[test]
    fn client_replaces_connections_that_the_server_closed() {
        let (sender, closed) = channel();
        let (server, connections) = listen(move |mut stream| {
            respond(&mut stream);
            drop(stream);
            sender.send(()).unwrap();
            None
        });
        run(async move {
            let closed = Arc::new(Mutex::new(closed));
            for _ in 0..3 {
                assert_eq!(server.send(get("/", TIMEOUT)).await.unwrap().body, "ok");
                let closed = Arc::clone(&closed);
                // Lets the runtime receive the end of the connection, which arrives before this message.
                let wait =
                    tokio::task::spawn_blocking(move || closed.lock().unwrap().recv().unwrap());
                wait.await.unwrap();
            }
        });
        assert_eq!(connections.try_iter().count(), 3);
    }

    #[test]
    fn client_opens_a_new_connection_after_a_timeout() {
        // Responds to one request per connection, and keeps the connection open.
        let (server, connections) = listen(|mut stream| {
            respond(&mut stream);
            Some(stream)
        });
        run(async {
            assert_eq!(server.send(get("/", TIMEOUT)).await.unwrap().body, "ok");
            let error = server.send(get("/", Duration::from_millis(100))).await.unwrap_err();
            assert!(error.is_timeout(), "{error:?}");
            assert_eq!(server.send(get("/", TIMEOUT)).await.unwrap().body, "ok");
        });
        assert_eq!(connections.try_iter().count(), 2);
    }

    #[test]
    fn concurrent_timeouts_rebuild_the_client_once() {
        let server = server("http://gateway").unwrap();
        let generations = [(); 3].map(|()| server.client().unwrap().1);
        for generation in generations {
            server.discard_client(generation);
            server.prepare();
        }
        assert_eq!(server.client().unwrap().1, generations[0] + 1);
    }

    #[test]
    fn request_ends_if_the_server_responds_without_reading() {
        let (server, _connections) = listen(|mut stream| {
            read_head(&mut stream);
            let response = b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno";
            stream.get_mut().write_all(response).unwrap();
            Some(stream)
        });
        // Larger than the socket buffers.
        let body = vec![b'x'; 32 << 20];
        run(async {
            for _ in 0..2 {
                let sending = server.send(put(body.clone(), TIMEOUT));
                let response = tokio::time::timeout(TIMEOUT * 2, sending)
                    .await
                    .expect("the request must end before its timeout");
                assert_eq!(response.unwrap().body, "no");
            }
        });
    }

    /// Listens with a full backlog, so that new connections are neither accepted nor refused.
    fn unresponsive_host() -> (TcpListener, Vec<TcpStream>, SocketAddr) {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = run(async { socket.listen(1).unwrap().into_std().unwrap() });
        let address = listener.local_addr().unwrap();
        let connect = |_| TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok();
        let waiting = (0..8).map_while(connect).collect();
        (listener, waiting, address)
    }

    #[test]
    fn request_is_unsent_if_connecting_times_out() {
        let (_listener, _waiting, address) = unresponsive_host();
        let server = server(&format!("http://{address}")).unwrap();
        // The first timeout is shorter than the one for connecting, and the second is longer.
        for timeout in [CONNECT_TIMEOUT / 10, CONNECT_TIMEOUT * 5] {
            let error = run(server.send(put(b"x 1\n".to_vec(), timeout))).unwrap_err();
            assert!(error.is_timeout() && !error.may_have_arrived(), "{timeout:?}: {error:?}");
        }
    }

    #[test]
    fn request_without_a_response_may_have_arrived() {
        let (silent, _connections) = listen(Some);
        let error = run(silent.send(put(b"x 1\n".to_vec(), SHORT_TIMEOUT))).unwrap_err();
        assert!(error.is_timeout() && error.may_have_arrived(), "{error:?}");

        let (closing, _connections) = listen(|mut stream| {
            read_head(&mut stream);
            None
        });
        let error = run(closing.send(put(b"x 1\n".to_vec(), TIMEOUT))).unwrap_err();
        assert!(error.is_unreachable() && error.may_have_arrived(), "{error:?}");
    }

    #[test]
    fn connection_stays_open_until_a_late_response() {
        let (responding, may_respond) = channel();
        let (server, _connections) = listen(move |mut stream| {
            read_head(&mut stream);
            may_respond.recv().unwrap();
            stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\n\r\n").ok()?;
            None
        });
        run(async {
            let error = server.send(put(b"x 1\n".to_vec(), SHORT_TIMEOUT)).await.unwrap_err();
            assert!(error.is_timeout(), "{error:?}");
            assert!(!server.wait_for_late_responses("/", SHORT_TIMEOUT).await);
            responding.send(()).unwrap();
            assert!(server.wait_for_late_responses("/", TIMEOUT).await);
        });
    }

    #[test]
    fn query_without_a_response_is_not_waited_for() {
        let (server, _connections) = listen(Some);
        run(async {
            let error = server.send(get("/", SHORT_TIMEOUT)).await.unwrap_err();
            assert!(error.is_timeout(), "{error:?}");
            assert!(server.wait_for_late_responses("/", SHORT_TIMEOUT).await);
        });
    }

    #[test]
    fn endless_response_ends_at_the_deadline() {
        let (server, _connections) = listen(|mut stream| {
            read_head(&mut stream);
            let _ = stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            while stream.get_mut().write_all(&[b' '; 8 << 10]).is_ok() {}
            None
        });
        let mut ignore = |_: &[u8]| std::ops::ControlFlow::Continue(());
        let listing = get("/", SHORT_TIMEOUT).with_reader(usize::MAX, &mut ignore);
        let started = std::time::Instant::now();
        let error = run(server.send(listing)).unwrap_err();
        assert!(error.is_timeout() && started.elapsed() < TIMEOUT / 2, "{error:?}");
    }

    #[test]
    fn refused_connection_is_unreachable_and_unsent() {
        // Bound without listening, so that no other test listens there.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        let server = server(&format!("http://{address}")).unwrap();
        let error = run(server.send(put(b"x 1\n".to_vec(), TIMEOUT))).unwrap_err();
        assert!(error.is_unreachable() && !error.may_have_arrived(), "{error:?}");
        assert!(format!("{error:?}").contains("refused"), "{error:?}");
    }
}
