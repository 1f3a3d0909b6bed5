//! What the gateway holds, and how a push changes it: the real one's rules, kept to the letter.
//!
//! A push is checked against everything else before it is stored. One that is refused leaves the
//! group as it was, except for its failure stamp, and creates the group if there was none: such
//! a ghost group stays until it is deleted.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use super::consistency::{Held, problems};
use super::exposition;
use super::family::{Family, Kind, Labels, Metric, Value};
use super::ledger::Ledger;
use super::number::lossy;
use super::parse::Body;
use super::path::Key;

pub(super) const PUSH_TIME: &str = "push_time_seconds";
pub(super) const FAILURE_TIME: &str = "push_failure_time_seconds";

/// How a push meets what the group has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// The group's other families go.
    Replace,
    /// Families of other names stay.
    Merge,
}

/// Whether pushes are compared with what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Checks {
    On,
    Off,
}

/// A family and when it was pushed.
#[derive(Clone, Debug)]
pub(super) struct Timed {
    pub(super) family: Family,
    pub(super) at: SystemTime,
}

/// The families of one group, by name.
pub(super) type Families = BTreeMap<String, Timed>;

/// All groups.
#[derive(Debug, Default)]
pub(super) struct Store {
    groups: BTreeMap<Key, Families>,
    ledger: Ledger,
}

impl Store {
    /// Takes a push, or says why it is refused, in the words of the real gateway.
    pub(super) fn push(
        &mut self,
        mode: Mode,
        checks: Checks,
        key: &Key,
        body: Body,
        at: SystemTime,
    ) -> Result<(), String> {
        if body.has_timestamps {
            self.note_failure(key, at);
            return Err("pushed metrics must not have timestamps".into());
        }
        let before = self.groups.get(key).cloned();
        let after = merged(mode, key, before.clone().unwrap_or_default(), body, at);
        self.set(key, Some(after));
        if checks == Checks::Off || self.ledger.is_consistent() {
            return Ok(());
        }
        let problems = problems(self.held());
        self.set(key, before);
        self.note_failure(key, at);
        Err(if problems.len() == 1 { problems.concat() } else { list(&problems) })
    }

    pub(super) fn delete(&mut self, key: &Key) {
        self.set(key, None);
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) const fn groups(&self) -> &BTreeMap<Key, Families> {
        &self.groups
    }

    /// What a scrape gets: the exposition, or why there is none.
    pub(super) fn exposition(&self) -> Result<String, String> {
        let problems = problems(self.held());
        if problems.is_empty() { Ok(self.print()) } else { Err(list(&problems)) }
    }

    /// The exposition, whether or not it can be scraped.
    pub(super) fn print(&self) -> String {
        exposition::print(self.held().map(|held| held.family))
    }

    fn held(&self) -> impl Iterator<Item = Held<'_>> {
        self.groups.iter().flat_map(|(key, families)| {
            let unreadable = unreadable(key);
            families.values().map(move |timed| Held { family: &timed.family, unreadable })
        })
    }

    /// Stamps a refused push, in a group that may not have been there before.
    fn note_failure(&mut self, key: &Key, at: SystemTime) {
        let mut families = self.groups.get(key).cloned().unwrap_or_default();
        families.insert(FAILURE_TIME.into(), stamp(FAILURE_TIME, key, Some(at), at));
        families.entry(PUSH_TIME.into()).or_insert_with(|| stamp(PUSH_TIME, key, None, at));
        self.set(key, Some(families));
    }

    /// Puts a group in the place of another; the only way in which groups change.
    fn set(&mut self, key: &Key, families: Option<Families>) {
        let unreadable = unreadable(key);
        for timed in families.iter().flat_map(BTreeMap::values) {
            self.ledger.add(&timed.family, unreadable);
        }
        let before = match families {
            Some(families) => self.groups.insert(key.clone(), families),
            None => self.groups.remove(key),
        };
        for timed in before.iter().flat_map(BTreeMap::values) {
            self.ledger.remove(&timed.family, unreadable);
        }
    }
}

/// The name of a label whose value is not UTF-8.
fn unreadable(key: &Key) -> Option<&str> {
    let mut labels = key.iter();
    labels.find(|(_, value)| std::str::from_utf8(value).is_err()).map(|(name, _)| name.as_str())
}

/// The group after the push.
fn merged(mode: Mode, key: &Key, mut group: Families, body: Body, at: SystemTime) -> Families {
    if mode == Mode::Replace {
        group.retain(|name, _| name == PUSH_TIME || name == FAILURE_TIME);
    }
    let has_failure_stamp = group.contains_key(FAILURE_TIME);
    for (name, mut family) in body.families {
        for metric in &mut family.metrics {
            label(&mut metric.labels, key);
        }
        group.insert(name, Timed { family, at });
    }
    group.insert(PUSH_TIME.into(), stamp(PUSH_TIME, key, Some(at), at));
    if !has_failure_stamp {
        group.insert(FAILURE_TIME.into(), stamp(FAILURE_TIME, key, None, at));
    }
    group
}

/// The group's labels win over the metric's, and nobody is told.
fn label(labels: &mut Labels, key: &Key) {
    labels.extend(key.iter().map(|(name, value)| (name.clone(), lossy(value))));
    // Else Prometheus would attach the address of the gateway.
    labels.entry("instance".into()).or_default();
}

/// One of the gateway's own families; `when` is none for what never happened.
fn stamp(name: &str, key: &Key, when: Option<SystemTime>, at: SystemTime) -> Timed {
    let what = if name == PUSH_TIME { "succeeded" } else { "failed" };
    let help = format!("Last Unix time when changing this group in the Pushgateway {what}.");
    let seconds =
        when.map_or(0.0, |when| when.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64());
    let mut labels = Labels::new();
    label(&mut labels, key);
    let metrics = vec![Metric { labels, value: Value::Number(seconds) }];
    Timed { family: Family { name: name.into(), help, kind: Kind::Gauge, metrics }, at }
}

fn list(problems: &[String]) -> String {
    let lines: Vec<_> = problems.iter().map(|problem| format!("\n* {problem}")).collect();
    format!("{} error(s) occurred:{}", problems.len(), lines.concat())
}
