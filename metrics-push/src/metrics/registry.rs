//! Get-or-register: the same metric can be asked for anywhere, and a clash names both places.
//!
//! A `prometheus` registry can neither be asked for what it holds nor be told from another. So each one gets
//! a marker, registered under a name of ours, that owns the registry's catalog: taking the marker out and
//! putting it back finds the catalog, and it goes when the registry goes. Cold paths only.

use std::any::Any;
use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use super::counter::Counter;
use super::family::{Family, Kind, Labelled, Registered, Sealed};
use super::gauge::Gauge;
use super::histogram::{Bounds, DEFAULT_BUCKETS, Histogram};
use super::origin::Origin;
use super::proto::MetricFamily;
use super::{Collector, Desc, Registry};
use crate::error::{Error, Kind as ErrorKind};
use crate::labels::{check_label_name, is_metric_name};

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

/// What the marker owns: everything registered through us.
#[derive(Default)]
struct Entries(Mutex<HashMap<String, Entry>>);

#[derive(Clone)]
struct Entry {
    kind: &'static str,
    origin: Origin,
    family: Arc<dyn Any + Send + Sync>,
}

/// What a metric is to be.
pub(crate) struct Request<'a, S: Sealed> {
    pub(crate) name: &'a str,
    pub(crate) help: &'a str,
    pub(crate) labels: &'a [&'a str],
    pub(crate) shape: S::Shape,
    pub(crate) origin: Origin,
}

impl Catalog {
    /// The catalog of this registry. Clones of a registry are the same registry.
    ///
    /// # Errors
    /// `is_metric`, if this thread is just gathering: a registry can't be changed by its own collectors.
    pub fn of(registry: &Registry) -> Result<Self, Error> {
        if is_gathering() {
            return Err(Error::new(ErrorKind::Metric, "a metric is asked for while gathering")
                .remedy("register metrics before a collector of the same registry runs"));
        }
        Ok(Self { registry: registry.clone(), entries: entries_of(registry)? })
    }

    /// The catalog of the process-wide registry, which the `prometheus` crate's macros use.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub fn process_wide() -> Result<Self, Error> {
        Self::of(prometheus::default_registry())
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
        let mut entries = lock(&self.entries.0);
        if let Some(entry) = entries.get(request.name) {
            let family = request.agree(entry)?;
            // Whoever unregistered it gets it back; otherwise this says that it is there already.
            let _ = self.registry.register(Box::new(Registered(Arc::clone(&family))));
            return Ok(family);
        }
        let family = request.register_in(&self.registry)?;
        let entry = Entry { kind: S::KIND, origin: family.origin, family: family.clone() };
        entries.insert(family.desc.fq_name.clone(), entry);
        Ok(family)
    }
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(lock(&self.entries.0).keys()).finish()
    }
}

fn checked(name: &str, buckets: &[f64], origin: Origin) -> Result<Bounds, Error> {
    Bounds::checked(buckets).ok_or_else(|| {
        Error::new(ErrorKind::Metric, format!("histogram {name:?} has the buckets {buckets:?}"))
            .at("asked for", origin)
            .remedy("give at least one upper bound, all finite and increasing")
    })
}

