//! `MetricSpec`: the metric that a caller requests, and its comparison with a registered one.

use std::fmt::{Debug, Display};
use std::sync::Arc;

use prometheus::Registry;
use prometheus::core::Desc;

use super::call_site::CallSite;
use super::family::{Family, FamilyCollector, MetricKind};
use super::histogram::Histogram;
use super::registry_index::RegisteredFamily;
use crate::error::{Error, Kind};
use crate::labels::{check_label_name, is_metric_name};

/// The metric that a caller requests.
pub(crate) struct MetricSpec<'a, K: MetricKind> {
    pub(crate) name: &'a str,
    pub(crate) help: &'a str,
    pub(crate) labels: &'a [&'a str],
    pub(crate) opts: K::Opts,
    pub(crate) call_site: CallSite,
}

impl<K: MetricKind> MetricSpec<'_, K> {
    /// Checks the names of the metric and of its labels.
    ///
    /// # Errors
    /// `is_metric` if Prometheus does not allow one of the names, or if a label name is repeated.
    pub(super) fn validate(&self) -> Result<(), Error> {
        let Self { name, labels, call_site, .. } = self;
        let invalid = |what: String| Error::new(Kind::Metric, what).at("requested", call_site);
        if !is_metric_name(name) {
            return Err(invalid(format!("invalid metric name {name:?}"))
                .remedy("use letters, digits, underscores and colons, not starting with a digit"));
        }
        for (position, label) in labels.iter().enumerate() {
            check_label_name(label).map_err(|error| error.at("requested", call_site))?;
            if *label == "le" && K::TYPE_NAME == Histogram::TYPE_NAME {
                let what = format!("label \"le\" is reserved in histogram {name:?}");
                return Err(invalid(what).remedy("rename it: buckets store their bound in \"le\""));
            }
            if labels[..position].contains(label) {
                return Err(invalid(format!("duplicate label {label:?} in metric {name:?}"))
                    .remedy("list each label once"));
            }
        }
        Ok(())
    }

    /// Returns the registered family if it matches.
    ///
    /// # Errors
    /// `is_metric` if its type, labels, help text or buckets differ.
    pub(super) fn matching(&self, registered: &RegisteredFamily) -> Result<Arc<Family<K>>, Error> {
        let Some(family) = registered.downcast::<K>() else {
            let type_name = registered.type_name;
            let what = format!("as a {} but registered as a {type_name}", K::TYPE_NAME);
            return Err(self.conflict(&what, registered.call_site));
        };
        let differs = |what: &str, requested: &dyn Debug, existing: &dyn Debug| {
            let what = format!("with {what} {requested:?} but registered with {existing:?}");
            Err(self.conflict(&what, registered.call_site))
        };
        let Desc { variable_labels, help, .. } = &family.desc;
        if self.labels != variable_labels.as_slice() {
            return differs("labels", &self.labels, variable_labels);
        }
        if self.opts != family.opts {
            return differs("buckets", &self.opts, &family.opts);
        }
        if self.help != help {
            return differs("help", &self.help, help);
        }
        Ok(family)
    }

    fn conflict(&self, what: &str, registered: impl Display) -> Error {
        Error::new(Kind::Metric, format!("metric {:?} is requested {what}", self.name))
            .at("requested", self.call_site)
            .at("registered", registered)
            .remedy("rename one of them, or request the same metric in both places")
    }

    /// Creates the family and registers it.
    ///
    /// # Errors
    /// `is_metric` if the registry already has a metric of this name.
    pub(super) fn register_in(&self, registry: &Registry) -> Result<Arc<Family<K>>, Error> {
        let Self { name, help, labels, opts, call_site } = self;
        let family =
            Family::new(name, help, labels, opts.clone(), *call_site).map_err(|cause| {
                Error::new(Kind::Metric, format!("cannot create metric {name:?}"))
                    .at("requested", call_site)
                    .caused_by(cause)
            })?;
        let family = Arc::new(family);
        registry.register(Box::new(FamilyCollector(Arc::clone(&family)))).map_err(|cause| {
            let what = format!("as a {} but the name is already registered", K::TYPE_NAME);
            self.conflict(&what, "through the prometheus crate").caused_by(cause)
        })?;
        Ok(family)
    }
}
