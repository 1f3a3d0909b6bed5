//! Get-or-register: the same metric can be asked for anywhere.

use std::fmt;
use std::sync::{Arc, OnceLock};

use super::counter::Counter;
use super::family::{Family, Kind, Labelled, Registered, Sealed};
use super::gauge::Gauge;
use super::histogram::{Bounds, DEFAULT_BUCKETS, Histogram};
use super::marker::{Entries, entries_of, is_gathering};
use super::origin::Origin;
use super::request::{Entry, Request};
use super::{Registry, default_registry};
use crate::error::{Error, Kind as ErrorKind};

/// The metrics of one registry, to get or to register.
///
/// Asking twice for the same metric gives the same metric; asking for it with another type, other labels,
/// another help text or other buckets is an error that names both places, and so is a name that was
/// registered through the `prometheus` crate itself.
///
/// ```
/// # fn main() -> Result<(), metrics_push::Error> {
/// use metrics_push::{Catalog, prometheus::Registry};
///
/// let registry = Registry::new();
/// let orders = Catalog::of(&registry)?.counter("orders_total", "Orders.")?;
/// orders.inc();
/// assert_eq!(Catalog::of(&registry)?.counter("orders_total", "Orders.")?.get(), 1);
/// assert_eq!(registry.gather().len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Catalog {
    registry: Registry,
    entries: Arc<Entries>,
}

impl Catalog {
    /// The catalog of this registry. Clones of a registry are the same registry.
    ///
    /// # Errors
    /// `is_metric`, if this thread is just gathering: a registry can't be changed by its own collectors.
    pub fn of(registry: &Registry) -> Result<Self, Error> {
        refuse_while_gathering()?;
        Ok(Self { registry: registry.clone(), entries: entries_of(registry)? })
    }

    /// The catalog of the process-wide registry, which the `prometheus` crate's macros use.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub fn process_wide() -> Result<Self, Error> {
        // That registry never goes, so its entries need not be searched for twice.
        static CATALOG: OnceLock<Catalog> = OnceLock::new();
        refuse_while_gathering()?;
        if let Some(catalog) = CATALOG.get() {
            return Ok(catalog.clone());
        }
        let catalog = Self::of(default_registry())?;
        Ok(CATALOG.get_or_init(|| catalog).clone())
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
    pub fn counter_with<const N: usize>(
        &self,
        name: &str,
        help: &str,
        labels: &[&str; N],
    ) -> Result<Labelled<Counter, N>, Error> {
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
    /// As [`counter_with`](Self::counter_with).
    #[track_caller]
    pub fn gauge_with<const N: usize>(
        &self,
        name: &str,
        help: &str,
        labels: &[&str; N],
    ) -> Result<Labelled<Gauge, N>, Error> {
        self.labelled(name, help, labels, (), Origin::caller())
    }

    /// A histogram with [`DEFAULT_BUCKETS`].
    ///
    /// # Errors
    /// As [`counter`](Self::counter).
    #[track_caller]
    pub fn histogram(&self, name: &str, help: &str) -> Result<Histogram, Error> {
        self.histogram_in(name, help, DEFAULT_BUCKETS)
    }

    /// A histogram with [`DEFAULT_BUCKETS`] and labels.
    ///
    /// # Errors
    /// As [`counter_with`](Self::counter_with).
    #[track_caller]
    pub fn histogram_with<const N: usize>(
        &self,
        name: &str,
        help: &str,
        labels: &[&str; N],
    ) -> Result<Labelled<Histogram, N>, Error> {
        self.histogram_in_with(name, help, DEFAULT_BUCKETS, labels)
    }

    /// A histogram in buckets with these upper bounds.
    ///
    /// # Errors
    /// As [`counter`](Self::counter), and if the bounds aren't finite and increasing.
    #[track_caller]
    pub fn histogram_in(
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
    /// As [`counter_with`](Self::counter_with), and if the bounds aren't finite and increasing.
    #[track_caller]
    pub fn histogram_in_with<const N: usize>(
        &self,
        name: &str,
        help: &str,
        buckets: &[f64],
        labels: &[&str; N],
    ) -> Result<Labelled<Histogram, N>, Error> {
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
    ) -> Result<Labelled<S, N>, Error> {
        self.family(&Request { name, help, labels, shape, origin }).map(Labelled)
    }

    /// The family that was asked for: the one that is there, or a new one.
    pub(crate) fn family<S: Sealed>(
        &self,
        request: &Request<'_, S>,
    ) -> Result<Arc<Family<S>>, Error> {
        request.check()?;
        // Held while registering, so that of two threads asking at once one gets the other's metric.
        let mut entries = self.entries.lock();
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

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.entries.lock().keys()).finish()
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
