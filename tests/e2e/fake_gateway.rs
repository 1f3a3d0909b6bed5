//! Compares the fake gateway with the real one by tables of paths, bodies, requests and flags.
//!
//! Both must accept the same requests, reject the others with the same message, and store the same groups.

use std::time::Duration;

use metrics_push::testing::FakeGateway;

use crate::fake_vs_real::{FakeVsReal, Step, delete, post, put, same};
use crate::http::send_raw;
use crate::real::{Prometheus, Pushgateway};

/// Runs each sequence on empty gateways, and reports the differences of all sequences together.
#[track_caller]
fn check(sequences: &[Vec<Step>]) {
    let gateways = FakeVsReal::start();
    let mut differences = Vec::new();
    for sequence in sequences {
        let outcome = sequence.iter().try_for_each(|step| gateways.step(step));
        if let Err(difference) = outcome.and_then(|()| gateways.compare()) {
            differences.push(format!("after {sequence:?}:\n{difference}"));
        }
        gateways.wipe();
    }
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

#[test]
fn unusual_paths_have_the_same_effect() {
    let long = format!("/metrics/job/{}", "x".repeat(255));
    let paths = [
        "/metrics/job/a%20b",
        "/metrics/job/a+b",
        "/metrics/job/a%2Bb",
        "/metrics/job/a%2Fb",
        "/metrics/job@base64/YS9i",
        "/metrics/job@base64/YS9i==",
        "/metrics/job@base64/YS8",
        "/metrics/job@base64/YS8=",
        "/metrics/job@base64/Lg",
        "/metrics/job@base64/Li4=",
        "/metrics/job@base64/",
        "/metrics/job@base64/=",
        "/metrics/job@base64/_-8=",
        "/metrics/job@base64/YS9i/x@base64/YQ==/y/b",
        "/metrics/job/a%2541",
        "/metrics/job/a%41",
        "/metrics/job/q%3Fx",
        "/metrics/job/q?x=1",
        "/metrics/job/h%23x",
        "/metrics/job/etl:daily",
        "/metrics/job/etl%3Adaily",
        "/metrics/job/.",
        "/metrics/job/..",
        "/metrics/job/%2e%2e",
        "/metrics/job/./x",
        "/metrics/job/../x",
        "/metrics/job/%C3%A9",
        "/metrics/job/a;b,c=d&e@f",
        "/metrics/job/line%0Abreak",
        "/metrics/job/%FF",
        "/metrics/job/a%zz",
        "/metrics/job/a%",
        "/metrics/job",
        "/metrics/job/",
        "/metrics/job//",
        "/metrics/job//x/y",
        "//metrics/job/a",
        "///metrics//job//a",
        "/metrics/job/a/",
        "/metrics/job/a//",
        "/metrics/job/a/x",
        "/metrics/job/a/x/",
        "/metrics/job/a/x/1",
        "/metrics/job/a/x/1/",
        "/metrics/job/a/x/1/x/2",
        "/metrics/job/a/x//y/1",
        "/metrics/job/a/job/b",
        "/metrics/job/a/job@base64/Yg",
        "/metrics/job/a/x%2Fy/1",
        "/metrics/job/a/x/1%2F2",
        "/metrics/job/a/b-c/1",
        "/metrics/job/a/__x/1",
        "/metrics/job/a/_x/1",
        "/metrics/job/a/9x/1",
        "/metrics/job/a/foo.bar/1",
        "/metrics/job/a/U__foo_2e_bar/1",
        "/metrics/job/a/%C3%A9/1",
        "/metrics/job/a/x@base64/MQ",
        "/metrics/job/a/x@base64/=",
        "/metrics/job/a/x@base64/",
        "/metrics/job/a/x@base64/*",
        "/metrics/job/a/x@base64/a+b/",
        "/metrics/job/a/x@base64/a",
        "/metrics/job/a/x@base64/MQ%0A",
        "/metrics/job/a/@base64/MQ",
        "/metrics/job/a/x@base64@base64/MQ",
        "/metrics/job/a/instance/i",
        "/metrics/job/a/instance/",
        "/metrics/job/a/instance@base64/=",
        "/metrics/job/a/quantile/0.5",
        "/metrics/job/a/le/1",
        "/METRICS/job/a",
        "/Metrics/Job/a/",
        "/METRICS/JOB@BASE64/YQ",
        "/metrics/jobs/a",
        "/metrics/jo",
        "/metrics",
        "/metrics/",
        "/",
        "/status",
        "/nowhere",
        "/api/v1",
        "/api/v1/",
        "/api/v1/metrics",
        "/api/v1/status",
        "/api/v1/nowhere",
        "/api/v1/admin/wipe/",
        "/-/ready",
        "/-/healthy",
        "/-/ready/",
        "/-/quit",
        &long,
    ];
    let mut sequences = Vec::new();
    for path in paths {
        sequences.push(vec![put(path, "m 1\n")]);
        sequences.push(vec![post(path, "m 1\n"), delete(path)]);
    }
    check(&sequences);
}

/// A separate test with separate gateways: the real gateway rejects such a push without unlocking a mutex. It then no
/// longer responds to pushes of the same method to jobs in base64.
#[test]
fn job_in_invalid_base64_is_rejected_equally() {
    let gateways = FakeVsReal::start();
    for (method, path) in [("PUT", "*"), ("POST", "a"), ("DELETE", "*/x/1")] {
        let path = format!("/metrics/job@base64/{path}");
        assert_eq!(gateways.step(&Step { method, path, body: "m 1\n".into() }), Ok(()));
    }
    assert_eq!(gateways.compare(), Ok(()));
}

#[test]
fn read_requests_get_the_same_responses() {
    let mut sequences = Vec::new();
    let own = ["/-/ready", "/-/healthy", "/-/ready/", "/-/quit", "/nowhere", "/-/READY"];
    let groups = ["/metrics/job/a", "/metrics/", "/METRICS", "/metrics/job", "/metrics/job/"];
    let api = ["/api/v1", "/api/v1/", "/api/v1/metrics/", "/api/v1/admin/wipe", "/api//v1/metrics"];
    for path in own.into_iter().chain(groups).chain(api) {
        for method in ["GET", "PATCH", "OPTIONS", "DELETE"] {
            sequences.push(vec![Step { method, ..put(path, "") }]);
        }
    }
    check(&sequences);
}

#[test]
fn bodies_are_parsed_equally() {
    let bodies = [
        "",
        "\n",
        "\n\n  \n",
        "m 1",
        "m 1\n",
        "m 1\r\n",
        "m 1 \n",
        "m\t1\n",
        "  m 1\n",
        "m  1\n",
        "m1\n",
        "m\n",
        "m \n",
        "m one\n",
        "m 1 2\n",
        "m 1 2 \n",
        "m 1 2 3\n",
        "m 1 2",
        "m 1 +2\n",
        "m 1 2.5\n",
        "m 1 99999999999999999999\n",
        "m NaN\n",
        "m nan\n",
        "m +NaN\n",
        "m -Inf\n",
        "m +Inf\n",
        "m infinity\n",
        "m 1e999\n",
        "m 1e-999\n",
        "m 0x1p3\n",
        "m 0x10\n",
        "m 1_0\n",
        "m 1e\n",
        "m .5\n",
        "m 5.\n",
        "m .\n",
        "m -0\n",
        "m 1e6\n",
        "m 123456789.125\n",
        "m 0.00001\n",
        "m 1e21\n",
        "m{} 1\n",
        "m{}1\n",
        "m {} 1\n",
        "m{a=\"b\"} 1\n",
        "m{a=\"b\",} 1\n",
        "m{a=\"b\",,} 1\n",
        "m{,} 1\n",
        "m{ a = \"b\" , c = \"d\" } 1\n",
        "m{c=\"d\",a=\"b\"} 1\n",
        "m{a=\"b\"c=\"d\"} 1\n",
        "m{a=\"b\" 1\n",
        "m{a=\"b} 1\n",
        "m{a=b} 1\n",
        "m{a} 1\n",
        "m{a=} 1\n",
        "m{a=\"\"} 1\n",
        "m{a=\"q\\\"b\\\\n\\n\"} 1\n",
        "m{a=\"\\t\"} 1\n",
        "m{a=\"x\ny\"} 1\n",
        "m{a=\"b\",a=\"c\"} 1\n",
        "m{__name__=\"b\"} 1\n",
        "m{__a=\"b\"} 1\n",
        "m{9=\"b\"} 1\n",
        "m{a-b=\"c\"} 1\n",
        "m{\"a\"=\"b\"} 1\n",
        "m{é=\"b\"} 1\n",
        "m{a=\"é\"} 1\n",
        "m{a=\"b\"} 1 # {x=\"y\"} 2\n",
        "{\"m\"} 1\n",
        "é 1\n",
        "9m 1\n",
        "m-n 1\n",
        "m:n 1\n",
        ":m 1\n",
        "m 1\nm 2\n",
        "m{a=\"1\"} 1\nm{a=\"2\"} 2\n",
        "m{a=\"1\"} 1\nn 1\nm{a=\"2\"} 2\n",
        "m{job=\"other\"} 1\n",
        "m{instance=\"other\"} 1\n",
        "m{job=\"other\",instance=\"i\",a=\"b\"} 1\n",
        "m{job=\"1\"} 1\nm{job=\"2\"} 2\n",
        "#\n",
        "#",
        "# \n",
        "# comment",
        "# comment\nm 1\n",
        "#comment\nm 1\n",
        "# TYPE\nm 1\n",
        "# TYPE m\nm 1\n",
        "# TYPE m \nm 1\n",
        "# TYPE m counter",
        "# TYPE m counter\n",
        "# TYPE m counter\nm 1\n",
        "#TYPE m counter\nm 1\n",
        "#\tTYPE\tm\tcounter\nm 1\n",
        "# TYPE m counter \nm 1\n",
        "# TYPE m counter\r\nm 1\n",
        "# TYPE m COUNTER\nm 1\n",
        "# TYPE m gau\\ge\nm 1\n",
        "# TYPE m info\nm 1\n",
        "# TYPE m stateset\nm 1\n",
        "# TYPE m unknown\nm 1\n",
        "# TYPE m untyped\nm 1\n",
        "# TYPE m counter\n# TYPE m counter\nm 1\n",
        "# TYPE m counter\nm 1\n# TYPE m counter\nm{a=\"b\"} 1\n",
        "m 1\n# TYPE m counter\n",
        "# TYPE -m counter\n",
        "# TYPE m-n counter\n",
        "# TYPE é counter\n",
        "# HELP m\nm 1\n",
        "# HELP m \nm 1\n",
        "# HELP m text",
        "# HELP m text\nm 1\n",
        "# HELP m   spaced  text \nm 1\n",
        "# HELP m a\\\\b\\nc\nm 1\n",
        "# HELP m a\\qb\nm 1\n",
        "# HELP m a\\\"b\nm 1\n",
        "# HELP m a\\",
        "# HELP m text\n# HELP m text\nm 1\n",
        "# HELP m text\n# TYPE m gauge\nm 1\n",
        "# TYPE m gauge\n# HELP m text\nm 1\n",
        "m 1\n# HELP m text\n",
        "# help m text\n# type m gauge\nm 1\n",
        "# UNIT m seconds\nm 1\n# EOF\n",
        "# EOF",
        "# TYPE m_total counter\nm_total 1\nm_created 2\n",
        "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n",
        "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_sum 3\nh_count 2\n",
        "# TYPE h histogram\nh_bucket{le=\"5\"} 2\nh_bucket{le=\"1\"} 1\n",
        "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"1\"} 2\n",
        "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"1.0\"} 2\n",
        "# TYPE h histogram\nh_bucket{le=\"x\"} 1\n",
        "# TYPE h histogram\nh_bucket{le=\"NaN\"} 1\n",
        "# TYPE h histogram\nh_bucket{le=\"1\",le=\"2\"} 1\n",
        "# TYPE h histogram\nh_bucket 1\n",
        "# TYPE h histogram\nh 1\n",
        "# TYPE h histogram\nh{le=\"1\"} 1\n",
        "# TYPE h histogram\nh_count NaN\nh_bucket{le=\"1\"} -1\nh_bucket{le=\"2\"} 1e30\n",
        "# TYPE h histogram\nh_count 2.7\nh_sum NaN\n",
        "# TYPE h histogram\nh_bucket{a=\"1\",le=\"1\"} 1\nh_bucket{le=\"1\",a=\"2\"} 1\nh_sum{a=\"2\"} 5\n",
        "# TYPE h histogram\nh_bucket{job=\"1\",le=\"1\"} 1\nh_bucket{job=\"2\",le=\"1\"} 1\n",
        "# TYPE h histogram\nh_sum 1\n# TYPE h_sum gauge\n",
        "# TYPE h histogram\n# TYPE h_count counter\nh_count 1\n",
        "# TYPE h_count counter\n# TYPE h histogram\nh_count 1\nh_sum 2\n",
        "# TYPE h histogram\nh_sum 1\nh_count 1 5\n",
        "h_count 1\n# TYPE h histogram\nh_sum 1\n",
        "_count 1\n_sum 1\n_bucket 1\n",
        "# TYPE s summary\ns{quantile=\"0.5\"} 1\ns{quantile=\"0.9\"} 2\ns_sum 3\ns_count 4\n",
        "# TYPE s summary\ns_bucket 1\ns_sum 3\n",
        "# TYPE s summary\ns{quantile=\"half\"} 1\n",
        "# TYPE s summary\ns{quantile=\"NaN\"} 1\n",
        "# TYPE s summary\ns_sum{quantile=\"0.5\"} 1\n",
        "# TYPE s summary\ns{le=\"1\"} 1\n",
        "# TYPE s summary\ns_bucket 1\n# TYPE s_bucket gauge\n",
        "# TYPE c counter\nc_count 1\nc_sum 2\nc 3\n",
        "c{quantile=\"0.5\",le=\"1\"} 1\n",
        "go_goroutines 1\n",
        "# TYPE go_goroutines gauge\ngo_goroutines 1\n",
        "process_cpu_seconds_total 1\n",
        "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total 1\n",
        "# TYPE process_threads gauge\nprocess_threads 1\n",
        "# TYPE go_gc_duration_seconds_count counter\ngo_gc_duration_seconds_count 1\n",
        "go_gc_duration_seconds_bucket 1\n",
        "# TYPE go histogram\ngo_count 1\n",
        "push_time_seconds 5\n",
        "# TYPE push_time_seconds gauge\npush_time_seconds 5\n",
        "push_failure_time_seconds 5\n",
        "# TYPE push_failure_time_seconds gauge\npush_failure_time_seconds 5\n",
        "# TYPE push_failure_time_seconds gauge\npush_failure_time_seconds{a=\"b\"} 5\npush_failure_time_seconds 6\n",
        "# TYPE labels gauge\nlabels 1\nlast_push_successful 2\n",
    ];
    let path = "/metrics/job/a/x/1";
    let mut sequences = Vec::new();
    for body in bodies {
        sequences.push(vec![put(path, body)]);
        sequences.push(vec![post(path, "m 7\nz 8\n"), post(path, body)]);
        sequences.push(vec![put(path, "z 8\n"), put("/metrics/job/b", "m 7\n"), put(path, body)]);
    }
    check(&sequences);
}

#[test]
fn conflicting_groups_are_checked_equally() {
    let histogram = "# TYPE m histogram\nm_sum 1\nm_count 1\n";
    let gauge = "# TYPE m gauge\nm 1\n";
    let bad = "m 1 5\n";
    check(&[
        // Types must agree across groups. A group may change the type of its metrics.
        vec![put("/metrics/job/a", gauge), put("/metrics/job/a", "m 1\n")],
        vec![put("/metrics/job/a", gauge), post("/metrics/job/a", histogram)],
        vec![put("/metrics/job/a", gauge), put("/metrics/job/b", "m 1\n")],
        vec![
            put("/metrics/job/a", gauge),
            put("/metrics/job/b", "m 1\n"),
            delete("/metrics/job/a"),
        ],
        vec![
            put("/metrics/job/a", gauge),
            put("/metrics/job/b", "m 1\n"),
            delete("/metrics/job/a"),
            put("/metrics/job/b", "m 1\n"),
        ],
        vec![put("/metrics/job/a", histogram), put("/metrics/job/b", "m_count 1\n")],
        vec![put("/metrics/job/a", "m_bucket 1\n"), put("/metrics/job/b", histogram)],
        vec![
            put("/metrics/job/a", "# HELP m x\nm 1\n"),
            put("/metrics/job/b", "# HELP m y\nm 1\n"),
        ],
        // Only the exact group is deleted.
        vec![
            put("/metrics/job/a", gauge),
            put("/metrics/job/a/x/1", gauge),
            delete("/metrics/job/a"),
        ],
        vec![put("/metrics/job/a/x/1", gauge), delete("/metrics/job/a")],
        // Replace and merge.
        vec![put("/metrics/job/a", "m 1\nn 1\n"), put("/metrics/job/a", "m 2\n")],
        vec![put("/metrics/job/a", "m 1\nn 1\n"), post("/metrics/job/a", "m{l=\"1\"} 2\n")],
        vec![
            put("/metrics/job/a", "m{l=\"1\"} 1\nm{l=\"2\"} 1\n"),
            post("/metrics/job/a", "m{l=\"1\"} 2\n"),
        ],
        vec![put("/metrics/job/a", gauge), put("/metrics/job/a", "")],
        vec![put("/metrics/job/a", gauge), post("/metrics/job/a", "")],
        vec![put("/metrics/job/a", "")],
        vec![delete("/metrics/job/a")],
        // Rejected pushes and their timestamps.
        vec![put("/metrics/job/a", bad)],
        vec![put("/metrics/job/a", bad), put("/metrics/job/a", gauge)],
        vec![put("/metrics/job/a", gauge), put("/metrics/job/a", bad)],
        vec![put("/metrics/job/a", bad), post("/metrics/job/a", "")],
        vec![put("/metrics/job/a", bad), delete("/metrics/job/a")],
        // Groups that make every push fail, until they are deleted.
        vec![put("/metrics/job/a", gauge), put("/metrics/job/a/instance/", gauge)],
        vec![put("/metrics/job/a/instance/", gauge), put("/metrics/job/a", gauge)],
        vec![
            put("/metrics/job/a", gauge),
            put("/metrics/job/a/instance@base64/=", gauge),
            put("/metrics/job/b", gauge),
            delete("/metrics/job/a/instance/"),
            put("/metrics/job/b", gauge),
        ],
        vec![put("/metrics/job/a", gauge), put("/metrics/job/a/x/", gauge)],
        vec![put("/metrics/job/%FF", gauge), put("/metrics/job/b", gauge)],
        vec![
            put("/metrics/job/a/x/%FF", gauge),
            delete("/metrics/job/a/x/%FF"),
            put("/metrics/job/b", gauge),
        ],
        vec![
            put("/metrics/job/a", "m{instance=\"i\"} 1\n"),
            put("/metrics/job/a/instance/i", "m 1\n"),
        ],
        vec![put("/metrics/job/a/quantile/1", "# TYPE s summary\ns_sum 1\n")],
        // Two paths of the same group.
        vec![
            put("/metrics/job/a/x/1/y/2", gauge),
            post("/metrics/job/a/y/2/x@base64/MQ==", "n 1\n"),
        ],
    ]);
}

#[test]
fn unusual_requests_get_the_same_responses() {
    let gateways = FakeVsReal::start();
    let push = "PUT /metrics/job/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
    let requests = [
        format!("{push}Transfer-Encoding: chunked\r\n\r\n4\r\nm 1\n\r\n0\r\n\r\n"),
        format!(
            "{push}Transfer-Encoding: chunked\r\n\r\n2;x=y\r\nm \r\n2\r\n1\n\r\n0\r\nT: x\r\n\r\n"
        ),
        format!("{push}Transfer-Encoding: gzip\r\n\r\n"),
        format!("{push}Expect: 100-continue\r\nContent-Length: 4\r\n\r\nm 2\n"),
        format!("{push}Content-Length: 4\r\nContent-Length: 4\r\n\r\nm 3\n"),
        format!("{push}Content-Length: 4\r\nContent-Length: 5\r\n\r\nm 3\n"),
        format!("{push}Content-Length: four\r\n\r\nm 3\n"),
        format!("{push}Content-Length: 4\r\nContent-Type: text/html\r\n\r\nm 4\n"),
        format!("{push}\r\n"),
        "PUT /metrics/job/b HTTP/1.0\r\n\r\nm 1\n".to_owned(),
        "PUT /metrics/job/b HTTP/1.0\r\nContent-Length: 4\r\n\r\nm 1\n".to_owned(),
        "PUT http://x/metrics/job/c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_owned(),
        "PUT /metrics/job/c HTTP/1.1\r\nConnection: close\r\n\r\n".to_owned(),
        "HEAD /-/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_owned(),
        "no request at all\r\n\r\n".to_owned(),
        "\u{16}\u{3}\u{1}\r\n\r\n".to_owned(),
    ];
    for request in requests {
        let [real, fake] =
            gateways.addresses().map(|address| send_raw(address, request.as_bytes()).unwrap());
        let subject = format!("the responses to {request:?}");
        assert_eq!(
            same(&subject, &(real.status, real.text()), &(fake.status, fake.text())),
            Ok(())
        );
        assert_eq!(gateways.compare(), Ok(()), "{request:?}");
    }
}

#[test]
fn flags_have_the_same_effect() {
    let real =
        Pushgateway::with_flags(&["--web.route-prefix=/push", "--push.disable-consistency-check"]);
    let gateways =
        FakeVsReal { real, fake: FakeGateway::builder().route_prefix("push/").unchecked().start() };
    for step in [
        put("/metrics/job/a", "m 1\n"),
        put("/push/metrics/job/a", "m 1\n"),
        put("/push/metrics/job/b", "# TYPE m gauge\nm 1 5\n"),
        put("/push/metrics/job/b", "m"),
        put("/push//metrics/job/b", "m 1\n"),
        put("/push/metrics/job/", "m 1\n"),
        put("/push/api/v1/admin/wipe", ""),
        Step { method: "GET", ..put("/push/-/ready", "") },
        Step { method: "GET", ..put("/-/ready", "") },
        Step { method: "GET", ..put("/push", "") },
    ] {
        assert_eq!(gateways.step(&step), Ok(()));
    }
}

#[test]
fn prometheus_scrapes_the_same_samples() {
    let gateways = FakeVsReal { real: Pushgateway::start(), fake: FakeGateway::start() };
    let body = "# TYPE d histogram\nd_bucket{le=\"0.5\"} 1\nd_sum 2.5\nd_count 3\n# TYPE r gauge\nr{kind=\"x\"} 7\n";
    assert_eq!(gateways.step(&put("/metrics/job/nightly/region/eu", body)), Ok(()));
    let [real, fake] = gateways.addresses().map(|address| {
        let prometheus = Prometheus::scraping(address, Duration::from_secs(1));
        prometheus.wait_for("r", |result| result.len() == 1);
        let mut samples = prometheus.query("{job=\"nightly\",__name__!~\"push_.*\"}");
        samples.sort_by_key(|(labels, _)| format!("{labels:?}"));
        samples
    });
    assert_eq!(real.len(), 5);
    assert_eq!(real, fake);
}
