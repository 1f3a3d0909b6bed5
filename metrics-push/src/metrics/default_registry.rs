//! Functions that create metrics in the `prometheus` crate's default registry.

use std::sync::LazyLock;

use prometheus::default_registry;

use super::counter::Counter;
use super::factory::MetricFactory;
use super::family::MetricVec;
use super::gauge::Gauge;
use super::histogram::Histogram;
use crate::error::Error;

/// The factory for the default registry.
pub(crate) static DEFAULT_FACTORY: LazyLock<MetricFactory> =
    LazyLock::new(|| MetricFactory::with(default_registry()));

/// Returns a counter in the default registry.
///
/// Creates and registers it on the first call; see [`MetricFactory::counter`].
///
/// # Errors
/// As [`MetricFactory::counter`].
#[track_caller]
pub fn counter(name: &str, help: &str) -> Result<Counter, Error> {
    DEFAULT_FACTORY.counter(name, help)
}

/// Returns a counter with labels in the default registry.
///
/// Creates and registers it on the first call; see [`MetricFactory::counter_vec`].
///
/// # Errors
/// As [`MetricFactory::counter_vec`].
#[track_caller]
pub fn counter_vec<const N: usize>(
    name: &str,
    help: &str,
    labels: &[&str; N],
) -> Result<MetricVec<Counter, N>, Error> {
    DEFAULT_FACTORY.counter_vec(name, help, labels)
}

/// Returns a gauge in the default registry.
///
/// Creates and registers it on the first call; see [`MetricFactory::gauge`].
///
/// # Errors
/// As [`MetricFactory::gauge`].
#[track_caller]
pub fn gauge(name: &str, help: &str) -> Result<Gauge, Error> {
    DEFAULT_FACTORY.gauge(name, help)
}

/// Returns a gauge with labels in the default registry.
///
/// Creates and registers it on the first call; see [`MetricFactory::gauge_vec`].
///
/// # Errors
/// As [`MetricFactory::gauge_vec`].
#[track_caller]
pub fn gauge_vec<const N: usize>(
    name: &str,
    help: &str,
    labels: &[&str; N],
) -> Result<MetricVec<Gauge, N>, Error> {
    DEFAULT_FACTORY.gauge_vec(name, help, labels)
}

/// Returns a histogram in the default registry with [`DEFAULT_BUCKETS`](crate::DEFAULT_BUCKETS).
///
/// Creates and registers it on the first call; see [`MetricFactory::histogram`].
///
/// # Errors
/// As [`MetricFactory::histogram`].
#[track_caller]
pub fn histogram(name: &str, help: &str) -> Result<Histogram, Error> {
    DEFAULT_FACTORY.histogram(name, help)
}

/// Returns a histogram with labels in the default registry with [`DEFAULT_BUCKETS`](crate::DEFAULT_BUCKETS).
///
/// Creates and registers it on the first call; see [`MetricFactory::histogram_vec`].
///
/// # Errors
/// As [`MetricFactory::histogram_vec`].
#[track_caller]
pub fn histogram_vec<const N: usize>(
    name: &str,
    help: &str,
    labels: &[&str; N],
) -> Result<MetricVec<Histogram, N>, Error> {
    DEFAULT_FACTORY.histogram_vec(name, help, labels)
}

/// Returns a histogram in the default registry whose buckets have these upper bounds.
///
/// Creates and registers it on the first call; see [`MetricFactory::histogram_with_buckets`].
///
/// # Errors
/// As [`MetricFactory::histogram_with_buckets`].
#[track_caller]
pub fn histogram_with_buckets(name: &str, help: &str, buckets: &[f64]) -> Result<Histogram, Error> {
    DEFAULT_FACTORY.histogram_with_buckets(name, help, buckets)
}

/// Returns a histogram with labels in the default registry whose buckets have these upper bounds.
///
/// Creates and registers it on the first call; see [`MetricFactory::histogram_vec_with_buckets`].
///
/// # Errors
/// As [`MetricFactory::histogram_vec_with_buckets`].
#[track_caller]
pub fn histogram_vec_with_buckets<const N: usize>(
    name: &str,
    help: &str,
    buckets: &[f64],
    labels: &[&str; N],
) -> Result<MetricVec<Histogram, N>, Error> {
    DEFAULT_FACTORY.histogram_vec_with_buckets(name, help, buckets, labels)
}
