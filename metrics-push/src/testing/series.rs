//! [`Series`]: the copy of a series that a test reads.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::family::LabelMap;
use super::go_format::format_float;
use super::group::DisplayLabels;

const NAME: &str = "__name__";

/// The bits of the NaN that ends a series.
const STALE_MARKER: u64 = 0x7ff0_0000_0000_0002;

/// A copy of one series of a [`FakeReceiver`](crate::testing::FakeReceiver).
///
/// Later requests do not change it. `Display` prints its samples in the Prometheus text format, with timestamps in
/// milliseconds.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Series {
    /// The name of the metric. It is empty if the series was sent without one.
    pub name: String,
    /// The labels, without the name.
    pub labels: BTreeMap<String, String>,
    /// The samples, oldest first. There is at least one.
    pub samples: Vec<Point>,
}

/// One sample of a [`Series`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Point {
    /// The time of the sample, in whole milliseconds.
    pub time: SystemTime,
    /// The value.
    pub value: f64,
}

impl Series {
    pub(super) fn new(labels: &LabelMap, samples: &BTreeMap<i64, f64>) -> Self {
        let mut labels = labels.clone();
        let name = labels.remove(NAME).unwrap_or_default();
        let samples = samples.iter().map(|(time, value)| Point::new(*time, *value)).collect();
        Self { name, labels, samples }
    }

    /// Returns the newest sample; `None` if a stale marker has ended the series.
    ///
    /// A query of Prometheus for the present time returns this sample for five minutes.
    #[must_use]
    pub fn last(&self) -> Option<Point> {
        self.samples.last().copied().filter(|point| !point.is_stale_marker())
    }

    /// Returns true if the series has this name, and these labels among others.
    pub(super) fn is_selected(&self, name: &str, labels: &[(&str, &str)]) -> bool {
        let has = |(name, value): &(&str, &str)| {
            self.labels.get(*name).is_some_and(|found| found == value)
        };
        self.name == name && labels.iter().all(has)
    }
}

impl Point {
    fn new(millis: i64, value: f64) -> Self {
        let distance = Duration::from_millis(millis.unsigned_abs());
        let time = if millis < 0 { UNIX_EPOCH - distance } else { UNIX_EPOCH + distance };
        Self { time, value }
    }

    /// Returns true if the sample ends the series.
    #[must_use]
    pub fn is_stale_marker(&self) -> bool {
        self.value.to_bits() == STALE_MARKER
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for point in &self.samples {
            let (name, labels) = (&self.name, DisplayLabels(&self.labels));
            let millis = point.time.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
            let value = format_float(point.value);
            let value = if point.is_stale_marker() { "stale" } else { &value };
            writeln!(f, "{name}{labels} {value} {millis}")?;
        }
        Ok(())
    }
}
