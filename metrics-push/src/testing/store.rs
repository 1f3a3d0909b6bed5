//! [`GroupStore`]: the groups of the gateway, and how a push changes them, exactly as in the real gateway.
//!
//! A push is checked against all groups before it is stored. A rejected push changes only the failure timestamp of its
//! group. If the group does not exist, a rejected push creates it, and this empty group stays until it is deleted.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use super::consistency::{GatheredFamily, problems};
use super::exposition;
use super::family::{Family, Kind, LabelMap, Metric, MetricValue};
use super::go_format::lossy;
use super::index::MetricIndex;
use super::parse::PushBody;
use super::path::GroupKey;

pub(super) const PUSH_TIME: &str = "push_time_seconds";
pub(super) const FAILURE_TIME: &str = "push_failure_time_seconds";

/// What a push does with the other families of its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PushMode {
    /// `PUT`: removes them.
    Replace,
    /// `POST`: leaves them unchanged.
    Merge,
}

/// Whether a push is checked against all groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConsistencyCheck {
    Enabled,
    Disabled,
}

/// A family and the time of its push.
#[derive(Clone, Debug)]
pub(super) struct PushedFamily {
    pub(super) family: Family,
    pub(super) pushed_at: SystemTime,
}

/// The families of one group, by name.
pub(super) type GroupFamilies = BTreeMap<String, PushedFamily>;

/// All groups, and the index of their metrics.
#[derive(Debug, Default)]
pub(super) struct GroupStore {
    groups: BTreeMap<GroupKey, GroupFamilies>,
    index: MetricIndex,
}

impl GroupStore {
    /// Stores a push. The error is the message of the real gateway.
    pub(super) fn push(
        &mut self,
        mode: PushMode,
        check: ConsistencyCheck,
        key: &GroupKey,
        body: PushBody,
        at: SystemTime,
    ) -> Result<(), String> {
        if body.has_timestamps {
            self.record_failure(key, at);
            return Err("pushed metrics must not have timestamps".into());
        }
        let before = self.groups.get(key).cloned();
        let after = merged(mode, key, before.clone().unwrap_or_default(), body, at);
        self.set(key, Some(after));
        if check == ConsistencyCheck::Disabled || self.index.is_consistent() {
            return Ok(());
        }
        let problems = problems(self.families());
        self.set(key, before);
        self.record_failure(key, at);
        Err(if problems.len() == 1 { problems.concat() } else { list(&problems) })
    }

    pub(super) fn delete(&mut self, key: &GroupKey) {
        self.set(key, None);
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) const fn groups(&self) -> &BTreeMap<GroupKey, GroupFamilies> {
        &self.groups
    }

    /// Returns the exposition, or the error that a scrape gets.
    pub(super) fn exposition(&self) -> Result<String, String> {
        let problems = problems(self.families());
        if problems.is_empty() { Ok(self.print()) } else { Err(list(&problems)) }
    }

    /// Returns the exposition, even if it is inconsistent.
    pub(super) fn print(&self) -> String {
        exposition::print(self.families().map(|gathered| gathered.family))
    }

    fn families(&self) -> impl Iterator<Item = GatheredFamily<'_>> {
        self.groups.iter().flat_map(|(key, families)| {
            let invalid_label = find_invalid_label(key);
            families
                .values()
                .map(move |pushed| GatheredFamily { family: &pushed.family, invalid_label })
        })
    }

    /// Records the time of a rejected push, and creates the group if it does not exist.
    fn record_failure(&mut self, key: &GroupKey, at: SystemTime) {
        let mut families = self.groups.get(key).cloned().unwrap_or_default();
        families.insert(FAILURE_TIME.into(), time_family(FAILURE_TIME, key, Some(at), at));
        families.entry(PUSH_TIME.into()).or_insert_with(|| time_family(PUSH_TIME, key, None, at));
        self.set(key, Some(families));
    }

    /// Replaces or removes a group. All changes go through this method, which updates the index.
    fn set(&mut self, key: &GroupKey, families: Option<GroupFamilies>) {
        let invalid_label = find_invalid_label(key);
        for pushed in families.iter().flat_map(BTreeMap::values) {
            self.index.add(&pushed.family, invalid_label);
        }
        let before = match families {
            Some(families) => self.groups.insert(key.clone(), families),
            None => self.groups.remove(key),
        };
        for pushed in before.iter().flat_map(BTreeMap::values) {
            self.index.remove(&pushed.family, invalid_label);
        }
    }
}

