//! [`SampleStore`]: the series of a receiver, and which samples it accepts, as in Prometheus.
//!
//! A request is checked against what was stored before it. The rules are those of `headAppender` in Prometheus 2.42, or of
//! Prometheus 3.

use std::collections::{BTreeMap, BTreeSet};

use super::family::LabelMap;
use super::write_request::{WrittenSample, WrittenSeries};

/// How much older than the newest sample of all series a sample may be: half of the time that a block covers.
const MAX_AGE: i64 = 60 * 60 * 1_000;

/// How far a sample may be ahead of the clock of Prometheus 3.
const MAX_AHEAD: i64 = 10 * 60 * 1_000;

/// The version whose rules apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rules {
    /// A sample may be ahead of the clock by any time. An invalid series fails the request.
    Prometheus2,
    /// A sample may be at most ten minutes ahead of the clock. An invalid series is skipped.
    Prometheus3,
}

/// What happens to the other samples of a request with a sample that is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Atomicity {
    /// None is stored.
    AllOrNothing,
    /// They are stored.
    Partial,
}

/// Why a sample is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SampleError {
    OutOfOrder,
    OutOfBounds,
    Duplicate,
    TooOld,
    InvalidLabels(String),
}

/// The result of a request.
#[derive(Debug, PartialEq)]
pub(super) struct WriteResult {
    pub(super) written: usize,
    /// In the order of the request. A request that fails as a whole has one.
    pub(super) errors: Vec<SampleError>,
}

#[derive(Debug)]
pub(super) struct SampleStore {
    rules: Rules,
    /// In milliseconds; zero if samples must be in order.
    out_of_order_window: i64,
    /// Samples by time.
    series: BTreeMap<LabelMap, BTreeMap<i64, f64>>,
    /// The time of the newest sample of all series.
    newest: Option<i64>,
}

impl SampleError {
    /// Returns the text of the response.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::OutOfOrder => "out of order sample",
            Self::OutOfBounds => "out of bounds",
            Self::Duplicate => "duplicate sample for timestamp",
            Self::TooOld => "too old sample",
            Self::InvalidLabels(text) => text,
        }
    }
}

impl SampleStore {
    pub(super) const fn new(rules: Rules, out_of_order_window: i64) -> Self {
        Self { rules, out_of_order_window, series: BTreeMap::new(), newest: None }
    }

    pub(super) const fn rules(&self) -> Rules {
        self.rules
    }

    pub(super) const fn series(&self) -> &BTreeMap<LabelMap, BTreeMap<i64, f64>> {
        &self.series
    }

    pub(super) fn clear(&mut self) {
        self.series.clear();
        self.newest = None;
    }

