//! Failures between a job and its gateway: host names, connections and proxies.

use std::io::{Read as _, Write as _};
use std::process::Stdio;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use metrics_push::prometheus::{Counter, Registry};
use metrics_push::testing::FakeGateway;
use metrics_push::{Acceptance, Config, Error, GatewayKind, Job, Outcome, Pusher};

use crate::child::is_wait_notice;
use crate::programs::{command, program};
use crate::raw_tcp::{FullBacklog, RawServer};
use crate::temp_dir::TempDir;

/// The time for which a test waits for another program.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The timeout of pushes that must fail.
const SHORT_TIMEOUT: Duration = Duration::from_secs(2);
/// The extra time that a busy machine may take.
const SLACK: Duration = Duration::from_secs(4);

fn empty_registry() -> &'static Registry {
    static REGISTRY: std::sync::OnceLock<Registry> = std::sync::OnceLock::new();
    REGISTRY.get_or_init(Registry::new)
}

fn push(url: &str) -> Result<Acceptance, Error> {
    let counter = Counter::new("rows_total", "Rows.").unwrap();
    Pusher::new(url, "remote")
        .unwrap()
        .collector(counter)
        .unwrap()
        .map_gateway(|gateway| gateway.timeout(SHORT_TIMEOUT))
        .push()
}

/// Returns the error of a push, and checks that a job spools its outcome. Both must end in time.
fn fail_in_time(url: &str) -> Error {
    let started = Instant::now();
    let error = push(url).unwrap_err();
    assert_eq!(spooled_by_a_job(Config::default().url(url).unwrap()), 1);
    assert!(started.elapsed() < SHORT_TIMEOUT * 2 + SLACK, "{:?}", started.elapsed());
    error
}

/// Runs a job and returns the number of requests in its spool.
fn spooled_by_a_job(config: Config) -> usize {
    let state = TempDir::new();
    let _scope = config.state_dir(state.path()).timeout(SHORT_TIMEOUT).scope().unwrap();
    Job::new("remote").registry(empty_registry).whole_process().start().finish(Outcome::Success);
    state.records().len()
}

#[test]
fn unknown_host_is_reported_within_the_timeout() {
    let error = fail_in_time("http://gateway.invalid:9091");
    assert!(error.is_retryable(), "{error:?}");
}

#[test]
fn connection_attempt_ends_within_the_timeout() {
    let server = FullBacklog::start();
    let error = fail_in_time(&format!("http://{}", server.address()));
    assert!(error.is_timeout(), "{error:?}");
}

/// An aggregating gateway must not receive an outcome twice. Without a connection it has not received it once.
#[test]
fn aggregating_outcome_without_a_connection_is_spooled() {
    let server = FullBacklog::start();
    let config = Config::default().url(format!("http://{}", server.address())).unwrap();
    assert_eq!(spooled_by_a_job(config.gateway_kind(GatewayKind::Aggregating)), 1);
}

/// Starts a proxy that responds to every request with this status. The receiver gets the first line of each request.
fn proxy_with_status(status: &'static str) -> (RawServer, Receiver<String>) {
    let (sender, requests) = mpsc::channel();
    let proxy = RawServer::start(move |mut stream| {
        let mut text = [0; 4096];
        let length = stream.read(&mut text).unwrap();
        let text = String::from_utf8_lossy(&text[..length]).into_owned();
        let _ = sender.send(text.lines().next().unwrap_or_default().to_owned());
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        let _ = stream.write_all(head.as_bytes());
        None
    });
    (proxy, requests)
}

fn proxy() -> (RawServer, Receiver<String>) {
    proxy_with_status("202 Accepted")
}

/// Pushes with these variables and no other variables for proxies. Returns stderr if the push fails.
fn push_failure(gateway: &str, variables: &[(&str, &str)]) -> Option<String> {
    push_within(SHORT_TIMEOUT, gateway, variables)
}

fn push_succeeds(gateway: &str, variables: &[(&str, &str)]) -> bool {
    push_within(TIMEOUT, gateway, variables).is_none()
}

fn push_within(timeout: Duration, gateway: &str, variables: &[(&str, &str)]) -> Option<String> {
    let mut command = command(program("push"));
    command.args([gateway, &format!("{timeout:?}")]);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"] {
        command.env_remove(name).env_remove(name.to_lowercase());
    }
    let output = command.envs(variables.iter().copied()).output().unwrap();
    (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn proxy_variables_are_used() {
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        let (proxy, requests) = proxy();
        assert!(push_succeeds("http://gateway.invalid:9091", &[(name, &proxy.url())]), "{name}");
        let expected = "PUT http://gateway.invalid:9091/metrics/job/remote HTTP/1.1";
        assert_eq!(requests.try_iter().collect::<Vec<_>>(), [expected], "{name}");
    }
}

