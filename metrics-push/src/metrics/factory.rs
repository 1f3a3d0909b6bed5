//! `MetricFactory`: creates metrics and registers them, or returns the ones that are already registered.

use std::fmt;
use std::sync::{Arc, OnceLock};

use super::Registry;
use super::counter::Counter;
use super::family::{Family, Kind, MetricVec, Registered, Sealed};
use super::gauge::Gauge;
use super::histogram::{Bounds, DEFAULT_BUCKETS, Histogram};
use super::marker::{Entries, entries_of, is_gathering};
use super::origin::Origin;
use super::request::{Entry, Request};
use crate::error::{Error, Kind as ErrorKind};

/// Creates metrics and registers them in one registry.
///
/// A metric that this crate has already registered there is returned instead of created, also by another factory for
/// the same registry. Clones of a [`Registry`] are the same registry.
///
/// Every method returns an error that names both places in the source if the registered metric has another type, other
/// labels, another help text or other buckets, or if the name was registered through the `prometheus` crate.
///
/// ```
/// # fn main() -> Result<(), metrics_push::Error> {
/// use metrics_push::{MetricFactory, prometheus::Registry};
///
/// let registry = Registry::new();
/// let orders = MetricFactory::with(&registry).counter("orders_total", "Orders.")?;
/// orders.inc();
/// assert_eq!(MetricFactory::with(&registry).counter("orders_total", "Orders.")?.get(), 1);
/// assert_eq!(registry.gather().len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct MetricFactory {
    registry: Registry,
    entries: OnceLock<Arc<Entries>>,
}

impl MetricFactory {
    /// Returns a factory that registers metrics in `registry`.
    #[must_use]
    pub fn with(registry: &Registry) -> Self {
        Self { registry: registry.clone(), entries: OnceLock::new() }
    }

    /// A counter.
    ///
    /// # Errors
    /// `is_metric`, if the name is taken by something else or not allowed.
    #[track_caller]
    pub fn counter(&self, name: &str, help: &str) -> Result<Counter, Error> {
        self.single(name, help, (), Origin::caller())
    }

    /// A counter with labels.
    ///
    /// # Errors
    /// `is_metric`, if the name is taken by something else, or one of the names is not allowed.
    #[track_caller]
    pub fn counter_vec<const N: usize>(
        &self,
        name: &str,
        help: &str,
        labels: &[&str; N],
    ) -> Result<MetricVec<Counter, N>, Error> {
        self.labelled(name, help, labels, (), Origin::caller())
    }

    /// A gauge.
    ///
    /// # Errors
    /// As [`counter`](Self::counter).
    #[track_caller]
    pub fn gauge(&self, name: &str, help: &str) -> Result<Gauge, Error> {
        self.single(name, help, (), Origin::caller())
    }

    /// A gauge with labels.
    ///
    /// # Errors
    /// As [`counter_vec`](Self::counter_vec).
    #[track_caller]
    pub fn gauge_vec<const N: usize>(
        &self,
        name: &str,
        help: &str,
        labels: &[&str; N],
    ) -> Result<MetricVec<Gauge, N>, Error> {
        self.labelled(name, help, labels, (), Origin::caller())
    }

    /// A histogram with [`DEFAULT_BUCKETS`].
    ///
    /// # Errors
    /// As [`counter`](Self::counter).
    #[track_caller]
    pub fn histogram(&self, name: &str, help: &str) -> Result<Histogram, Error> {
        self.histogram_with_buckets(name, help, DEFAULT_BUCKETS)
    }

    /// A histogram with [`DEFAULT_BUCKETS`] and labels.
    ///
    /// # Errors
    /// As [`counter_vec`](Self::counter_vec).
    #[track_caller]
    pub fn histogram_vec<const N: usize>(
        &self,
        name: &str,
        help: &str,
        labels: &[&str; N],
    ) -> Result<MetricVec<Histogram, N>, Error> {
        self.histogram_vec_with_buckets(name, help, DEFAULT_BUCKETS, labels)
    }

    /// A histogram in buckets with these upper bounds.
    ///
    /// # Errors
    /// As [`counter`](Self::counter), and if the bounds aren't finite and increasing.
    #[track_caller]
    pub fn histogram_with_buckets(
        &self,
        name: &str,
        help: &str,
        buckets: &[f64],
    ) -> Result<Histogram, Error> {
        let origin = Origin::caller();
        self.single(name, help, checked(name, buckets, origin)?, origin)
    }

    /// A histogram in buckets with these upper bounds, with labels.
    ///
    /// # Errors
    /// As [`counter_vec`](Self::counter_vec), and if the bounds aren't finite and increasing.
    #[track_caller]
    pub fn histogram_vec_with_buckets<const N: usize>(
        &self,
        name: &str,
        help: &str,
        buckets: &[f64],
        labels: &[&str; N],
    ) -> Result<MetricVec<Histogram, N>, Error> {
        let origin = Origin::caller();
        self.labelled(name, help, labels, checked(name, buckets, origin)?, origin)
    }

    fn single<S: Kind>(
        &self,
        name: &str,
        help: &str,
        shape: S::Shape,
        origin: Origin,
    ) -> Result<S, Error> {
        let family = self.family::<S>(&Request { name, help, labels: &[], shape, origin })?;
        Ok(family.series(std::iter::empty()))
    }

    fn labelled<S: Kind, const N: usize>(
        &self,
        name: &str,
        help: &str,
        labels: &[&str; N],
        shape: S::Shape,
        origin: Origin,
    ) -> Result<MetricVec<S, N>, Error> {
        self.family(&Request { name, help, labels, shape, origin }).map(MetricVec)
    }

    fn entries(&self) -> Result<&Entries, Error> {
        if let Some(entries) = self.entries.get() {
            return Ok(entries);
        }
        let entries = entries_of(&self.registry)?;
        Ok(self.entries.get_or_init(|| entries))
    }

    /// The family that was asked for: the one that is there, or a new one.
    pub(crate) fn family<S: Sealed>(
        &self,
        request: &Request<'_, S>,
    ) -> Result<Arc<Family<S>>, Error> {
        request.check()?;
        refuse_while_gathering()?;
        // Held while registering, so that of two threads asking at once one gets the other's metric.
        let mut entries = self.entries()?.lock();
        if let Some(entry) = entries.get(request.name) {
            let family = request.agree(entry)?;
            // Whoever unregistered it gets it back; otherwise this says that it is there already.
            let _ = self.registry.register(Box::new(Registered(Arc::clone(&family))));
            return Ok(family);
        }
        let family = request.register_in(&self.registry)?;
        entries.insert(request.name.to_owned(), Entry::of(&family));
        Ok(family)
    }
}

impl fmt::Debug for MetricFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricFactory").field("registry", &self.registry).finish_non_exhaustive()
    }
}

fn refuse_while_gathering() -> Result<(), Error> {
    if is_gathering() {
        return Err(Error::new(ErrorKind::Metric, "a metric is asked for while gathering")
            .remedy("register metrics before a collector of the same registry runs"));
    }
    Ok(())
}

fn checked(name: &str, buckets: &[f64], origin: Origin) -> Result<Bounds, Error> {
    Bounds::checked(buckets).ok_or_else(|| {
        Error::new(ErrorKind::Metric, format!("histogram {name:?} has the buckets {buckets:?}"))
            .at("asked for", origin)
            .remedy("give at least one upper bound, all finite and increasing")
    })
}
