//! `Message`: a message of one version of the protocol, to which series are added one by one.

use super::time_series::{SeriesFamily, TimeSeries};
use crate::sink::sample_times::RequestTimes;

pub(super) trait Message: Default {
    fn add(&mut self, family: &SeriesFamily<'_>, series: &TimeSeries<'_>, times: RequestTimes);

    /// Returns the approximate size in bytes.
    fn size(&self) -> usize;

    fn finish(self) -> Vec<u8>;
}
