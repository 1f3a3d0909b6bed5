//! The fake gateway as a server: what it records, how it fails when told to, and that it ends.
//!
//! That it keeps the real one's rules is shown by the end-to-end tests, which have the real one.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use metrics_push::testing::{FakeGateway, Fault, Kind};

use crate::http::{Answer, send, send_raw};

/// Longer than anything here takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn put(gateway: &FakeGateway, path: &str, body: &str) -> std::io::Result<Answer> {
    send(gateway.address(), "PUT", path, body.as_bytes())
}

fn status(gateway: &FakeGateway) -> u16 {
    put(gateway, "/metrics/job/j", "a 1\n").unwrap().status
}

/// What is received until the gateway closes the connection.
fn receive(stream: &mut TcpStream) -> Vec<u8> {
    let mut received = Vec::new();
    // A reset is an end, too.
    let _ = stream.read_to_end(&mut received);
    received
}

fn connect(gateway: &FakeGateway) -> TcpStream {
    let stream = TcpStream::connect(gateway.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

const PUSH: &[u8] = b"PUT /metrics/job/j HTTP/1.1\r\nHost: g\r\nContent-Length: 4\r\n\r\na 1\n";

#[test]
fn groups_are_read_as_typed_values_and_shown_as_an_exposition() {
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
fn a_missing_group_is_answered_with_the_groups_there_are() {
    let gateway = FakeGateway::start();
    assert_eq!(status(&gateway), 200);
    let panic = catch_unwind(AssertUnwindSafe(|| gateway.group("k", &[("x", "1")]))).unwrap_err();
    assert_eq!(
        panic.downcast_ref::<String>().unwrap(),
        "the gateway has no group {job=\"k\",x=\"1\"}; there is: \n  {job=\"j\"}"
    );
}

#[test]
fn requests_are_recorded_with_their_connection() {
    let gateway = FakeGateway::start();
    let mut stream = connect(&gateway);
    stream.write_all(&[PUSH, PUSH].concat()).unwrap();
    gateway.wait_for(PATIENCE, |gateway| gateway.requests().len() == 2);
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
fn waiting_in_vain_says_what_came_instead() {
    let gateway = FakeGateway::start();
    assert_eq!(status(&gateway), 200);
    let wait = || gateway.wait_for(Duration::from_millis(1), |gateway| gateway.groups().len() == 2);
    let panic = catch_unwind(AssertUnwindSafe(wait)).unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    assert!(text.contains("1 requests came:\n  PUT /metrics/job/j\n"), "{text}");
    assert!(text.contains("a{instance=\"\",job=\"j\"} 1\n"), "{text}");
}

#[test]
fn faults_come_in_their_order_and_then_all_is_well() {
    let gateway = FakeGateway::start();
    gateway.fail_next(2, Fault::status(503).header("Retry-After", "7").body("busy"));
    gateway.fail_next(1, Fault::redirect(307, "/login"));
    let answers = [(); 3].map(|()| put(&gateway, "/metrics/job/j", "a 1\n").unwrap());
    assert_eq!(answers.each_ref().map(|answer| answer.status), [503, 503, 307]);
    assert_eq!(answers[0].header("retry-after"), Some("7"));
    assert_eq!(answers[0].text(), "busy");
    assert_eq!(answers[2].header("location"), Some("/login"));
    assert!(gateway.groups().is_empty());
    assert_eq!(status(&gateway), 200);
    assert_eq!(gateway.requests().len(), 4);
}

#[test]
fn a_lasting_fault_lasts_until_healed_and_may_be_picky() {
    let gateway = FakeGateway::start();
    gateway.fault(Fault::status(500).when(|request| request.path.ends_with("/j")));
    assert_eq!([status(&gateway), status(&gateway)], [500, 500]);
    assert_eq!(put(&gateway, "/metrics/job/k", "").unwrap().status, 200);
    gateway.heal();
    assert_eq!(status(&gateway), 200);
}

#[test]
fn a_lost_answer_may_hide_a_stored_push() {
    let gateway = FakeGateway::start();
    gateway.fail_next(1, Fault::close());
    assert!(put(&gateway, "/metrics/job/j", "").is_err());
    assert!(gateway.groups().is_empty());
    gateway.fail_next(1, Fault::close().after_storing());
    assert!(put(&gateway, "/metrics/job/j", "").is_err());
    assert_eq!(gateway.groups().len(), 1);
}

#[test]
fn an_answer_is_cut_off_after_so_many_bytes() {
    let gateway = FakeGateway::start();
    gateway.fail_next(1, Fault::cut_off(12));
    let mut stream = connect(&gateway);
    stream.write_all(PUSH).unwrap();
    assert_eq!(receive(&mut stream), b"HTTP/1.1 200");
    assert_eq!(gateway.groups().len(), 1);
}

#[test]
fn a_stalled_push_is_stored_when_nobody_waits_any_more() {
    let gateway = FakeGateway::start();
    gateway.fail_next(1, Fault::stall(Duration::from_millis(50)));
    connect(&gateway).write_all(PUSH).unwrap();
    gateway.wait_for(PATIENCE, |gateway| gateway.groups().len() == 1);
    let request = gateway.requests().remove(0);
    assert!(request.received.elapsed() >= Duration::from_millis(50));
}

#[test]
fn a_dripping_answer_takes_its_time_byte_by_byte() {
    let gateway = FakeGateway::start();
    gateway.fail_next(1, Fault::drip(Duration::from_millis(2)));
    let started = Instant::now();
    let answer = put(&gateway, "/metrics/job/j", "a 1\n").unwrap();
    // An answer has more than 40 bytes.
    assert!(started.elapsed() > Duration::from_millis(80));
    assert_eq!(answer.status, 200);
}

#[test]
fn healing_ends_what_hangs_and_hurries_what_drips() {
    let gateway = FakeGateway::start();
    for (fault, expected) in [(Fault::hang(), ""), (Fault::drip(PATIENCE), "HTTP/1.1 200 OK")] {
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
        gateway.wait_for(PATIENCE, |gateway| gateway.requests().len() > seen);
        gateway.heal();
        let received = String::from_utf8(receive(&mut stream)).unwrap();
        assert!(
            received.starts_with(expected) && received.is_empty() == expected.is_empty(),
            "{received}"
        );
    }
}

#[test]
fn an_endless_answer_does_not_end() {
    let gateway = FakeGateway::start();
    gateway.fail_next(1, Fault::endless());
    let mut stream = connect(&gateway);
    stream.write_all(PUSH).unwrap();
    let mut megabyte = vec![0; 1 << 20];
    stream.read_exact(&mut megabyte).unwrap();
    assert!(megabyte.starts_with(b"HTTP/1.1 200 OK\r\n"));
}

#[test]
fn refused_connections_are_refused_until_they_are_accepted_again() {
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
fn a_push_that_stalls_when_the_gateway_is_killed_is_lost() {
    let gateway = FakeGateway::start();
    gateway.fail_next(1, Fault::stall(PATIENCE));
    let mut stream = connect(&gateway);
    stream.write_all(PUSH).unwrap();
    gateway.wait_for(PATIENCE, |gateway| gateway.requests().len() == 1);
    gateway.refuse_connections();
    assert!(receive(&mut stream).is_empty());
    gateway.accept_connections();
    assert!(gateway.groups().is_empty());
}

#[test]
fn credentials_are_asked_for() {
    let gateway = FakeGateway::start();
    let push = |authorization: &str| {
        let head = "PUT /metrics/job/j HTTP/1.1\r\nHost: g\r\nConnection: close\r\n";
        let request = format!("{head}{authorization}\r\n");
        send_raw(gateway.address(), request.as_bytes()).unwrap()
    };
    gateway.require_basic_auth("ann", "s:cret?>>?");
    let refused = push("");
    assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Basic")));
    assert_eq!(push("Authorization: Basic YW5uOnM6Y3JldD8+Pj8=\r\n").status, 200);
    assert_eq!(push("Authorization: Basic YW5uOnNlY3JldA==\r\n").status, 401);
    gateway.require_bearer_token("t0ken");
    assert_eq!(push("Authorization: Bearer t0ken\r\n").status, 200);
    assert_eq!(push("Authorization: Bearer other\r\n").status, 401);
    gateway.admit_anybody();
    assert_eq!(push("").status, 200);
}

#[test]
fn too_much_is_refused_before_it_is_read() {
    let gateway = FakeGateway::start();
    let push = "PUT /metrics/job/j HTTP/1.1\r\nHost: g\r\n";
    let much = format!("{push}Content-Length: 99999999999\r\n\r\n");
    assert_eq!(send_raw(gateway.address(), much.as_bytes()).unwrap().status, 413);
    let many = format!("{push}Transfer-Encoding: chunked\r\n\r\nffffffffff\r\n");
    assert_eq!(send_raw(gateway.address(), many.as_bytes()).unwrap().status, 413);
    let long = format!("GET /{} HTTP/1.1\r\n", "x".repeat(70_000));
    assert_eq!(send_raw(gateway.address(), long.as_bytes()).unwrap().status, 431);
}

#[test]
fn dropping_ends_every_thread_and_connection_at_once() {
    let gateway = FakeGateway::start();
    let address = gateway.address();
    let mut idle = connect(&gateway);
    gateway.fault(Fault::hang());
    let mut hanging: Vec<_> = (0..10).map(|_| connect(&gateway)).collect();
    for stream in &mut hanging {
        stream.write_all(PUSH).unwrap();
    }
    gateway.wait_for(PATIENCE, |gateway| gateway.requests().len() == 10);
    let started = Instant::now();
    drop(gateway);
    assert!(started.elapsed() < PATIENCE / 2);
    assert!(receive(&mut idle).is_empty());
    assert!(hanging.iter_mut().all(|stream| receive(stream).is_empty()));
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}