/// Returns the name of a label whose value is not valid UTF-8.
fn find_invalid_label(key: &GroupKey) -> Option<&str> {
    let mut labels = key.iter();
    labels.find(|(_, value)| std::str::from_utf8(value).is_err()).map(|(name, _)| name.as_str())
}

/// Returns the families of a group after a push.
fn merged(
    mode: PushMode,
    key: &GroupKey,
    mut group: GroupFamilies,
    body: PushBody,
    at: SystemTime,
) -> GroupFamilies {
    if mode == PushMode::Replace {
        group.retain(|name, _| name == PUSH_TIME || name == FAILURE_TIME);
    }
    let has_failure_time = group.contains_key(FAILURE_TIME);
    for (name, mut family) in body.families {
        for metric in &mut family.metrics {
            add_grouping_labels(&mut metric.labels, key);
        }
        group.insert(name, PushedFamily { family, pushed_at: at });
    }
    group.insert(PUSH_TIME.into(), time_family(PUSH_TIME, key, Some(at), at));
    if !has_failure_time {
        group.insert(FAILURE_TIME.into(), time_family(FAILURE_TIME, key, None, at));
    }
    group
}

/// Adds the grouping labels. They replace labels of the metric silently.
fn add_grouping_labels(labels: &mut LabelMap, key: &GroupKey) {
    labels.extend(key.iter().map(|(name, value)| (name.clone(), lossy(value))));
    // Without it, Prometheus adds the address of the gateway as `instance`.
    labels.entry("instance".into()).or_default();
}

/// Returns `push_time_seconds` or `push_failure_time_seconds`. The value is 0 if `when` is `None`.
fn time_family(
    name: &str,
    key: &GroupKey,
    when: Option<SystemTime>,
    at: SystemTime,
) -> PushedFamily {
    let result = if name == PUSH_TIME { "succeeded" } else { "failed" };
    let help = format!("Last Unix time when changing this group in the Pushgateway {result}.");
    let seconds =
        when.map_or(0.0, |when| when.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64());
    let mut labels = LabelMap::new();
    add_grouping_labels(&mut labels, key);
    let metrics = vec![Metric { labels, value: MetricValue::Number(seconds) }];
    let family = Family { name: name.into(), help, kind: Kind::Gauge, metrics };
    PushedFamily { family, pushed_at: at }
}

