//! [`Group`]: the copy of a group that a test reads.
//!
//! If a sample is missing, the panic message contains the samples that exist.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::family::{Family, MetricValue, Sample};
use super::go_format::lossy;
use super::path::GroupKey;
use super::store::{FAILURE_TIME, GroupFamilies, PUSH_TIME, PushedFamily};

/// A copy of one group of a [`FakeGateway`](crate::testing::FakeGateway).
///
/// Later pushes do not change it. `Display` prints it in the Prometheus text format.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Group {
    /// The grouping labels, including `job`.
    pub labels: BTreeMap<String, String>,
    /// The families by name, including `push_time_seconds` and `push_failure_time_seconds`.
    pub families: BTreeMap<String, Family>,
    /// The time of the last accepted push, or `None` if every push was rejected.
    pub last_push: Option<SystemTime>,
    /// The time of the last rejected push, or `None` if no push was rejected.
    pub last_failure: Option<SystemTime>,
}

impl Group {
    pub(super) fn new(key: &GroupKey, families: &GroupFamilies) -> Self {
        let family =
            |(name, pushed): (&String, &PushedFamily)| (name.clone(), pushed.family.clone());
        Self {
            labels: key.iter().map(|(name, value)| (name.clone(), lossy(value))).collect(),
            families: families.iter().map(family).collect(),
            last_push: timestamp(families, PUSH_TIME),
            last_failure: timestamp(families, FAILURE_TIME),
        }
    }

    /// Returns true if the group has a family with this name.
    #[must_use]
    pub fn has_family(&self, name: &str) -> bool {
        self.families.contains_key(name)
    }

    /// Returns all samples, in the order of the exposition.
    #[must_use]
    pub fn samples(&self) -> Vec<Sample> {
        self.families.values().flat_map(Family::samples).collect()
    }

    /// Returns the value of the sample with this name and these labels, or `None` if the group does not have it.
    ///
    /// `name` is the name of a sample: a histogram has samples named `.._count`, `.._sum` and `.._bucket`. The sample may
    /// have further labels.
    ///
    /// # Panics
    ///
    /// Panics if several samples match.
    #[must_use]
    #[track_caller]
    pub fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let matches = |sample: &Sample| {
            sample.name == name
                && labels.iter().all(|&(name, value)| {
                    sample.labels.get(name).is_some_and(|found| found == value)
                })
        };
        let found: Vec<Sample> = self.samples().into_iter().filter(matches).collect();
        assert!(
            found.len() < 2,
            "{} matches {} samples; add labels to select one of them:\n{}",
            Selector(name, labels),
            found.len(),
            SampleList(&found),
        );
        found.first().map(|sample| sample.value)
    }

    /// Returns the value of the sample with this name and these labels, like [`get`](Self::get).
    ///
    /// # Panics
    ///
    /// Panics if no sample matches, or if several do. The message lists the samples with this name, or all samples of the
    /// group if there are none.
    #[must_use]
    #[track_caller]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let Some(value) = self.get(name, labels) else {
            let mut samples = self.samples();
            if samples.iter().any(|sample| sample.name == name) {
                samples.retain(|sample| sample.name == name);
            }
            panic!(
                "the group {} has no sample {}; its samples are:\n{}",
                DisplayLabels(&self.labels),
                Selector(name, labels),
                SampleList(&samples),
            );
        };
        value
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.families.values().try_for_each(|family| family.fmt(f))
    }
}

fn timestamp(families: &GroupFamilies, name: &str) -> Option<SystemTime> {
    match families.get(name)?.family.metrics.first()?.value {
        MetricValue::Number(seconds) if seconds > 0.0 => {
            UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(seconds).ok()?)
        }
        _ => None,
    }
}

/// Prints a name and labels as `name{label="value"}`.
pub(super) struct Selector<'a>(pub(super) &'a str, pub(super) &'a [(&'a str, &'a str)]);

impl fmt::Display for Selector<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)?;
        if self.1.is_empty() {
            return Ok(());
        }
        let labels = self.1.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
        DisplayLabels(&labels.collect()).fmt(f)
    }
}

/// Prints labels as `{label="value"}`.
pub(super) struct DisplayLabels<'a>(pub(super) &'a BTreeMap<String, String>);

impl fmt::Display for DisplayLabels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs: Vec<_> =
            self.0.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        write!(f, "{{{}}}", pairs.join(","))
    }
}

/// Prints samples, one per line.
struct SampleList<'a>(&'a [Sample]);

impl fmt::Display for SampleList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|sample| writeln!(f, "  {sample}"))
    }
}

/// Returns the grouping labels, including `job`.
pub(super) fn grouping_labels(job: &str, labels: &[(&str, &str)]) -> BTreeMap<String, String> {
    let labels = labels.iter().copied().chain([("job", job)]);
    labels.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse;
    use super::super::path::{JobEncoding, grouping_key};
    use super::super::store::{ConsistencyCheck, GroupStore, PushMode};
    use super::*;

    fn group(text: &str) -> Group {
        let key = grouping_key(b"j", JobEncoding::Plain, b"/region/eu").unwrap();
        let mut store = GroupStore::default();
        let body = parse(text.as_bytes()).unwrap();
        store
            .push(PushMode::Replace, ConsistencyCheck::Enabled, &key, body, SystemTime::now())
            .unwrap();
        Group::new(&key, &store.groups()[&key])
    }

    fn panic_message(act: impl FnOnce() -> Option<f64> + std::panic::UnwindSafe) -> String {
        *std::panic::catch_unwind(act).unwrap_err().downcast::<String>().unwrap()
    }

    #[test]
    fn value_is_found_by_name_and_some_labels() {
        let group = group(
            "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_count 3\nr{k=\"a\"} 1\nr{k=\"b\"} 2\n",
        );
        assert_eq!(group.value("r", &[("k", "b")]), 2.0);
        assert_eq!(group.value("r", &[("k", "b"), ("job", "j"), ("instance", "")]), 2.0);
        assert_eq!(group.value("h_bucket", &[("le", "+Inf")]), 3.0);
        assert_eq!(group.value("h_count", &[]), 3.0);
        assert_eq!(group.get("r", &[("k", "c")]), None);
        assert_eq!(group.get("h", &[]), None);
        assert!(group.has_family("h") && !group.has_family("h_count"));
        assert!(group.last_push.is_some() && group.last_failure.is_none());
    }

    #[test]
    fn missing_value_panics_with_existing_samples() {
        let group = group("r{k=\"a\"} 1\nr{k=\"b\"} 2\n");
        let several = panic_message(|| group.get("r", &[]));
        assert!(several.starts_with("r matches 2 samples; add labels"), "{several}");
        let other = panic_message(|| Some(group.value("r", &[("k", "c")])));
        assert_eq!(
            other,
            "the group {job=\"j\",region=\"eu\"} has no sample r{k=\"c\"}; its samples are:\n  \
             r{instance=\"\",job=\"j\",k=\"a\",region=\"eu\"} 1\n  \
             r{instance=\"\",job=\"j\",k=\"b\",region=\"eu\"} 2\n"
        );
        let unknown = panic_message(|| Some(group.value("s", &[])));
        assert!(unknown.contains("r{instance=") && unknown.contains("push_time_seconds"));
    }
}
