//! Tests `FakeGateway` as a server: recorded requests, faults as a client sees them, and the end of all threads on drop.
//!
//! The end-to-end tests compare its rules with those of the real Pushgateway.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use metrics_push::testing::{FakeGateway, Fault, Kind};

use crate::http::{Response, send, send_raw};

/// How long a test waits for an event before it fails.
const TEST_TIMEOUT: Duration = Duration::from_secs(20);

fn put(gateway: &FakeGateway, path: &str, body: &str) -> std::io::Result<Response> {
    send(gateway.address(), "PUT", path, body.as_bytes())
}

fn status(gateway: &FakeGateway) -> u16 {
    put(gateway, "/metrics/job/j", "a 1\n").unwrap().status
}

/// Reads until the gateway closes the connection.
fn receive(stream: &mut TcpStream) -> Vec<u8> {
    let mut received = Vec::new();
    // A reset ends the connection too.
    let _ = stream.read_to_end(&mut received);
    received
}

fn connect(gateway: &FakeGateway) -> TcpStream {
    let stream = TcpStream::connect(gateway.address()).unwrap();
    stream.set_read_timeout(Some(TEST_TIMEOUT)).unwrap();
    stream
}

const PUSH: &[u8] = b"PUT /metrics/job/j HTTP/1.1\r\nHost: g\r\nContent-Length: 4\r\n\r\na 1\n";

#[test]
fn group_contains_typed_values_and_prints_exposition() {
    let gateway = FakeGateway::start();
    let body = "# HELP r Records.\n# TYPE r gauge\nr{kind=\"ok\"} 7\nr{kind=\"bad\"} 1\n";
    assert_eq!(put(&gateway, "/metrics/job/nightly/region/eu", body).unwrap().status, 200);
    let group = gateway.group("nightly", &[("region", "eu")]);
    assert_eq!(group.value("r", &[("kind", "ok")]), 7.0);
    assert_eq!(group.families["r"].kind, Kind::Gauge);
    assert_eq!(group.families["r"].help, "Records.");
    assert!(gateway.find_group("nightly", &[]).is_none());
    assert_eq!(gateway.groups(), std::slice::from_ref(&group));
    let text = "# HELP r Records.\n# TYPE r gauge\n\
        r{instance=\"\",job=\"nightly\",kind=\"bad\",region=\"eu\"} 1\n\
        r{instance=\"\",job=\"nightly\",kind=\"ok\",region=\"eu\"} 7\n";
    assert!(gateway.to_string().ends_with(text), "{gateway}");
    assert!(group.to_string().contains("# TYPE push_time_seconds gauge\n"), "{group}");
}

#[test]
fn missing_group_panics_with_existing_groups() {
    let gateway = FakeGateway::start();
    assert_eq!(status(&gateway), 200);
    let panic = catch_unwind(AssertUnwindSafe(|| gateway.group("k", &[("x", "1")]))).unwrap_err();
    assert_eq!(
        panic.downcast_ref::<String>().unwrap(),
        "the gateway has no group {job=\"k\",x=\"1\"}; its groups are:\n  {job=\"j\"}"
    );
}

#[test]
fn requests_record_their_connection() {
    let gateway = FakeGateway::start();
    let mut stream = connect(&gateway);
    stream.write_all(&[PUSH, PUSH].concat()).unwrap();
    gateway.wait_for(TEST_TIMEOUT, |gateway| gateway.requests().len() == 2);
    assert_eq!(put(&gateway, "/nowhere/%41?q=1", "b 2\n").unwrap().status, 404);
    let requests = gateway.requests();
    assert_eq!(requests[0].connection, requests[1].connection);
    assert_ne!(requests[1].connection, requests[2].connection);
    assert_eq!(
        (requests[2].method.as_str(), requests[2].path.as_str()),
        ("PUT", "/nowhere/%41?q=1")
    );
    assert_eq!(requests[2].text(), "b 2\n");
    assert_eq!(requests[2].header("content-length"), Some("4"));
    assert!(requests[0].received <= requests[2].received);
    gateway.clear();
    assert!(gateway.requests().is_empty() && gateway.groups().is_empty());
}