#[test]
fn proxy_is_not_used_for_hosts_in_no_proxy() {
    let (proxy, requests) = proxy();
    let url = proxy.url();
    for (gateway, no_proxy) in [
        ("http://gateway.invalid:9091", "other.example,.invalid"),
        ("http://gateway.invalid:9091", "gateway.invalid"),
        ("http://gateway.invalid:9091", "*"),
        ("http://gateway.invalid:9091", "GATEWAY.invalid.:9091"),
        ("http://gateway.invalid:9091", "*.invalid"),
        ("http://gateway.invalid:9091", "other gateway.invalid"),
        // Addresses that are reserved for documentation.
        ("http://192.0.2.7:9", "192.0.2.0/24"),
        ("http://[2001:db8::1]:9", "[2001:db8::1]"),
    ] {
        let variables = [("HTTP_PROXY", &*url), ("NO_PROXY", no_proxy)];
        assert!(push_failure(gateway, &variables).is_some(), "{no_proxy}");
        assert_eq!(requests.try_iter().count(), 0, "{no_proxy}");
    }
}

#[test]
fn loopback_gateway_never_uses_a_proxy() {
    let gateway = FakeGateway::start();
    let (proxy, requests) = proxy();
    for url in [gateway.url(), gateway.url().replace("127.0.0.1", "localhost")] {
        assert!(
            push_succeeds(&url, &[("HTTP_PROXY", &*proxy.url()), ("ALL_PROXY", &*proxy.url())]),
            "{url}"
        );
    }
    assert_eq!((requests.try_iter().count(), gateway.requests().len()), (0, 2));
}

#[test]
fn proxy_that_requires_credentials_is_reported() {
    for (gateway, variable, line) in [
        (
            "http://gateway.invalid:9091",
            "HTTP_PROXY",
            "PUT http://gateway.invalid:9091/metrics/job/remote HTTP/1.1",
        ),
        ("https://gateway.invalid", "HTTPS_PROXY", "CONNECT gateway.invalid:443 HTTP/1.1"),
    ] {
        let (proxy, requests) = proxy_with_status("407 Proxy Authentication Required");
        let message = push_failure(gateway, &[(variable, &*proxy.url())]).unwrap();
        for part in ["config true", "status Some(407)", "the proxy requires credentials"] {
            assert!(message.contains(part), "{gateway}: {message}");
        }
        // The push is not retried.
        assert_eq!(requests.try_iter().collect::<Vec<_>>(), [line], "{gateway}");
    }
}

#[test]
fn proxy_credentials_are_not_in_messages() {
    let (proxy, requests) = proxy_with_status("407 Proxy Authentication Required");
    let url = proxy.url().replace("http://", "http://user:hunter2@");
    let message = push_failure("https://gateway.invalid", &[("HTTPS_PROXY", &*url)]).unwrap();
    assert!(!message.contains("hunter2") && requests.try_iter().count() == 1, "{message}");
}

