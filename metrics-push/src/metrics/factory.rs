//! `MetricFactory`: creates and registers metrics, or returns those that are already registered.

use std::fmt;
use std::sync::{Arc, OnceLock};

use prometheus::Registry;

use super::call_site::CallSite;
use super::counter::Counter;
use super::family::{Family, FamilyCollector, MetricKind, MetricVec};
use super::gather::{is_gathering, wait_until_unlocked};
use super::gauge::Gauge;
use super::histogram::{BucketBounds, DEFAULT_BUCKETS, Histogram};
use super::registry_index::RegistryIndex;
use super::spec::MetricSpec;
use crate::error::{Error, Kind};

/// Creates metrics and registers them in one registry.
///
/// If any factory for the same registry has already created a metric, the methods return that metric. Clones of a
/// [`Registry`] are the same registry.
///
/// The existing metric must have the requested type, labels, help text and buckets. Otherwise the methods return an
/// error that contains both call sites. They also return an error if the name was registered through the
/// `prometheus` crate.
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
    /// Where the caller has stored the registry. A static one is found by it while it is gathered.
    address: usize,
    index: OnceLock<Arc<RegistryIndex>>,
}

impl MetricFactory {
    /// Returns a factory that registers metrics in `registry`.
    #[must_use]
    pub fn with(registry: &Registry) -> Self {
        let address = std::ptr::from_ref(registry).addr();
        Self { registry: registry.clone(), address, index: OnceLock::new() }
    }

    /// Returns a counter.
    ///
    /// # Errors
    /// `is_metric` if the name is invalid or belongs to another metric, if `help` is empty, or if a collector of the
    /// registry calls this while the registry is gathered.
    #[track_caller]
    pub fn counter(&self, name: &str, help: &str) -> Result<Counter, Error> {
        self.metric(name, help, (), CallSite::caller())
    }

    /// Returns a counter with labels.
    ///
    /// # Errors
    /// As [`counter`](Self::counter), and if a label name is invalid or repeated.
    #[track_caller]
    pub fn counter_vec<const N: usize>(
        &self,
        name: &str,
        help: &str,
        labels: &[&str; N],
    ) -> Result<MetricVec<Counter, N>, Error> {
        self.metric_vec(name, help, labels, (), CallSite::caller())
    }

    /// Returns a gauge.
    ///
    /// # Errors
    /// As [`counter`](Self::counter).
    #[track_caller]
    pub fn gauge(&self, name: &str, help: &str) -> Result<Gauge, Error> {
        self.metric(name, help, (), CallSite::caller())
    }

    /// Returns a gauge with labels.
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
        self.metric_vec(name, help, labels, (), CallSite::caller())
    }

    /// Returns a histogram with [`DEFAULT_BUCKETS`].
    ///
    /// # Errors
    /// As [`counter`](Self::counter).
    #[track_caller]
    pub fn histogram(&self, name: &str, help: &str) -> Result<Histogram, Error> {
        self.histogram_with_buckets(name, help, DEFAULT_BUCKETS)
    }

    /// Returns a histogram with [`DEFAULT_BUCKETS`] and labels.
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

    /// Returns a histogram whose buckets have these upper bounds.
    ///
    /// # Errors
    /// As [`counter`](Self::counter), and if the bounds are empty, not finite or not increasing.
    #[track_caller]
    pub fn histogram_with_buckets(
        &self,
        name: &str,
        help: &str,
        buckets: &[f64],
    ) -> Result<Histogram, Error> {
        let call_site = CallSite::caller();
        self.metric(name, help, bucket_bounds(name, buckets, call_site)?, call_site)
    }

    /// Returns a histogram with labels whose buckets have these upper bounds.
    ///
    /// # Errors
    /// As [`counter_vec`](Self::counter_vec), and if the bounds are empty, not finite or not increasing.
    #[track_caller]
    pub fn histogram_vec_with_buckets<const N: usize>(
        &self,
        name: &str,
        help: &str,
        buckets: &[f64],
        labels: &[&str; N],
    ) -> Result<MetricVec<Histogram, N>, Error> {
        let call_site = CallSite::caller();
        let bounds = bucket_bounds(name, buckets, call_site)?;
        self.metric_vec(name, help, labels, bounds, call_site)
    }

    fn metric<K: MetricKind>(
        &self,
        name: &str,
        help: &str,
        opts: K::Opts,
        call_site: CallSite,
    ) -> Result<K, Error> {
        let family = self.family::<K>(&MetricSpec { name, help, labels: &[], opts, call_site })?;
        Ok(family.series(std::iter::empty()))
    }

    fn metric_vec<K: MetricKind, const N: usize>(
        &self,
        name: &str,
        help: &str,
        labels: &[&str; N],
        opts: K::Opts,
        call_site: CallSite,
    ) -> Result<MetricVec<K, N>, Error> {
        self.family(&MetricSpec { name, help, labels, opts, call_site }).map(MetricVec)
    }

    /// Returns the family that matches `spec`. Creates and registers it if necessary.
    pub(crate) fn family<K: MetricKind>(
        &self,
        spec: &MetricSpec<'_, K>,
    ) -> Result<Arc<Family<K>>, Error> {
        spec.validate()?;
        if is_gathering() {
            let what = format!("cannot register metric {:?} while gathering", spec.name);
            return Err(Error::new(Kind::Metric, what)
                .at("requested", spec.call_site)
                .remedy("create it before the registry is gathered, not in a collector"));
        }
        if !wait_until_unlocked(self.address) {
            let what = format!("cannot register metric {:?} while a collector hangs", spec.name);
            return Err(Error::new(Kind::Metric, what)
                .at("requested", spec.call_site)
                .remedy("return values from collectors that the program has stored before"));
        }
        // Locked until the family is registered, so that concurrent callers get the same family.
        let mut index = self.index()?.lock();
        if let Some(registered) = index.get(spec.name) {
            let family = spec.matching(registered)?;
            // Registers the family again if it was unregistered. Fails otherwise, because it is still registered.
            let _ = self.registry.register(Box::new(FamilyCollector(Arc::clone(&family))));
            return Ok(family);
        }
        let family = spec.register_in(&self.registry)?;
        index.insert(spec.name.to_owned(), Arc::clone(&family).into());
        Ok(family)
    }

    /// Returns the index of the registry, which is looked up once.
    fn index(&self) -> Result<&RegistryIndex, Error> {
        if let Some(index) = self.index.get() {
            return Ok(index);
        }
        let index = RegistryIndex::get_or_create(&self.registry)?;
        Ok(self.index.get_or_init(|| index))
    }
}

impl fmt::Debug for MetricFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricFactory").field("registry", &self.registry).finish_non_exhaustive()
    }
}

fn bucket_bounds(name: &str, bounds: &[f64], call_site: CallSite) -> Result<BucketBounds, Error> {
    BucketBounds::new(bounds).ok_or_else(|| {
        Error::new(Kind::Metric, format!("invalid buckets {bounds:?} for histogram {name:?}"))
            .at("requested", call_site)
            .remedy("list at least one upper bound, all finite and increasing")
    })
}
