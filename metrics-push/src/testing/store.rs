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
use super::go_format::lossy;
use super::index::Ledger;
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

#[cfg(test)]
mod tests {
    use super::super::parse::parse;
    use super::super::path::grouping_key;
    use super::*;

    /// A store that is told what to do by paths and bodies; its clock goes on by a second a push.
    #[derive(Default)]
    struct Told {
        store: Store,
        seconds: u64,
    }

    fn key(path: &str) -> Key {
        let (job, labels) = path.split_at(path.find('/').unwrap_or(path.len()));
        grouping_key(job.as_bytes(), false, labels.as_bytes()).unwrap()
    }

    impl Told {
        fn send(&mut self, mode: Mode, path: &str, text: &str) -> Result<(), String> {
            self.seconds += 1;
            let at = UNIX_EPOCH + std::time::Duration::from_secs(self.seconds);
            let body = parse(text.as_bytes()).unwrap();
            let outcome = self.store.push(mode, Checks::On, &key(path), body, at);
            assert_eq!(self.store.ledger.is_consistent(), problems(self.store.held()).is_empty());
            outcome
        }

        fn put(&mut self, path: &str, text: &str) -> Result<(), String> {
            self.send(Mode::Replace, path, text)
        }

        fn post(&mut self, path: &str, text: &str) -> Result<(), String> {
            self.send(Mode::Merge, path, text)
        }

        /// The samples without heads, and without stamps unless they are asked for.
        fn samples(&self, stamps: &str) -> Vec<String> {
            let text = self.store.print();
            let wanted = |line: &&str| {
                !line.starts_with('#') && line.starts_with("push_") == (stamps == "stamps")
            };
            text.lines().filter(wanted).map(str::to_owned).collect()
        }
    }

    #[test]
    fn replacing_drops_other_families_and_merging_keeps_them() {
        let mut told = Told::default();
        told.put("j", "a 1\nb{l=\"1\"} 1\nb{l=\"2\"} 1\n").unwrap();
        told.post("j", "b{l=\"1\"} 2\n").unwrap();
        let [a, b] = ["a{instance=\"\",job=\"j\"} 1", "b{instance=\"\",job=\"j\",l=\"1\"} 2"];
        assert_eq!(told.samples(""), [a, b]);
        told.put("j", "b{l=\"1\"} 2\n").unwrap();
        assert_eq!(told.samples(""), [b]);
        told.put("j", "").unwrap();
        assert!(told.samples("").is_empty());
        assert_eq!(
            told.samples("stamps"),
            [
                "push_failure_time_seconds{instance=\"\",job=\"j\"} 0",
                "push_time_seconds{instance=\"\",job=\"j\"} 4"
            ]
        );
    }

    #[test]
    fn grouping_labels_win_over_those_of_the_metric() {
        let mut told = Told::default();
        told.put("j/x/1", "a{job=\"k\",x=\"2\",instance=\"i\"} 1\n").unwrap();
        assert_eq!(told.samples(""), ["a{instance=\"i\",job=\"j\",x=\"1\"} 1"]);
    }

    #[test]
    fn only_the_exact_group_is_deleted() {
        let mut told = Told::default();
        told.put("j", "a 1\n").unwrap();
        told.put("j/x/1", "a 1\n").unwrap();
        told.store.delete(&key("j"));
        assert_eq!(told.samples(""), ["a{instance=\"\",job=\"j\",x=\"1\"} 1"]);
        assert!(told.store.ledger.is_consistent());
    }

    #[test]
    fn a_type_belongs_to_the_whole_gateway() {
        let mut told = Told::default();
        told.put("j", "# TYPE a counter\na 1\n").unwrap();
        let why = told.put("k", "a 1\n").unwrap_err();
        assert!(why.starts_with("collected metric \"a\" {") && why.contains("is not a COUNTER"));
        told.post("j", "a 1\n").unwrap();
        told.put("k", "a 1\n").unwrap();
        let why = told.put("k", "go_threads 1\n").unwrap_err();
        assert_eq!(why, "gathered metric family go_threads has type UNTYPED but should have GAUGE");
        told.put("k", "# TYPE h histogram\nh_sum 1\n").unwrap();
        let why = told.put("j", "h_count 1\n").unwrap_err();
        assert!(why.contains("collides with previously collected histogram named \"h\""));
    }

    #[test]
    fn what_could_not_be_scraped_is_refused() {
        let mut told = Told::default();
        for (path, text, expected) in [
            ("j", "a 1\na 2\n", "was collected before with the same name and label values"),
            ("j", "a{__x=\"1\"} 1\n", "has a label with an invalid name: __x"),
            (
                "j/quantile/1",
                "# TYPE s summary\ns_sum 1\n",
                "must not have an explicit \"quantile\" label",
            ),
            ("j", "a 1 5\n", "pushed metrics must not have timestamps"),
        ] {
            let why = told.put(path, text).unwrap_err();
            assert!(why.contains(expected), "{why}");
            assert!(told.samples("").is_empty());
        }
    }

    #[test]
    fn a_refused_push_leaves_a_ghost_that_an_accepted_one_brings_to_life() {
        let mut told = Told::default();
        told.put("j", "a 1\na 2\n").unwrap_err();
        let stamp =
            |name: &str, seconds: u8| format!("{name}{{instance=\"\",job=\"j\"}} {seconds}");
        assert_eq!(told.samples("stamps"), [stamp(FAILURE_TIME, 1), stamp(PUSH_TIME, 0)]);
        told.post("j", "").unwrap();
        assert_eq!(told.samples("stamps"), [stamp(FAILURE_TIME, 1), stamp(PUSH_TIME, 2)]);
        told.put("j", "a 1 5\n").unwrap_err();
        assert_eq!(told.samples("stamps"), [stamp(FAILURE_TIME, 3), stamp(PUSH_TIME, 2)]);
    }

    #[test]
    fn a_ghost_with_an_empty_instance_stops_everybody_until_it_is_deleted() {
        let mut told = Told::default();
        told.put("j", "a 1\n").unwrap();
        told.put("j/instance/", "a 1\n").unwrap_err();
        told.put("k", "a 1\n").unwrap_err();
        assert!(told.store.exposition().unwrap_err().starts_with("2 error(s) occurred:\n* "));
        told.store.delete(&key("j/instance/"));
        told.put("k", "a 1\n").unwrap();
        assert!(told.store.exposition().is_ok());
    }

    #[test]
    fn without_checks_everything_is_taken_but_timestamps() {
        let mut store = Store::default();
        let mut push = |text: &str| {
            let body = parse(text.as_bytes()).unwrap();
            store.push(Mode::Merge, Checks::Off, &key("j"), body, SystemTime::now())
        };
        push("a 1\na 2\n").unwrap();
        push("b 1 5\n").unwrap_err();
        assert!(store.exposition().is_err());
    }
}
