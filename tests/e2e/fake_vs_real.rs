//! A real and a fake gateway that get the same requests, and what a difference between them is.
//!
//! Groups are compared through the query API and through the exposition; only times, the order of groups and what
//! hangs on it may differ.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use metrics_push::testing::FakeGateway;
use serde_json::Value;

use crate::http::{Answer, send};
use crate::real::Pushgateway;

/// Both gateways, given the same requests.
pub(crate) struct Pair {
    pub(crate) real: Pushgateway,
    pub(crate) fake: FakeGateway,
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) body: String,
}

impl Pair {
    pub(crate) fn start() -> Self {
        let real = Pushgateway::with_flags(&["--web.enable-admin-api"]);
        Self { real, fake: FakeGateway::builder().admin_api().start() }
    }

    pub(crate) fn addresses(&self) -> [SocketAddr; 2] {
        [self.real.address(), self.fake.address()]
    }

    /// Sends a step to both; what differs between the answers is the error.
    pub(crate) fn step(&self, step: &Step) -> Result<(), String> {
        let answer = |address, url| {
            let answer = send(address, step.method, &step.path, step.body.as_bytes());
            answer.map_err(|why| format!("{step:?} to {url}: {why}"))
        };
        let real = answer(self.real.address(), self.real.url());
        let fake = answer(self.fake.address(), self.fake.url());
        same(&format!("the answers to {step:?}"), &seen(&real?), &seen(&fake?))
    }

    /// Compares all that both hold.
    pub(crate) fn compare(&self) -> Result<(), String> {
        // Deletions are queued; a push after them is answered when they are done.
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

    /// Empties both.
    pub(crate) fn wipe(&self) {
        for address in self.addresses() {
            assert_eq!(send(address, "PUT", "/api/v1/admin/wipe", b"").unwrap().status, 202);
        }
    }
}

pub(crate) fn same<T: PartialEq + std::fmt::Debug>(
    what: &str,
    real: &T,
    fake: &T,
) -> Result<(), String> {
    if real == fake {
        return Ok(());
    }
    Err(format!("{what} differ:\nreal: {real:?}\nfake: {fake:?}"))
}

fn get(address: SocketAddr, path: &str) -> Answer {
    send(address, "GET", path, b"").unwrap_or_else(|why| panic!("GET {path}: {why}"))
}

/// What a client sees of an answer.
fn seen(answer: &Answer) -> (u16, [Option<String>; 3], String) {
    let headers = ["location", "allow", "content-type"];
    let headers = headers.map(|name| answer.header(name).map(str::to_owned));
    (answer.status, headers, essence(&answer.text()))
}

/// A text without what depends on the order of a hash map, on the clock or on a library's notation.
fn essence(text: &str) -> String {
    let Some((start, problem)) = text.split_once("existing metrics: ") else {
        return text.to_owned();
    };
    // Which family comes first decides who collides with whom, and how often.
    if ["error(s) occurred", "collides with", "is not a"].iter().any(|kind| problem.contains(kind))
    {
        return start.to_owned();
    }
    match (problem.find("{ "), problem.rfind("} ")) {
        (Some(open), Some(close)) => format!("{start}: {}{}", &problem[..open], &problem[close..]),
        _ => format!("{start}: {problem}"),
    }
}

/// The groups, sorted, with times reduced to whether there is one.
fn groups(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{answer:?}");
    let mut json: Value = serde_json::from_slice(&answer.body).expect("the query API answers JSON");
    let groups = json["data"].as_array_mut().unwrap_or_else(|| panic!("no groups: {answer:?}"));
    let mut groups: Vec<_> = groups
        .iter_mut()
        .map(|group| {
            group
                .as_object_mut()
                .into_iter()
                .flatten()
                .for_each(|(_, family)| forget_times(family));
            group.to_string()
        })
        .collect();
    groups.sort();
    groups
}

fn forget_times(family: &mut Value) {
    let Some(family) = family.as_object_mut() else { return };
    if let Some(stamp) = family.get_mut("time_stamp") {
        let text = stamp.as_str().unwrap_or("");
        assert!(text.len() > 20 && text.contains('T'), "{text:?} is no time");
        *stamp = Value::Null;
    }
    for metric in family.get_mut("metrics").and_then(Value::as_array_mut).into_iter().flatten() {
        let value = metric["value"].as_str().and_then(|value| value.parse().ok());
        if value.is_some_and(is_now) {
            metric["value"] = "now".into();
        }
    }
}

/// Whether it can only be the time of the test.
fn is_now(value: f64) -> bool {
    value > 1.7e9 && value < 5e9
}

/// An exposition in parts that can be compared.
struct Lines {
    samples: Vec<String>,
    heads: BTreeSet<String>,
}

/// The samples of groups, sorted; the real gateway's own have no job.
fn lines(answer: &Answer) -> Lines {
    let text = if answer.status == 200 { answer.text() } else { String::new() };
    let sample = |line: &&str| !line.starts_with('#') && line.contains("job=\"");
    let mut samples: Vec<_> = text.lines().filter(sample).map(forget_time).collect();
    samples.sort();
    // Groups may disagree about the help, and then any of them may be shown.
    let head = |line: &&str| line.starts_with("# TYPE ");
    Lines { samples, heads: text.lines().filter(head).map(str::to_owned).collect() }
}

fn forget_time(line: &str) -> String {
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
