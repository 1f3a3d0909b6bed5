//! What lies between a job and its gateway: names, connections and proxies, each of which may fail by itself.

use std::io::{Read as _, Write as _};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use metrics_push::prometheus::{Counter, Registry};
use metrics_push::testing::FakeGateway;
use metrics_push::{Acceptance, Config, Error, Job, Outcome, Pusher};

use crate::programs::{command, program};
use crate::raw::{Crowded, RawServer};
use crate::temp_dir::TempDir;

const BUDGET: Duration = Duration::from_millis(700);
/// What a machine that has other things to do may add.
const SLACK: Duration = Duration::from_millis(1_500);

fn nothing() -> &'static Registry {
    static NOTHING: std::sync::OnceLock<Registry> = std::sync::OnceLock::new();
    NOTHING.get_or_init(Registry::new)
}

fn push(url: &str) -> Result<Acceptance, Error> {
    let counter = Counter::new("rows_total", "Rows.").unwrap();
    Pusher::new(url, "remote")
        .unwrap()
        .collector(counter)
        .unwrap()
        .map_gateway(|gateway| gateway.timeout(BUDGET))
        .push()
}

/// The error of a push, and what a job has left on disk: both in time.
fn outcome_without(url: &str) -> Error {
    let started = Instant::now();
    let error = push(url).unwrap_err();
    let state = TempDir::new();
    let config = Config::default().url(url).unwrap().state_dir(state.path()).timeout(BUDGET);
    let _scope = config.scope().unwrap();
    Job::new("remote").registry(nothing).whole_process().start().finish(Outcome::Success);
    assert!(started.elapsed() < BUDGET * 2 + SLACK, "{:?}", started.elapsed());
    assert_eq!(state.records().len(), 1, "it waits");
    error
}

#[test]
fn a_name_that_nobody_knows_is_told_within_the_time() {
    let error = outcome_without("http://gateway.invalid:9091");
    assert!(error.is_retryable(), "{error:?}");
}

#[test]
fn a_connection_that_does_not_come_about_is_given_up_in_time() {
    let crowded = Crowded::start();
    let error = outcome_without(&format!("http://{}", crowded.address()));
    assert!(error.is_timeout(), "{error:?}");
}

/// A proxy that gives every request this answer, and tells its first line.
fn answering(status: &'static str) -> (RawServer, Receiver<String>) {
    let (told, requests) = mpsc::channel();
    let proxy = RawServer::start(move |mut stream| {
        let mut text = [0; 4096];
        let length = stream.read(&mut text).unwrap();
        let text = String::from_utf8_lossy(&text[..length]).into_owned();
        let _ = told.send(text.lines().next().unwrap_or_default().to_owned());
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        let _ = stream.write_all(head.as_bytes());
        None
    });
    (proxy, requests)
}

fn proxy() -> (RawServer, Receiver<String>) {
    answering("202 Accepted")
}

/// Pushes with these variables and no other variables for proxies. Returns stderr if the push fails.
fn failure(gateway: &str, variables: &[(&str, &str)]) -> Option<String> {
    let mut command = command(program("push"));
    command.args([gateway, "700ms"]);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"] {
        command.env_remove(name).env_remove(name.to_lowercase());
    }
    let output = command.envs(variables.iter().copied()).output().unwrap();
    (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

fn arrives(gateway: &str, variables: &[(&str, &str)]) -> bool {
    failure(gateway, variables).is_none()
}

#[test]
fn a_proxy_is_used_where_a_variable_names_one() {
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY"] {
        let (proxy, requests) = proxy();
        assert!(arrives("http://gateway.invalid:9091", &[(name, &proxy.url())]), "{name}");
        let expected = "PUT http://gateway.invalid:9091/metrics/job/remote HTTP/1.1";
        assert_eq!(requests.try_iter().collect::<Vec<_>>(), [expected], "{name}");
    }
}

#[test]
fn a_gateway_that_no_proxy_names_is_asked_directly() {
    let (proxy, requests) = proxy();
    let url = proxy.url();
    for (gateway, spared) in [
        ("http://gateway.invalid:9091", "other.example,.invalid"),
        ("http://gateway.invalid:9091", "gateway.invalid"),
        ("http://gateway.invalid:9091", "*"),
        // Nobody is there.
        ("http://192.0.2.7:9", "192.0.2.0/24"),
    ] {
        let variables = [("HTTP_PROXY", &*url), ("NO_PROXY", spared)];
        assert!(!arrives(gateway, &variables), "{spared}");
        assert_eq!(requests.try_iter().count(), 0, "{spared}");
    }
}

#[test]
fn a_gateway_on_this_machine_is_never_asked_by_a_proxy() {
    let gateway = FakeGateway::start();
    let (proxy, requests) = proxy();
    for url in [gateway.url(), gateway.url().replace("127.0.0.1", "localhost")] {
        assert!(
            arrives(&url, &[("HTTP_PROXY", &*proxy.url()), ("ALL_PROXY", &*proxy.url())]),
            "{url}"
        );
    }
    assert_eq!((requests.try_iter().count(), gateway.requests().len()), (0, 2));
}

#[test]
fn a_proxy_that_wants_credentials_is_told_as_such() {
    for (gateway, variable, line) in [
        (
            "http://gateway.invalid:9091",
            "HTTP_PROXY",
            "PUT http://gateway.invalid:9091/metrics/job/remote HTTP/1.1",
        ),
        ("https://gateway.invalid", "HTTPS_PROXY", "CONNECT gateway.invalid:443 HTTP/1.1"),
    ] {
        let (proxy, requests) = answering("407 Proxy Authentication Required");
        let told = failure(gateway, &[(variable, &*proxy.url())]).unwrap();
        for part in ["config true", "status Some(407)", "the proxy wants credentials"] {
            assert!(told.contains(part), "{gateway}: {told}");
        }
        // Once, and not until the time is over.
        assert_eq!(requests.try_iter().collect::<Vec<_>>(), [line], "{gateway}");
    }
}

#[test]
fn what_a_proxy_is_told_of_us_is_not_told_to_others() {
    let (proxy, requests) = answering("407 Proxy Authentication Required");
    let url = proxy.url().replace("http://", "http://user:hunter2@");
    let told = failure("https://gateway.invalid", &[("HTTPS_PROXY", &*url)]).unwrap();
    assert!(!told.contains("hunter2") && requests.try_iter().count() == 1, "{told}");
}