fn list(problems: &[String]) -> String {
    let lines: Vec<_> = problems.iter().map(|problem| format!("\n* {problem}")).collect();
    format!("{} error(s) occurred:{}", problems.len(), lines.concat())
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse;
    use super::super::path::{JobEncoding, grouping_key};
    use super::*;

    /// A store with a clock that advances by one second per push.
    #[derive(Default)]
    struct TestStore {
        inner: GroupStore,
        seconds: u64,
    }

    fn key(path: &str) -> GroupKey {
        let (job, labels) = path.split_at(path.find('/').unwrap_or(path.len()));
        grouping_key(job.as_bytes(), JobEncoding::Plain, labels.as_bytes()).unwrap()
    }

    impl TestStore {
        fn send(&mut self, mode: PushMode, path: &str, text: &str) -> Result<(), String> {
            self.seconds += 1;
            let at = UNIX_EPOCH + std::time::Duration::from_secs(self.seconds);
            let body = parse(text.as_bytes()).unwrap();
            let outcome = self.inner.push(mode, ConsistencyCheck::Enabled, &key(path), body, at);
            assert_eq!(
                self.inner.index.is_consistent(),
                problems(self.inner.families()).is_empty()
            );
            outcome
        }

        fn put(&mut self, path: &str, text: &str) -> Result<(), String> {
            self.send(PushMode::Replace, path, text)
        }

        fn post(&mut self, path: &str, text: &str) -> Result<(), String> {
            self.send(PushMode::Merge, path, text)
        }

        fn lines(&self, condition: impl Fn(&str) -> bool) -> Vec<String> {
            let text = self.inner.print();
            text.lines().filter(|line| condition(line)).map(str::to_owned).collect()
        }

        /// The samples without the push times.
        fn samples(&self) -> Vec<String> {
            self.lines(|line| !line.starts_with('#') && !line.starts_with("push_"))
        }

        fn push_times(&self) -> Vec<String> {
            self.lines(|line| line.starts_with("push_"))
        }
    }

    #[test]
    fn put_removes_other_families_and_post_does_not() {
        let mut store = TestStore::default();
        store.put("j", "a 1\nb{l=\"1\"} 1\nb{l=\"2\"} 1\n").unwrap();
        store.post("j", "b{l=\"1\"} 2\n").unwrap();
        let [a, b] = ["a{instance=\"\",job=\"j\"} 1", "b{instance=\"\",job=\"j\",l=\"1\"} 2"];
        assert_eq!(store.samples(), [a, b]);
        store.put("j", "b{l=\"1\"} 2\n").unwrap();
        assert_eq!(store.samples(), [b]);
        store.put("j", "").unwrap();
        assert!(store.samples().is_empty());
        assert_eq!(
            store.push_times(),
            [
                "push_failure_time_seconds{instance=\"\",job=\"j\"} 0",
                "push_time_seconds{instance=\"\",job=\"j\"} 4"
            ]
        );
    }

    #[test]
    fn grouping_labels_replace_metric_labels() {
        let mut store = TestStore::default();
        store.put("j/x/1", "a{job=\"k\",x=\"2\",instance=\"i\"} 1\n").unwrap();
        assert_eq!(store.samples(), ["a{instance=\"i\",job=\"j\",x=\"1\"} 1"]);
    }

    #[test]
    fn delete_removes_exact_group_only() {
        let mut store = TestStore::default();
        store.put("j", "a 1\n").unwrap();
        store.put("j/x/1", "a 1\n").unwrap();
        store.inner.delete(&key("j"));
        assert_eq!(store.samples(), ["a{instance=\"\",job=\"j\",x=\"1\"} 1"]);
        assert!(store.inner.index.is_consistent());
    }

    #[test]
    fn type_must_agree_across_groups() {
        let mut store = TestStore::default();
        store.put("j", "# TYPE a counter\na 1\n").unwrap();
        let why = store.put("k", "a 1\n").unwrap_err();
        assert!(why.starts_with("collected metric \"a\" {") && why.contains("is not a COUNTER"));
        store.post("j", "a 1\n").unwrap();
        store.put("k", "a 1\n").unwrap();
        let why = store.put("k", "go_threads 1\n").unwrap_err();
        assert_eq!(why, "gathered metric family go_threads has type UNTYPED but should have GAUGE");
        store.put("k", "# TYPE h histogram\nh_sum 1\n").unwrap();
        let why = store.put("j", "h_count 1\n").unwrap_err();
        assert!(why.contains("collides with previously collected histogram named \"h\""));
    }

    #[test]
    fn push_is_rejected_if_scrape_would_fail() {
        let mut store = TestStore::default();
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
            let why = store.put(path, text).unwrap_err();
            assert!(why.contains(expected), "{why}");
            assert!(store.samples().is_empty());
        }
    }

    #[test]
    fn rejected_push_creates_group_until_next_accepted_one() {
        let mut store = TestStore::default();
        store.put("j", "a 1\na 2\n").unwrap_err();
        let line = |name: &str, seconds: u8| format!("{name}{{instance=\"\",job=\"j\"}} {seconds}");
        assert_eq!(store.push_times(), [line(FAILURE_TIME, 1), line(PUSH_TIME, 0)]);
        store.post("j", "").unwrap();
        assert_eq!(store.push_times(), [line(FAILURE_TIME, 1), line(PUSH_TIME, 2)]);
        store.put("j", "a 1 5\n").unwrap_err();
        assert_eq!(store.push_times(), [line(FAILURE_TIME, 3), line(PUSH_TIME, 2)]);
    }

    #[test]
    fn empty_instance_blocks_all_pushes_until_deleted() {
        let mut store = TestStore::default();
        store.put("j", "a 1\n").unwrap();
        store.put("j/instance/", "a 1\n").unwrap_err();
        store.put("k", "a 1\n").unwrap_err();
        assert!(store.inner.exposition().unwrap_err().starts_with("2 error(s) occurred:\n* "));
        store.inner.delete(&key("j/instance/"));
        store.put("k", "a 1\n").unwrap();
        assert!(store.inner.exposition().is_ok());
    }

    #[test]
    fn unchecked_push_is_rejected_for_timestamps_only() {
        let mut store = GroupStore::default();
        let mut push = |text: &str| {
            let body = parse(text.as_bytes()).unwrap();
            store.push(
                PushMode::Merge,
                ConsistencyCheck::Disabled,
                &key("j"),
                body,
                SystemTime::now(),
            )
        };
        push("a 1\na 2\n").unwrap();
        push("b 1 5\n").unwrap_err();
        assert!(store.exposition().is_err());
    }
}