#[test]
fn wait_for_panics_with_requests_and_contents() {
    let gateway = FakeGateway::start();
    assert_eq!(status(&gateway), 200);
    let wait = || gateway.wait_for(Duration::from_millis(1), |gateway| gateway.groups().len() == 2);
    let panic = catch_unwind(AssertUnwindSafe(wait)).unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    assert!(text.contains("requests received (1):\n  PUT /metrics/job/j\n"), "{text}");
    assert!(text.contains("a{instance=\"\",job=\"j\"} 1\n"), "{text}");
}

#[test]
fn fail_next_faults_apply_in_order_and_then_end() {
    let gateway = FakeGateway::start();
    gateway.fail_next(2, Fault::status(503).header("Retry-After", "7").body("busy"));
    gateway.fail_next(1, Fault::redirect(307, "/login"));
    let responses = [(); 3].map(|()| put(&gateway, "/metrics/job/j", "a 1\n").unwrap());
    assert_eq!(responses.each_ref().map(|response| response.status), [503, 503, 307]);
    assert_eq!(responses[0].header("retry-after"), Some("7"));
    assert_eq!(responses[0].text(), "busy");
    assert_eq!(responses[2].header("location"), Some("/login"));
    assert!(gateway.groups().is_empty());
    assert_eq!(status(&gateway), 200);
    assert_eq!(gateway.requests().len(), 4);
}

#[test]
fn fault_applies_to_matching_requests_until_healed() {
    let gateway = FakeGateway::start();
    gateway.fault(Fault::status(500).when(|request| request.path.ends_with("/j")));
    assert_eq!([status(&gateway), status(&gateway)], [500, 500]);
    assert_eq!(put(&gateway, "/metrics/job/k", "").unwrap().status, 200);
    gateway.heal();
    assert_eq!(status(&gateway), 200);
}

#[test]
fn close_after_storing_stores_push_without_response() {
    let gateway = FakeGateway::start();
    gateway.fail_next(1, Fault::close());
    assert!(put(&gateway, "/metrics/job/j", "").is_err());
    assert!(gateway.groups().is_empty());
    gateway.fail_next(1, Fault::close().after_storing());
    assert!(put(&gateway, "/metrics/job/j", "").is_err());
    assert_eq!(gateway.groups().len(), 1);
}

#[test]
fn cut_off_sends_first_bytes_of_response() {
    let gateway = FakeGateway::start();
    gateway.fail_next(1, Fault::cut_off(12));
    let mut stream = connect(&gateway);
    stream.write_all(PUSH).unwrap();
    assert_eq!(receive(&mut stream), b"HTTP/1.1 200");
    assert_eq!(gateway.groups().len(), 1);
}

#[test]
fn stall_stores_push_after_client_disconnected() {
    let gateway = FakeGateway::start();
    gateway.fail_next(1, Fault::stall(Duration::from_millis(50)));
    connect(&gateway).write_all(PUSH).unwrap();
    gateway.wait_for(TEST_TIMEOUT, |gateway| gateway.groups().len() == 1);
    let request = gateway.requests().remove(0);
    assert!(request.received.elapsed() >= Duration::from_millis(50));
}

#[test]
fn drip_pauses_before_each_byte() {
    let gateway = FakeGateway::start();
    gateway.fail_next(1, Fault::drip(Duration::from_millis(2)));
    let started = Instant::now();
    let response = put(&gateway, "/metrics/job/j", "a 1\n").unwrap();
    // The response has more than 40 bytes.
    assert!(started.elapsed() > Duration::from_millis(80));
    assert_eq!(response.status, 200);
}

#[test]
fn heal_ends_hang_and_completes_drip() {
    let gateway = FakeGateway::start();
    for (fault, expected) in [(Fault::hang(), ""), (Fault::drip(TEST_TIMEOUT), "HTTP/1.1 200 OK")] {
        gateway.fail_next(1, fault);
        let mut stream = connect(&gateway);
        let seen = gateway.requests().len();
        stream
            .write_all(
                &String::from_utf8_lossy(PUSH)
                    .replace("Host: g", "Host: g\r\nConnection: close")
                    .into_bytes(),
            )
            .unwrap();
        gateway.wait_for(TEST_TIMEOUT, |gateway| gateway.requests().len() > seen);
        gateway.heal();
        let received = String::from_utf8(receive(&mut stream)).unwrap();
        assert!(
            received.starts_with(expected) && received.is_empty() == expected.is_empty(),
            "{received}"
        );
    }
}

