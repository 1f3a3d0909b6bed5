//! Sends the same requests to a real and a fake gateway, and compares the responses and the stored groups.
//!
//! Groups are compared through the query API and through the exposition. Only timestamps, the order of groups, and messages
//! that depend on this order may differ.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use metrics_push::testing::FakeGateway;
use serde_json::Value;

use crate::http::{Response, send};
use crate::real::Pushgateway;

/// A real and a fake gateway that receive the same requests.
pub(crate) struct FakeVsReal {
    pub(crate) real: Pushgateway,
    pub(crate) fake: FakeGateway,
}

/// One request to both gateways.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) body: String,
}

impl FakeVsReal {
    pub(crate) fn start() -> Self {
        let real = Pushgateway::with_flags(&["--web.enable-admin-api"]);
        Self { real, fake: FakeGateway::builder().admin_api().start() }
    }

    pub(crate) fn addresses(&self) -> [SocketAddr; 2] {
        [self.real.address(), self.fake.address()]
    }

    /// Sends a step to both gateways. The error is the difference between the responses.
    pub(crate) fn step(&self, step: &Step) -> Result<(), String> {
        let send_to = |address, url| {
            let response = send(address, step.method, &step.path, step.body.as_bytes());
            response.map_err(|why| format!("{step:?} to {url}: {why}"))
        };
        let real = send_to(self.real.address(), self.real.url());
        let fake = send_to(self.fake.address(), self.fake.url());
        same(&format!("the responses to {step:?}"), &comparable(&real?), &comparable(&fake?))
    }

    /// Compares the groups and the scrapes of both gateways. The error is the difference.
    pub(crate) fn compare(&self) -> Result<(), String> {
        // The real gateway deletes asynchronously. It responds to a later push after the deletion.
        self.step(&Step { method: "POST", path: "/metrics/job/last".into(), body: String::new() })?;
        let [real, fake] = self.addresses().map(|address| get(address, "/api/v1/metrics"));
        same("the groups", &groups(&real), &groups(&fake))?;
        let [real, fake] = self.addresses().map(|address| get(address, "/metrics"));
        same("the status of a scrape", &real.status, &fake.status)?;
        let (real, fake) = (lines(&real), lines(&fake));
        same("the samples", &real.samples, &fake.samples)?;
        let missing: Vec<_> = fake.heads.difference(&real.heads).collect();
        same("the types and helps", &Vec::new(), &missing)
    }

    /// Deletes all groups of both gateways.
    pub(crate) fn wipe(&self) {
        for address in self.addresses() {
            assert_eq!(send(address, "PUT", "/api/v1/admin/wipe", b"").unwrap().status, 202);
        }
    }
}

/// Returns an error that contains both values if they differ.
pub(crate) fn same<T: PartialEq + std::fmt::Debug>(
    subject: &str,
    real: &T,
    fake: &T,
) -> Result<(), String> {
    if real == fake {
        return Ok(());
    }
    Err(format!("{subject} differ:\nreal: {real:?}\nfake: {fake:?}"))
}

fn get(address: SocketAddr, path: &str) -> Response {
    send(address, "GET", path, b"").unwrap_or_else(|why| panic!("GET {path}: {why}"))
}

/// Returns the parts of a response that must be equal.
fn comparable(response: &Response) -> (u16, [Option<String>; 3], String) {
    let headers = ["location", "allow", "content-type"];
    let headers = headers.map(|name| response.header(name).map(str::to_owned));
    (response.status, headers, normalize(&response.text()))
}

/// Removes the parts of an error message that depend on the order of a hash map, on the clock or on a library's notation.
fn normalize(text: &str) -> String {
    let Some((start, problem)) = text.split_once("existing metrics: ") else {
        return text.to_owned();
    };
    // These errors depend on which family comes first.
    if ["error(s) occurred", "collides with", "is not a"].iter().any(|kind| problem.contains(kind))
    {
        return start.to_owned();
    }
    match (problem.find("{ "), problem.rfind("} ")) {
        (Some(open), Some(close)) => format!("{start}: {}{}", &problem[..open], &problem[close..]),
        _ => format!("{start}: {problem}"),
    }
}

/// Returns the groups, sorted and without timestamps.
fn groups(response: &Response) -> Vec<String> {
    assert_eq!(response.status, 200, "{response:?}");
    let mut json: Value =
        serde_json::from_slice(&response.body).expect("the response of the query API is not JSON");
    let groups = json["data"].as_array_mut().unwrap_or_else(|| panic!("no groups: {response:?}"));
    let mut groups: Vec<_> = groups
        .iter_mut()
        .map(|group| {
            group
                .as_object_mut()
                .into_iter()
                .flatten()
                .for_each(|(_, family)| remove_times(family));
            group.to_string()
        })
        .collect();
    groups.sort();
    groups
}

fn remove_times(family: &mut Value) {
    let Some(family) = family.as_object_mut() else { return };
    if let Some(stamp) = family.get_mut("time_stamp") {
        let text = stamp.as_str().unwrap_or("");
        assert!(text.len() > 20 && text.contains('T'), "invalid time {text:?}");
        *stamp = Value::Null;
    }
    for metric in family.get_mut("metrics").and_then(Value::as_array_mut).into_iter().flatten() {
        let value = metric["value"].as_str().and_then(|value| value.parse().ok());
        if value.is_some_and(is_now) {
            metric["value"] = "now".into();
        }
    }
}

/// Returns true if the value is a Unix time of the test run. Other values in the tests are smaller or larger.
fn is_now(value: f64) -> bool {
    value > 1.7e9 && value < 5e9
}

/// The parts of an exposition that must be equal.
struct ExpositionLines {
    samples: Vec<String>,
    heads: BTreeSet<String>,
}

/// Returns the sorted samples of groups. The samples of the real gateway about itself have no job.
fn lines(response: &Response) -> ExpositionLines {
    let text = if response.status == 200 { response.text() } else { String::new() };
    let sample = |line: &&str| !line.starts_with('#') && line.contains("job=\"");
    let mut samples: Vec<_> = text.lines().filter(sample).map(remove_time).collect();
    samples.sort();
    // `HELP` lines are not compared: if the help texts of groups differ, the real gateway prints an arbitrary one.
    let head = |line: &&str| line.starts_with("# TYPE ");
    ExpositionLines { samples, heads: text.lines().filter(head).map(str::to_owned).collect() }
}

fn remove_time(line: &str) -> String {
    match line.rsplit_once(' ') {
        Some((start, value)) if value.parse().is_ok_and(is_now) => format!("{start} now"),
        _ => line.to_owned(),
    }
}

pub(crate) fn put(path: &str, body: &str) -> Step {
    Step { method: "PUT", path: path.into(), body: body.into() }
}

pub(crate) fn post(path: &str, body: &str) -> Step {
    Step { method: "POST", ..put(path, body) }
}

pub(crate) fn delete(path: &str) -> Step {
    Step { method: "DELETE", ..put(path, "") }
}
