//! Failures between a job and its gateway: host names, connections and proxies.

use std::io::{Read as _, Write as _};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use metrics_push::prometheus::{Counter, Registry};
use metrics_push::testing::FakeGateway;
use metrics_push::{Acceptance, Config, Error, GatewayKind, Job, Outcome, Pusher};

use crate::programs::{command, program};
use crate::raw_tcp::{FullBacklog, RawServer};
use crate::temp_dir::TempDir;

/// The timeout of pushes that must fail.
const SHORT_TIMEOUT: Duration = Duration::from_millis(700);
/// The extra time that a busy machine may take.
const SLACK: Duration = Duration::from_millis(1_500);

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
    let mut command = command(program("push"));
    command.args([gateway, "700ms"]);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"] {
        command.env_remove(name).env_remove(name.to_lowercase());
    }
    let output = command.envs(variables.iter().copied()).output().unwrap();
    (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

fn push_succeeds(gateway: &str, variables: &[(&str, &str)]) -> bool {
    push_failure(gateway, variables).is_none()
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
        // An address that is reserved for documentation.
        ("http://192.0.2.7:9", "192.0.2.0/24"),
    ] {
        let variables = [("HTTP_PROXY", &*url), ("NO_PROXY", no_proxy)];
        assert!(!push_succeeds(gateway, &variables), "{no_proxy}");
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