#[test]
fn endless_response_exceeds_a_megabyte() {
    let gateway = FakeGateway::start();
    gateway.fail_next(1, Fault::endless());
    let mut stream = connect(&gateway);
    stream.write_all(PUSH).unwrap();
    let mut megabyte = vec![0; 1 << 20];
    stream.read_exact(&mut megabyte).unwrap();
    assert!(megabyte.starts_with(b"HTTP/1.1 200 OK\r\n"));
}

#[test]
fn refuse_connections_lasts_until_accept_connections() {
    let gateway = FakeGateway::start();
    assert_eq!(status(&gateway), 200);
    let mut open = connect(&gateway);
    for _ in 0..3 {
        gateway.refuse_connections();
        let refused = put(&gateway, "/metrics/job/j", "").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        gateway.accept_connections();
        assert_eq!(status(&gateway), 200);
    }
    assert!(receive(&mut open).is_empty());
    assert_eq!(gateway.groups().len(), 1);
}

#[test]
fn refuse_connections_discards_stalled_push() {
    let gateway = FakeGateway::start();
    gateway.fail_next(1, Fault::stall(TEST_TIMEOUT));
    let mut stream = connect(&gateway);
    stream.write_all(PUSH).unwrap();
    gateway.wait_for(TEST_TIMEOUT, |gateway| gateway.requests().len() == 1);
    gateway.refuse_connections();
    assert!(receive(&mut stream).is_empty());
    gateway.accept_connections();
    assert!(gateway.groups().is_empty());
}

#[test]
fn required_credentials_are_checked() {
    let gateway = FakeGateway::start();
    let push = |authorization: &str| {
        let head = "PUT /metrics/job/j HTTP/1.1\r\nHost: g\r\nConnection: close\r\n";
        let request = format!("{head}{authorization}\r\n");
        send_raw(gateway.address(), request.as_bytes()).unwrap()
    };
    gateway.require_basic_auth("ann", "s:cret?>>?");
    let rejected = push("");
    assert_eq!((rejected.status, rejected.header("www-authenticate")), (401, Some("Basic")));
    assert_eq!(push("Authorization: Basic YW5uOnM6Y3JldD8+Pj8=\r\n").status, 200);
    assert_eq!(push("Authorization: Basic YW5uOnNlY3JldA==\r\n").status, 401);
    gateway.require_bearer_token("t0ken");
    assert_eq!(push("Authorization: Bearer t0ken\r\n").status, 200);
    assert_eq!(push("Authorization: Bearer other\r\n").status, 401);
    gateway.require_no_auth();
    assert_eq!(push("").status, 200);
}

#[test]
fn oversized_request_is_rejected_before_it_is_read() {
    let gateway = FakeGateway::start();
    let push = "PUT /metrics/job/j HTTP/1.1\r\nHost: g\r\n";
    let large_body = format!("{push}Content-Length: 99999999999\r\n\r\n");
    assert_eq!(send_raw(gateway.address(), large_body.as_bytes()).unwrap().status, 413);
    let large_chunk = format!("{push}Transfer-Encoding: chunked\r\n\r\nffffffffff\r\n");
    assert_eq!(send_raw(gateway.address(), large_chunk.as_bytes()).unwrap().status, 413);
    let long_head = format!("GET /{} HTTP/1.1\r\n", "x".repeat(70_000));
    assert_eq!(send_raw(gateway.address(), long_head.as_bytes()).unwrap().status, 431);
}

#[test]
fn drop_ends_all_threads_and_connections() {
    let gateway = FakeGateway::start();
    let address = gateway.address();
    let mut idle = connect(&gateway);
    gateway.fault(Fault::hang());
    let mut hanging: Vec<_> = (0..10).map(|_| connect(&gateway)).collect();
    for stream in &mut hanging {
        stream.write_all(PUSH).unwrap();
    }
    gateway.wait_for(TEST_TIMEOUT, |gateway| gateway.requests().len() == 10);
    let started = Instant::now();
    drop(gateway);
    assert!(started.elapsed() < TEST_TIMEOUT / 2);
    assert!(receive(&mut idle).is_empty());
    assert!(hanging.iter_mut().all(|stream| receive(stream).is_empty()));
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}
