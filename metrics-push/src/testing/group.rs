//! A group as a test reads it: labels, families and stamps, and values by name.
//!
//! Whatever is not there is answered with what is, because that is what the person whose test
//! has failed looks for next.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::family::{Family, Sample, Value};
use super::go_format::lossy;
use super::path::Key;
use super::store::{FAILURE_TIME, Families, PUSH_TIME};

/// One group of a [`FakeGateway`](super::FakeGateway), as it was when it was asked for.
///
/// `Display` is its exposition.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Group {
    /// The grouping labels, `job` included.
    pub labels: BTreeMap<String, String>,
    /// The families by name, the gateway's own two stamps included.
    pub families: BTreeMap<String, Family>,
    /// When a push was last accepted; none if all were refused.
    pub last_push: Option<SystemTime>,
    /// When a push was last refused, if ever.
    pub last_failure: Option<SystemTime>,
}

impl Group {
    pub(super) fn new(key: &Key, families: &Families) -> Self {
        let family =
            |(name, timed): (&String, &super::store::Timed)| (name.clone(), timed.family.clone());
        Self {
            labels: key.iter().map(|(name, value)| (name.clone(), lossy(value))).collect(),
            families: families.iter().map(family).collect(),
            last_push: time_of(families, PUSH_TIME),
            last_failure: time_of(families, FAILURE_TIME),
        }
    }

    /// Whether the group holds a family of that name.
    #[must_use]
    pub fn has_family(&self, name: &str) -> bool {
        self.families.contains_key(name)
    }

    /// Every sample, in the order of the exposition.
    #[must_use]
    pub fn samples(&self) -> Vec<Sample> {
        self.families.values().flat_map(Family::samples).collect()
    }

    /// The value of the one sample of that name that has these labels, if there is one.
    ///
    /// The name is the sample's, so a histogram is asked for by `.._count`, `.._sum` or `.._bucket`. Labels that are
    /// not given may have any value.
    ///
    /// # Panics
    /// If several samples fit: give more labels.
    #[must_use]
    #[track_caller]
    pub fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let fits = |sample: &Sample| {
            sample.name == name
                && labels.iter().all(|&(name, value)| {
                    sample.labels.get(name).is_some_and(|found| found == value)
                })
        };
        let found: Vec<Sample> = self.samples().into_iter().filter(fits).collect();
        assert!(
            found.len() < 2,
            "{} fits {} samples; give more labels to tell them apart:\n{}",
            Wanted(name, labels),
            found.len(),
            Lines(&found),
        );
        found.first().map(|sample| sample.value)
    }

    /// The value of the one sample of that name that has these labels; see [`get`](Self::get).
    ///
    /// # Panics
    /// If there is no such sample, with what is there; and if several fit.
    #[must_use]
    #[track_caller]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let Some(value) = self.get(name, labels) else {
            let mut near = self.samples();
            if near.iter().any(|sample| sample.name == name) {
                near.retain(|sample| sample.name == name);
            }
            panic!(
                "no sample {} in the group {}; there is:\n{}",
                Wanted(name, labels),
                Braces(&self.labels),
                Lines(&near),
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

fn time_of(families: &Families, name: &str) -> Option<SystemTime> {
    match families.get(name)?.family.metrics.first()?.value {
        Value::Number(seconds) if seconds > 0.0 => {
            UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(seconds).ok()?)
        }
        _ => None,
    }
}

/// A sample as it was asked for.
struct Wanted<'a>(&'a str, &'a [(&'a str, &'a str)]);

impl fmt::Display for Wanted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)?;
        if self.1.is_empty() {
            return Ok(());
        }
        let labels = self.1.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
        Braces(&labels.collect()).fmt(f)
    }
}

/// A label set.
pub(super) struct Braces<'a>(pub(super) &'a BTreeMap<String, String>);

impl fmt::Display for Braces<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs: Vec<_> =
            self.0.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        write!(f, "{{{}}}", pairs.join(","))
    }
}

struct Lines<'a>(&'a [Sample]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|sample| writeln!(f, "  {sample}"))
    }
}

/// The labels of the group that is asked for.
pub(super) fn key_of(job: &str, labels: &[(&str, &str)]) -> BTreeMap<String, String> {
    let labels = labels.iter().copied().chain([("job", job)]);
    labels.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse;
    use super::super::path::grouping_key;
    use super::super::store::{Checks, Mode, Store};
    use super::*;

    fn group(text: &str) -> Group {
        let key = grouping_key(b"j", false, b"/region/eu").unwrap();
        let mut store = Store::default();
        let body = parse(text.as_bytes()).unwrap();
        store.push(Mode::Replace, Checks::On, &key, body, SystemTime::now()).unwrap();
        Group::new(&key, &store.groups()[&key])
    }

    /// The message of the panic.
    fn complaint(act: impl FnOnce() -> Option<f64> + std::panic::UnwindSafe) -> String {
        *std::panic::catch_unwind(act).unwrap_err().downcast::<String>().unwrap()
    }

    #[test]
    fn values_are_found_by_name_and_as_many_labels_as_it_takes() {
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
    fn what_is_missing_is_answered_with_what_is_there() {
        let group = group("r{k=\"a\"} 1\nr{k=\"b\"} 2\n");
        let several = complaint(|| group.get("r", &[]));
        assert!(several.starts_with("r fits 2 samples; give more labels"), "{several}");
        let other = complaint(|| Some(group.value("r", &[("k", "c")])));
        assert_eq!(
            other,
            "no sample r{k=\"c\"} in the group {job=\"j\",region=\"eu\"}; there is:\n  \
             r{instance=\"\",job=\"j\",k=\"a\",region=\"eu\"} 1\n  \
             r{instance=\"\",job=\"j\",k=\"b\",region=\"eu\"} 2\n"
        );
        let unknown = complaint(|| Some(group.value("s", &[])));
        assert!(unknown.contains("r{instance=") && unknown.contains("push_time_seconds"));
    }
}
