//! `Message`: a message of one version of the protocol, to which series are added one by one.

use super::time_series::{SeriesFamily, TimeSeries};
use crate::sink::sample_times::RequestTimes;

pub(super) trait Message: Default {
    /// Adds a series, with the value before the run first. Receivers need the samples in the order of their times.
    fn add(&mut self, family: &SeriesFamily<'_>, series: &TimeSeries<'_, '_>, times: RequestTimes);

    /// Returns the approximate size in bytes.
    fn size(&self) -> usize;

    fn finish(self) -> Vec<u8>;
}

/// Returns the samples of a series with their times, oldest first.
pub(super) fn samples(
    series: &TimeSeries<'_, '_>,
    times: RequestTimes,
) -> impl Iterator<Item = (f64, u64)> {
    series.value_before.zip(times.before_run()).into_iter().chain([(series.value, times.time)])
}

/// Adds all series of a family.
#[cfg(test)]
pub(super) fn add_all(message: &mut impl Message, family: &SeriesFamily<'_>, times: RequestTimes) {
    let mut reader = family.reader();
    while let Some(series) = reader.next() {
        message.add(family, &series.unwrap(), times);
    }
}