    /// Stores the samples of a request at the time `now`.
    pub(super) fn write(
        &mut self,
        request: &[WrittenSeries],
        atomicity: Atomicity,
        now: i64,
    ) -> WriteResult {
        let first = request.iter().flat_map(|series| &series.samples).next();
        let newest = self.newest.or(first.map(|sample| sample.time)).unwrap_or(now);
        let (mut accepted, mut errors) = (Vec::new(), Vec::new());
        'request: for series in request {
            for sample in &series.samples {
                match self.check(series, *sample, newest, now) {
                    Ok(labels) => accepted.push((labels, *sample)),
                    Err(SampleError::InvalidLabels(_)) if self.skips_invalid_series(atomicity) => {}
                    Err(error) => errors.push(error),
                }
                if atomicity == Atomicity::AllOrNothing && !errors.is_empty() {
                    accepted.clear();
                    break 'request;
                }
            }
        }
        let written = accepted.len();
        accepted.into_iter().for_each(|(labels, sample)| self.store(labels, sample));
        WriteResult { written, errors }
    }

    fn skips_invalid_series(&self, atomicity: Atomicity) -> bool {
        self.rules == Rules::Prometheus3 && atomicity == Atomicity::AllOrNothing
    }

    /// Returns the labels of the series if the sample is accepted.
    fn check(
        &self,
        series: &WrittenSeries,
        sample: WrittenSample,
        newest: i64,
        now: i64,
    ) -> Result<LabelMap, SampleError> {
        let WrittenSample { time, value } = sample;
        let is_in_order_only = self.out_of_order_window == 0;
        if self.rules == Rules::Prometheus3 && time > now.saturating_add(MAX_AHEAD) {
            return Err(SampleError::OutOfBounds);
        }
        let oldest = newest.saturating_sub(MAX_AGE);
        if is_in_order_only && time < oldest {
            return Err(SampleError::OutOfBounds);
        }
        let labels = labels(series)?;
        let last = self.series.get(&labels).and_then(BTreeMap::last_key_value);
        match last {
            None if time >= oldest => return Ok(labels),
            Some((last, _)) if time >= oldest && time > *last => return Ok(labels),
            Some((last, stored)) if time >= oldest && time == *last => {
                let is_equal = stored.to_bits() == value.to_bits();
                return if is_equal { Ok(labels) } else { Err(SampleError::Duplicate) };
            }
            _ => {}
        }
        if is_in_order_only {
            return Err(SampleError::OutOfOrder);
        }
        let is_within = time >= newest.saturating_sub(self.out_of_order_window);
        if is_within { Ok(labels) } else { Err(SampleError::TooOld) }
    }

    /// Stores an accepted sample, unless an earlier one of the same request is newer or has the same time.
    fn store(&mut self, labels: LabelMap, WrittenSample { time, value }: WrittenSample) {
        self.newest = self.newest.max(Some(time));
        let samples = self.series.entry(labels).or_default();
        let is_newer = samples.last_key_value().is_none_or(|(last, _)| time > *last);
        if is_newer || (self.out_of_order_window > 0 && !samples.contains_key(&time)) {
            samples.insert(time, value);
        }
    }
}

