//! `metrics-push page --prometheus` on a real Prometheus.

use std::time::Duration;

use metrics_push::{Config, Job, Outcome};

use crate::cli::metrics_push_program;
use crate::programs::command;
use crate::real::{Prometheus, Pushgateway};

/// Writes a page to standard output.
fn page(arguments: &[&str]) -> String {
    let mut page = command(metrics_push_program());
    let output = page.args(["page", "--output", "-"]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The id and the selected state of each row. The id depends on the labels only.
fn rows(html: &str) -> Vec<[&str; 2]> {
    let rows = html.split("<tr role=\"row\" id=\"").skip(1);
    let attributes = rows.map(|row| row.split('"').collect::<Vec<_>>());
    attributes.map(|attributes| [attributes[0], attributes[2]]).collect()
}

#[test]
fn page_of_scraped_groups_is_that_of_the_gateway() {
    let gateway = Pushgateway::start();
    let prometheus = Prometheus::scraping(gateway.address(), Duration::from_secs(1));
    let _scope = Config::default().url(gateway.url()).unwrap().scope().unwrap();
    let job = Job::new("orders").every(Duration::from_secs(3_600)).whole_process();
    for (region, outcome) in [("", Outcome::Success), ("eu/b <c>", Outcome::Error)] {
        job.start_with(&[("region", &region)]).finish(outcome);
    }
    let completions = "batch_job_last_completion_timestamp_seconds";
    prometheus.wait_for(completions, |found| found.len() == 2);

    let from_prometheus = page(&["--prometheus", &format!("http://{}", prometheus.address())]);
    let from_gateway = page(&["--url", &gateway.url()]);
    let states: Vec<_> = rows(&from_prometheus).into_iter().map(|[_, state]| state).collect();
    assert_eq!(states, ["attention", "fine"]);
    assert_eq!(rows(&from_prometheus), rows(&from_gateway));
    for (html, host) in
        [(&from_prometheus, prometheus.address()), (&from_gateway, gateway.address())]
    {
        assert!(html.contains(&format!("Read from {host};")), "{host}");
        assert!(html.contains("region=eu/b &#60;c&#62;"), "{host}");
    }
}

#[test]
fn page_names_a_prometheus_that_does_not_respond() {
    let html = page(&["--prometheus", "http://127.0.0.1:9"]);
    assert!(html.contains("127.0.0.1:9 does not respond (connection refused)"), "{html}");
}
