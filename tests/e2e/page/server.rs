//! The HTTP server: its headers, what it refuses, its limits, and its end.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::fleet::{Fleet, PageServer};
use crate::http::{Response, send, send_raw};

fn get(address: SocketAddr, path: &str, host: &str) -> Response {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    send_raw(address, request.as_bytes()).unwrap()
}

#[test]
fn responses_have_security_headers_and_set_no_cookie() {
    let fleet = Fleet::start();
    let server = fleet.serve();
    for path in ["/", "/?q=a", "/job/unknown", "/unknown"] {
        let response = send(server.address(), "GET", path, b"").unwrap();
        for (name, value) in [
            ("cache-control", "no-store"),
            ("referrer-policy", "no-referrer"),
            ("x-content-type-options", "nosniff"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(response.header(name), Some(value), "{path}");
        }
        let policy = response.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(response.header("set-cookie"), None);
        assert_eq!(response.header("access-control-allow-origin"), None);
    }
}

#[test]
fn only_reading_methods_are_allowed() {
    let fleet = Fleet::start();
    let server = fleet.serve();
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"] {
        let response = send(server.address(), method, "/", b"x").unwrap();
        assert_eq!(
            (response.status, response.header("allow")),
            (405, Some("GET, HEAD")),
            "{method}"
        );
    }
    let head = send(server.address(), "HEAD", "/", b"").unwrap();
    assert_eq!((head.status, head.body.len()), (200, 0));
    let length: usize = head.header("content-length").unwrap().parse().unwrap();
    assert!(length > 10_000, "{length}");
}

#[test]
fn unknown_hosts_are_refused() {
    let fleet = Fleet::start();
    let mut command = fleet.metrics_push(&["serve", "--listen", "127.0.0.1:0"]);
    command.args(["--host", "batch.example.org"]);
    let server = PageServer::start(command);
    let port = server.address().port();
    for (host, status) in [
        ("localhost".to_owned(), 200),
        (format!("127.0.0.1:{port}"), 200),
        ("[::1]:8080".to_owned(), 200),
        ("BATCH.example.org".to_owned(), 200),
        ("attacker.example".to_owned(), 421),
        (format!("127.0.0.1.attacker.example:{port}"), 421),
        ("localhost\r\nHost: attacker.example".to_owned(), 421),
        (String::new(), 421),
    ] {
        let response = get(server.address(), "/", &host);
        assert_eq!(response.status, status, "{host:?}");
        assert!(status == 200 || !response.text().contains("orders_export"), "{host:?}");
    }
    let refused = get(server.address(), "/", "attacker.example").text();
    assert!(refused.contains("add it with --host NAME"), "{refused}");
    let absolute = b"GET http://attacker.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(send_raw(server.address(), absolute).unwrap().status, 421);
    let missing = b"GET / HTTP/1.0\r\n\r\n";
    assert_eq!(send_raw(server.address(), missing).unwrap().status, 421);
}

#[test]
fn job_has_a_page_with_its_details() {
    let fleet = Fleet::start();
    let server = fleet.serve();
    let overview = send(server.address(), "GET", "/", b"").unwrap().text();
    let (_, rest) = overview.split_once("href=\"/job/").unwrap();
    let (id, _) = rest.split_once('"').unwrap();
    let response = send(server.address(), "GET", &format!("/job/{id}"), b"").unwrap();
    assert_eq!(response.status, 200);
    let text = response.text();
    assert!(text.contains("<title>orders_export region=eu</title>"), "{text}");
    assert!(text.contains("BatchJobFailed") && text.contains("3 of 3 failures in a row"), "{text}");
    for path in ["/job/", "/job/j0000000000000000", "/job/../", "/favicon.ico"] {
        assert_eq!(send(server.address(), "GET", path, b"").unwrap().status, 404, "{path}");
    }
}

#[test]
fn dead_gateway_does_not_block_the_page() {
    // Accepts connections and never responds.
    let gateway = TcpListener::bind("127.0.0.1:0").unwrap();
    let fleet = Fleet::empty();
    let mut command = fleet.metrics_push(&["serve", "--listen", "127.0.0.1:0", "--timeout", "5s"]);
    let silent = format!("http://{}", gateway.local_addr().unwrap());
    command.env("METRICS_PUSH_URL", format!("{},{silent}", fleet.gateway.url()));
    let server = PageServer::start(command);
    let text = send(server.address(), "GET", "/", b"").unwrap().text();
    assert!(text.contains("does not respond"), "{text}");
    let started = Instant::now();
    for _ in 0..20 {
        assert_eq!(send(server.address(), "GET", "/", b"").unwrap().status, 200);
    }
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}

#[test]
fn slow_and_large_requests_are_cut_off() {
    let fleet = Fleet::start();
    let server = fleet.serve();
    let long = format!("GET /?q={} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(100_000));
    // The server may close the connection before the client has sent everything.
    if let Ok(response) = send_raw(server.address(), long.as_bytes()) {
        assert!(matches!(response.status, 414 | 431), "{response:?}");
    }
    // More clients than connections, which never complete their head.
    let started = Instant::now();
    let mut slow: Vec<_> = (0..80)
        .map(|_| {
            let mut stream = TcpStream::connect(server.address()).unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ").unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            stream
        })
        .collect();
    let response = {
        let address = server.address();
        thread::spawn(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            text
        })
    };
    for stream in &mut slow {
        // Closed by the server.
        let _ = stream.read_to_end(&mut Vec::new());
    }
    assert!(response.join().unwrap().starts_with("HTTP/1.1 200"));
    assert!(started.elapsed() < Duration::from_secs(40), "{:?}", started.elapsed());
}

#[test]
fn server_ends_on_sigterm_also_with_open_connections() {
    let fleet = Fleet::start();
    let server = fleet.serve();
    let _open = TcpStream::connect(server.address()).unwrap();
    assert_eq!(send(server.address(), "GET", "/", b"").unwrap().status, 200);
    let started = Instant::now();
    assert!(server.stop().success());
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
}

#[test]
fn occupied_address_is_reported() {
    let fleet = Fleet::empty();
    let occupied = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = occupied.local_addr().unwrap().to_string();
    let output = fleet.metrics_push(&["serve", "--listen", &address]).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains(&format!("Cannot listen on {address}")), "{stderr}");
    assert!(stderr.contains("select another address with --listen"), "{stderr}");
}
