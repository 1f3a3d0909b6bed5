//! What is asked for, held against what is there. Clashes name both places.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use super::family::{Family, Registered, Sealed};
use super::histogram::Histogram;
use super::origin::Origin;
use super::{Desc, Registry};
use crate::error::{Error, Kind};
use crate::labels::{check_label_name, is_metric_name};

/// A metric that was registered through us.
pub(super) struct Entry {
    kind: &'static str,
    origin: Origin,
    family: Arc<dyn Any + Send + Sync>,
}

impl Entry {
    pub(super) fn of<S: Sealed>(family: &Arc<Family<S>>) -> Self {
        Self { kind: S::KIND, origin: family.origin, family: Arc::clone(family) as _ }
    }
}

/// What a metric is to be.
pub(crate) struct Request<'a, S: Sealed> {
    pub(crate) name: &'a str,
    pub(crate) help: &'a str,
    pub(crate) labels: &'a [&'a str],
    pub(crate) shape: S::Shape,
    pub(crate) origin: Origin,
}

impl<S: Sealed> Request<'_, S> {
    /// Whether the names are such as Prometheus allows.
    pub(super) fn check(&self) -> Result<(), Error> {
        let here = |error: Error| error.at("asked for", self.origin);
        if !is_metric_name(self.name) {
            let what = format!("metric name {:?} is not allowed", self.name);
            return Err(here(Error::new(Kind::Metric, what))
                .remedy("use letters, digits, underscores and colons, not starting with a digit"));
        }
        for (position, label) in self.labels.iter().enumerate() {
            check_label_name(label).map_err(here)?;
            if *label == "le" && S::KIND == Histogram::KIND {
                let what = format!("histogram {:?} has a label \"le\"", self.name);
                return Err(here(Error::new(Kind::Metric, what))
                    .remedy("name it differently: buckets carry their bound in it"));
            }
            if self.labels[..position].contains(label) {
                let what = format!("metric {:?} has the label {label:?} twice", self.name);
                return Err(here(Error::new(Kind::Metric, what)).remedy("name each once"));
            }
        }
        Ok(())
    }

    /// The family that is there, if it is what was asked for.
    pub(super) fn agree(&self, entry: &Entry) -> Result<Arc<Family<S>>, Error> {
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
        Error::new(Kind::Metric, what)
            .at("asked for", self.origin)
            .at("first", first)
            .remedy("give one of them another name, or ask for the same in both places")
    }

    /// A new family, which the registry gathers from now on.
    pub(super) fn register_in(&self, registry: &Registry) -> Result<Arc<Family<S>>, Error> {
        let Self { name, help, labels, shape, origin } = self;
        let family = Family::new(name, help, labels, shape.clone(), *origin).map_err(|cause| {
            Error::new(Kind::Metric, format!("metric {name:?} can't be made"))
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