impl<S: Sealed> Request<'_, S> {
    fn check(&self) -> Result<(), Error> {
        let here = |error: Error| error.at("asked for", self.origin);
        if !is_metric_name(self.name) {
            let what = format!("metric name {:?} is not allowed", self.name);
            return Err(here(Error::new(ErrorKind::Metric, what))
                .remedy("use letters, digits, underscores and colons, not starting with a digit"));
        }
        for (position, label) in self.labels.iter().enumerate() {
            check_label_name(label).map_err(here)?;
            if *label == "le" && S::KIND == Histogram::KIND {
                let what = format!("histogram {:?} has a label \"le\"", self.name);
                return Err(here(Error::new(ErrorKind::Metric, what))
                    .remedy("name it differently: buckets carry their bound in it"));
            }
            if self.labels[..position].contains(label) {
                let what = format!("metric {:?} has the label {label:?} twice", self.name);
                return Err(here(Error::new(ErrorKind::Metric, what)).remedy("name each once"));
            }
        }
        Ok(())
    }

    /// The family that is there, if it is what was asked for.
    fn agree(&self, entry: &Entry) -> Result<Arc<Family<S>>, Error> {
        let Ok(family) = Arc::clone(&entry.family).downcast::<Family<S>>() else {
            let what = format!("a {}, and it is a {}", S::KIND, entry.kind);
            return Err(self.clash(&what, entry.origin));
        };
        let clash = |what: &dyn fmt::Display, asked: &dyn fmt::Debug, has: &dyn fmt::Debug| {
            let what = format!("a {} with the {what} {asked:?}, and it has {has:?}", S::KIND);
            Err(self.clash(&what, entry.origin))
        };
        let Desc { variable_labels, help, .. } = &family.desc;
        if self.labels != variable_labels.as_slice() {
            return clash(&"labels", &self.labels, variable_labels);
        }
        if self.shape != family.shape {
            return clash(&"buckets", &self.shape, &family.shape);
        }
        if self.help != help {
            return clash(&"help", &self.help, help);
        }
        Ok(family)
    }

    fn clash(&self, what: &str, first: impl fmt::Display) -> Error {
        let what = format!("metric {:?} is asked for as {what}", self.name);
        Error::new(ErrorKind::Metric, what)
            .at("asked for", self.origin)
            .at("first", first)
            .remedy("give one of them another name, or ask for the same in both places")
    }

    fn register_in(&self, registry: &Registry) -> Result<Arc<Family<S>>, Error> {
        let Self { name, help, labels, shape, origin } = self;
        let family = Family::new(name, help, labels, shape.clone(), *origin).map_err(|cause| {
            Error::new(ErrorKind::Metric, format!("metric {name:?} can't be made"))
                .at("asked for", origin)
                .caused_by(cause)
        })?;
        let family = Arc::new(family);
        let registered = registry.register(Box::new(Registered(Arc::clone(&family))));
        registered.map_err(|cause| {
            let what = format!("a {}, and the name is taken", S::KIND);
            self.clash(&what, "elsewhere, through the prometheus crate").caused_by(cause)
        })?;
        Ok(family)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Registered in each registry that has a catalog; gathers nothing.
struct Marker {
    entries: Arc<Entries>,
}

/// Equal to the marker, as registries compare; used to take it out.
struct Likeness;

static MARKER: LazyLock<Result<Desc, prometheus::Error>> = LazyLock::new(|| {
    // The address tells several copies of this crate in one process apart.
    let name = format!("metrics_push_catalog_{:x}", (&raw const SEARCH).addr());
    Desc::new(name, "Gathers nothing.".to_owned(), Vec::new(), HashMap::new())
});

/// Held while a marker is out of its registry.
static SEARCH: Mutex<()> = Mutex::new(());

/// What the marker that was taken out owned.
static FOUND: Mutex<Option<Arc<Entries>>> = Mutex::new(None);

thread_local! {
    static SEARCHING: Cell<bool> = const { Cell::new(false) };
    static GATHERING: Cell<bool> = const { Cell::new(false) };
}

impl Drop for Marker {
    fn drop(&mut self) {
        // Otherwise the registry is going, and the catalog with it.
        if SEARCHING.get() {
            *lock(&FOUND) = Some(Arc::clone(&self.entries));
        }
    }
}

impl Collector for Marker {
    fn desc(&self) -> Vec<&Desc> {
        Likeness.marker_desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        Vec::new()
    }
}

impl Collector for Likeness {
    fn desc(&self) -> Vec<&Desc> {
        self.marker_desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        Vec::new()
    }
}

impl Likeness {
    fn marker_desc(&self) -> Vec<&'static Desc> {
        MARKER.iter().collect()
    }
}

fn entries_of(registry: &Registry) -> Result<Arc<Entries>, Error> {
    let _one_at_a_time = lock(&SEARCH);
    SEARCHING.set(true);
    // Fails if there is no marker, which says the same as finding nothing.
    let _ = registry.unregister(Box::new(Likeness));
    SEARCHING.set(false);
    let entries = lock(&FOUND).take().unwrap_or_default();
    registry.register(Box::new(Marker { entries: Arc::clone(&entries) })).map_err(|cause| {
        Error::new(ErrorKind::Metric, "the registry takes no metrics").caused_by(cause)
    })?;
    Ok(entries)
}

/// Gathers, and lets nobody on this thread wait for the registry meanwhile.
pub(super) fn gather(registry: &Registry) -> Vec<MetricFamily> {
    struct Gathering(bool);
    impl Drop for Gathering {
        fn drop(&mut self) {
            GATHERING.set(self.0);
        }
    }
    let _until_done = Gathering(GATHERING.replace(true));
    registry.gather()
}

/// Whether this thread is gathering: registering anything would then wait for ever.
pub(crate) fn is_gathering() -> bool {
    GATHERING.get()
}