fn labels(series: &WrittenSeries) -> Result<LabelMap, SampleError> {
    let mut names = BTreeSet::new();
    let present = series.labels.iter().filter(|(_, value)| !value.is_empty());
    if let Some((name, _)) = present.clone().find(|(name, _)| !names.insert(name)) {
        let text = format!("label name {name:?} is not unique: invalid sample");
        return Err(SampleError::InvalidLabels(text));
    }
    let labels: LabelMap = present.cloned().collect();
    if labels.is_empty() {
        return Err(SampleError::InvalidLabels("empty labelset: invalid sample".into()));
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000;
    const MINUTE: i64 = 60_000;

    fn series(name: &str, samples: &[(i64, f64)]) -> WrittenSeries {
        let labels = vec![("__name__".to_owned(), name.to_owned())];
        let samples =
            samples.iter().map(|&(time, value)| WrittenSample { time: NOW + time, value });
        WrittenSeries { labels, samples: samples.collect() }
    }

    fn store(rules: Rules, out_of_order_window: i64) -> SampleStore {
        let mut store = SampleStore::new(rules, out_of_order_window);
        assert_eq!(write(&mut store, &[series("a", &[(0, 1.0)])]), []);
        store
    }

    fn write(store: &mut SampleStore, request: &[WrittenSeries]) -> Vec<SampleError> {
        store.write(request, Atomicity::AllOrNothing, NOW).errors
    }

    /// The samples of a series, relative to `NOW`.
    fn samples(store: &SampleStore, name: &str) -> Vec<(i64, f64)> {
        let labels = [("__name__".to_owned(), name.to_owned())].into();
        let samples = store.series().get(&labels).into_iter().flatten();
        samples.map(|(time, value)| (time - NOW, *value)).collect()
    }

    #[test]
    fn samples_of_a_series_must_be_in_order() {
        use SampleError::{Duplicate, OutOfBounds, OutOfOrder};
        for (name, time, value, expected) in [
            ("a", 0, 1.0, None),
            ("a", 0, 2.0, Some(Duplicate)),
            ("a", -1, 1.0, Some(OutOfOrder)),
            ("a", 1, 1.0, None),
            ("b", -59 * MINUTE, 1.0, None),
            ("b", -61 * MINUTE, 1.0, Some(OutOfBounds)),
            ("b", 10 * MINUTE, 1.0, None),
        ] {
            let mut store = store(Rules::Prometheus2, 0);
            let errors = write(&mut store, &[series(name, &[(time, value)])]);
            assert_eq!(errors, Vec::from_iter(expected), "{name} {time} {value}");
        }
    }

    #[test]
    fn sample_from_the_future_makes_all_others_out_of_bounds() {
        let mut store = store(Rules::Prometheus2, 0);
        assert_eq!(write(&mut store, &[series("b", &[(61 * MINUTE, 1.0)])]), []);
        for name in ["a", "c"] {
            let errors = write(&mut store, &[series(name, &[(MINUTE / 2, 1.0)])]);
            assert_eq!(errors, [SampleError::OutOfBounds]);
        }
    }

    #[test]
    fn sample_from_the_future_is_refused_by_newer_rules() {
        let mut store = store(Rules::Prometheus3, 0);
        assert_eq!(write(&mut store, &[series("b", &[(10 * MINUTE, 1.0)])]), []);
        let errors = write(&mut store, &[series("b", &[(10 * MINUTE + 1, 1.0)])]);
        assert_eq!(errors, [SampleError::OutOfBounds]);
    }

    #[test]
    fn request_with_a_refused_sample_stores_nothing() {
        let mut store = store(Rules::Prometheus2, 0);
        let request = [series("b", &[(1, 1.0)]), series("a", &[(-1, 1.0)])];
        assert_eq!(write(&mut store, &request), [SampleError::OutOfOrder]);
        assert_eq!(samples(&store, "b"), []);
        let result = store.write(&request, Atomicity::Partial, NOW);
        assert_eq!((result.written, result.errors.len()), (1, 1));
        assert_eq!(samples(&store, "b"), [(1, 1.0)]);
    }

    #[test]
    fn samples_of_one_request_are_checked_against_earlier_requests() {
        let mut store = store(Rules::Prometheus2, 0);
        assert_eq!(write(&mut store, &[series("b", &[(5, 1.0), (4, 2.0)])]), []);
        assert_eq!(write(&mut store, &[series("c", &[(5, 1.0), (5, 2.0)])]), []);
        assert_eq!((samples(&store, "b"), samples(&store, "c")), (vec![(5, 1.0)], vec![(5, 1.0)]));
    }

    #[test]
    fn out_of_order_samples_are_accepted_within_the_window() {
        let mut store = store(Rules::Prometheus2, 120 * MINUTE);
        let times = [-119 * MINUTE, -MINUTE, -MINUTE];
        for time in times {
            assert_eq!(write(&mut store, &[series("a", &[(time, 1.0)])]), []);
        }
        let errors = write(&mut store, &[series("a", &[(-121 * MINUTE, 1.0)])]);
        assert_eq!(errors, [SampleError::TooOld]);
        let expected = [(-119 * MINUTE, 1.0), (-MINUTE, 1.0), (0, 1.0)];
        assert_eq!(samples(&store, "a"), expected);
    }

    #[test]
    fn repeated_label_fails_the_request_or_is_skipped() {
        let mut repeated = series("b", &[(1, 1.0)]);
        repeated.labels.extend([("job".into(), "x".into()), ("job".into(), "y".into())]);
        let request = [repeated, series("c", &[(1, 1.0)])];
        let mut old = store(Rules::Prometheus2, 0);
        let text = "label name \"job\" is not unique: invalid sample".to_owned();
        assert_eq!(write(&mut old, &request), [SampleError::InvalidLabels(text)]);
        let mut new = store(Rules::Prometheus3, 0);
        assert_eq!((write(&mut new, &request), samples(&new, "c").len()), (vec![], 1));
    }
}
