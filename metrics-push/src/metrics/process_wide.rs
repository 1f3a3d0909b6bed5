//! The metrics of the process-wide registry, in one call each.

use super::counter::Counter;
use super::family::Labelled;
use super::gauge::Gauge;
use super::histogram::Histogram;
use super::registry::Catalog;
use crate::error::Error;

/// A counter in the process-wide registry: [`Catalog::counter`].
///
/// # Errors
/// As [`Catalog::counter`].
#[track_caller]
pub fn counter(name: &str, help: &str) -> Result<Counter, Error> {
    Catalog::process_wide()?.counter(name, help)
}

/// A counter with labels in the process-wide registry: [`Catalog::counter_with`].
///
/// # Errors
/// As [`Catalog::counter_with`].
#[track_caller]
pub fn counter_with<const N: usize>(
    name: &str,
    help: &str,
    labels: &[&str; N],
) -> Result<Labelled<Counter, N>, Error> {
    Catalog::process_wide()?.counter_with(name, help, labels)
}

/// A gauge in the process-wide registry: [`Catalog::gauge`].
///
/// # Errors
/// As [`Catalog::gauge`].
#[track_caller]
pub fn gauge(name: &str, help: &str) -> Result<Gauge, Error> {
    Catalog::process_wide()?.gauge(name, help)
}

/// A gauge with labels in the process-wide registry: [`Catalog::gauge_with`].
///
/// # Errors
/// As [`Catalog::gauge_with`].
#[track_caller]
pub fn gauge_with<const N: usize>(
    name: &str,
    help: &str,
    labels: &[&str; N],
) -> Result<Labelled<Gauge, N>, Error> {
    Catalog::process_wide()?.gauge_with(name, help, labels)
}

/// A histogram in the process-wide registry with [`DEFAULT_BUCKETS`](crate::DEFAULT_BUCKETS): [`Catalog::histogram`].
///
/// # Errors
/// As [`Catalog::histogram`].
#[track_caller]
pub fn histogram(name: &str, help: &str) -> Result<Histogram, Error> {
    Catalog::process_wide()?.histogram(name, help)
}

/// A histogram with labels in the process-wide registry with [`DEFAULT_BUCKETS`](crate::DEFAULT_BUCKETS): [`Catalog::histogram_with`].
///
/// # Errors
/// As [`Catalog::histogram_with`].
#[track_caller]
pub fn histogram_with<const N: usize>(
    name: &str,
    help: &str,
    labels: &[&str; N],
) -> Result<Labelled<Histogram, N>, Error> {
    Catalog::process_wide()?.histogram_with(name, help, labels)
}

/// A histogram in these buckets in the process-wide registry: [`Catalog::histogram_in`].
///
/// # Errors
/// As [`Catalog::histogram_in`].
#[track_caller]
pub fn histogram_in(name: &str, help: &str, buckets: &[f64]) -> Result<Histogram, Error> {
    Catalog::process_wide()?.histogram_in(name, help, buckets)
}

/// A histogram in these buckets with labels in the process-wide registry: [`Catalog::histogram_in_with`].
///
/// # Errors
/// As [`Catalog::histogram_in_with`].
#[track_caller]
pub fn histogram_in_with<const N: usize>(
    name: &str,
    help: &str,
    buckets: &[f64],
    labels: &[&str; N],
) -> Result<Labelled<Histogram, N>, Error> {
    Catalog::process_wide()?.histogram_in_with(name, help, buckets, labels)
}