#[test]
fn unusable_proxy_is_a_configuration_error_that_names_the_variable() {
    for (variable, value, cause) in [
        ("ALL_PROXY", "socks5://user:hunter2@127.0.0.1:1080", "the scheme socks5 is not supported"),
        ("http_proxy", "socks5h://127.0.0.1", "the scheme socks5h is not supported"),
        ("HTTP_PROXY", "http://127.0.0.1:port", "invalid port number"),
    ] {
        let message = push_failure("http://gateway.invalid:9091", &[(variable, value)]).unwrap();
        let place = format!("variable: {variable}");
        for part in ["config true", "retryable false", "invalid proxy", cause, &place, "NO_PROXY"] {
            assert!(message.contains(part), "{part}: {message}");
        }
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[test]
fn error_of_a_connection_through_a_proxy_names_the_proxy() {
    let refusing = FakeGateway::start();
    refusing.refuse_connections();
    let port = refusing.address().port();
    let proxy = format!("http://user:hunter2@127.0.0.1:{port}");
    for gateway in ["http://gateway.invalid:9091", "https://gateway.invalid"] {
        let message = push_failure(gateway, &[("ALL_PROXY", &*proxy)]).unwrap();
        let place = format!("proxy: http://…@127.0.0.1:{port}/, variable: ALL_PROXY");
        let remedy =
            "; check the variable and that the proxy is running, or add the gateway to NO_PROXY";
        for part in ["no connection through the proxy", &place, remedy] {
            assert!(message.contains(part), "{part}: {message}");
        }
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[test]
fn error_of_a_silent_proxy_names_the_proxy() {
    let proxy = FullBacklog::start();
    let url = format!("http://{}", proxy.address());
    let message = push_failure("http://gateway.invalid:9091", &[("http_proxy", &*url)]).unwrap();
    let place = format!("proxy: {url}/, variable: http_proxy");
    for part in ["the proxy or the gateway did not respond in time", &place, "NO_PROXY"] {
        assert!(message.contains(part), "{part}: {message}");
    }
}

/// Starts a server that sends these bytes in response to every request.
fn server_with_response(response: impl Fn(&str) -> Vec<u8> + Send + 'static) -> RawServer {
    RawServer::start(move |mut stream| {
        let mut head = [0; 4096];
        let length = stream.read(&mut head).unwrap();
        let _ = stream.write_all(&response(&String::from_utf8_lossy(&head[..length])));
        None
    })
}

#[test]
fn control_characters_of_a_response_are_escaped() {
    let server = server_with_response(|_| {
        let head = b"HTTP/1.1 302 Found\r\nConnection: close\r\nLocation: http://a/";
        [head, "\u{202e}x\r\n\r\n\u{1b}]0;x\u{7}\u{1b}[2J\r\u{2028}".as_bytes(), b"\xff\x9b"]
            .concat()
    });
    let error = push(&server.url()).unwrap_err();
    for text in [error.to_string(), format!("{error:?}")] {
        assert!(text.contains(r"location: http://a/\u{202e}x"), "{text}");
        assert!(text.contains(r"response: \u{1b}]0;x\u{7}\u{1b}[2J\r\u{2028}"), "{text}");
        assert!(!text.contains(char::is_control), "{text:?}");
    }
}

#[test]
fn request_headers_in_a_response_are_not_in_the_error() {
    let server = server_with_response(|head| {
        let one_line = head.replace("\r\n", " ");
        let location = head.split("Basic ").nth(1).and_then(|rest| rest.split_whitespace().next());
        format!(
            "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nLocation: /login?{0}/{0}\r\n\r\n{one_line}",
            location.unwrap_or_default()
        )
        .into_bytes()
    });
    let counter = Counter::new("rows_total", "Rows.").unwrap();
    let pusher = Pusher::new(server.url(), "remote").unwrap().collector(counter).unwrap();
    let error = pusher
        .map_gateway(|gateway| {
            gateway.basic_auth("batch", "hunter2-Zq9").header("X-Key", "orgkey5")
        })
        .push()
        .unwrap_err();
    let text = format!("{error:?}");
    assert!(text.contains("response: PUT /metrics/job/remote"), "{text}");
    // The user and the password in base64 are `YmF0Y2g6aHVudGVyMi1acTk=`.
    for secret in ["hunter2", "YmF0Y2g6aHVudGVyMi1acTk", "aHVudGVyMi1acT", "orgkey5"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
}

/// Runs a job whose `main` does nothing, with these variables. Returns its log lines.
fn log_of_a_job(variables: &[(&str, &str)]) -> String {
    let output = command(program("nothing")).envs(variables.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    text.split_inclusive('\n').filter(|line| !is_wait_notice(line)).collect()
}

#[test]
fn unreadable_file_is_reported_with_the_variable_the_path_and_the_cause() {
    let gateway = FakeGateway::start();
    let folder = TempDir::new();
    std::fs::create_dir_all(folder.path()).unwrap();
    let path = folder.path().join("missing");
    let path = path.to_str().unwrap();
    let https = gateway.url().replace("http://", "https://");
    let certificate = folder.path().join("cert.pem");
    std::fs::write(&certificate, "no certificate").unwrap();
    let certificate = certificate.to_str().unwrap();
    for (url, variable, other) in [
        (gateway.url(), "METRICS_PUSH_TOKEN_FILE", ("METRICS_PUSH_JOB", "x")),
        (gateway.url(), "METRICS_PUSH_PASSWORD_FILE", ("METRICS_PUSH_USERNAME", "batch")),
        (https.clone(), "METRICS_PUSH_CA_FILE", ("METRICS_PUSH_JOB", "x")),
        (https.clone(), "METRICS_PUSH_KEY_FILE", ("METRICS_PUSH_CERT_FILE", certificate)),
    ] {
        if cfg!(not(feature = "tls")) && url == https {
            continue;
        }
        let variables =
            [("METRICS_PUSH_URL", &*url), ("METRICS_PUSH_TIMEOUT", "2s"), (variable, path), other];
        let log = log_of_a_job(&variables);
        for part in [variable, path, "No such file", "readable for the job's user"] {
            assert!(log.contains(part), "{variable}: no {part} in {log}");
        }
    }
}

#[test]
fn unused_credentials_are_reported_once() {
    let gateway = FakeGateway::start();
    let log = log_of_a_job(&[
        ("METRICS_PUSH_URL", &*gateway.url()),
        ("METRICS_PUSH_USERNAME", "batch"),
        ("METRICS_PUSH_PASSWORD", "hunter2"),
        ("METRICS_PUSH_TOKEN", "sesame"),
    ]);
    assert_eq!(
        log,
        "metrics-push: several credentials are set: METRICS_PUSH_TOKEN, METRICS_PUSH_PASSWORD; requests use \
         METRICS_PUSH_TOKEN; unset the others\n"
    );
    for request in gateway.requests() {
        assert_eq!(request.header("authorization"), Some("Bearer sesame"));
    }
}

#[test]
fn dry_run_needs_no_url() {
    let log = log_of_a_job(&[("METRICS_PUSH_DRY_RUN", "true")]);
    assert!(
        log.contains("dry run: push {job=\"nothing\"} to http://url-is-not-set.invalid"),
        "{log}"
    );
    assert!(log.contains("batch_job_last_run_success 1"), "{log}");
    let disabled = [("METRICS_PUSH_DRY_RUN", "true"), ("METRICS_PUSH_DISABLED", "true")];
    assert_eq!(log_of_a_job(&disabled), "");
}

#[test]
fn url_of_the_api_is_reported_with_the_part_to_leave_out() {
    let gateway = FakeGateway::start();
    for path in ["/metrics", "/metrics/job/x", "/api/v1/metrics"] {
        let log = log_of_a_job(&[("METRICS_PUSH_URL", &*(gateway.url() + path))]);
        assert!(log.contains(&format!("leave out {path}")), "{log}");
        assert!(log.contains("variable: METRICS_PUSH_URL"), "{log}");
    }
    assert!(gateway.requests().is_empty());
}

/// Starts a server that responds to every request with `head`, and then sends `block` without end, with a pause after each.
/// The receiver gets the time at which the client has closed a connection.
fn flooding_server(
    head: &'static [u8],
    block: &'static [u8],
    pause: Duration,
) -> (RawServer, Receiver<Instant>) {
    let block = block.repeat(64 * 1024 / block.len());
    let (sender, closed) = mpsc::channel();
    let server = RawServer::start(move |mut stream| {
        let (block, sender) = (block.clone(), sender.clone());
        std::thread::spawn(move || {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(head);
            while stream.write_all(&block).is_ok() {
                std::thread::sleep(pause);
            }
            let _ = sender.send(Instant::now());
        });
        None
    });
    (server, closed)
}

#[test]
fn endless_response_ends_within_the_timeout() {
    const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    const LAST_CHUNK: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n";
    const REFUSED: &[u8] = b"HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n";
    let floods: [(&[u8], &[u8]); 11] = [
        (CHUNKED, b"0"),
        (CHUNKED, b"1"),
        (CHUNKED, b" "),
        (CHUNKED, b"5;a"),
        (CHUNKED, b"1\r\na\r\n"),
        (REFUSED, b"0"),
        (LAST_CHUNK, b"X: y\r\n"),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"y"),
        (b"HTTP/1.1 200 ", b"y"),
        (b"", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"),
    ];
    for (head, block) in floods {
        let case = format!(
            "{:?}, {:?}",
            head.escape_ascii().to_string(),
            block.escape_ascii().to_string()
        );
        let (server, _closed) = flooding_server(head, block, Duration::ZERO);
        let started = Instant::now();
        push_failure(&server.url(), &[]).expect(&case);
        assert!(started.elapsed() < SHORT_TIMEOUT + SLACK, "{case}: {:?}", started.elapsed());
    }
}

/// A client that continues to read occupies a core. It reads some megabytes at once, one byte after the other, which takes
/// seconds without optimizations.
#[test]
fn endless_response_is_not_read_long_after_the_timeout() {
    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    // The client is not optimised in tests. It must be able to read as fast as the server writes.
    let (server, closed) = flooding_server(HEAD, b"0", Duration::from_millis(50));
    let started = Instant::now();
    let mut command = command(program("push"));
    command.args([&server.url(), "700ms"]).stdin(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let closed = closed.recv_timeout(TIMEOUT);
    assert_eq!(child.try_wait().unwrap(), None, "the program waits for its input");
    drop(child.stdin.take());
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let took = closed.expect("the client reads the response to its end") - started;
    assert!(took < TIMEOUT / 2, "{took:?}");
}
