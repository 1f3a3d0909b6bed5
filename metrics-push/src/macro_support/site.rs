//! One annotated function: where it is, what its metric is called, and the labels of its series.
//!
//! A site is a constant; what it measures with is resolved at the first call. A site that can't register its
//! metric says so in one line and measures nothing: the function must not notice.

use std::sync::Arc;

use crate::error::Error;
use crate::job::Outcome;
use crate::labels::{is_label_name, is_metric_name};
use crate::metrics::{DEFAULT_FACTORY, Family, MetricFactory, Origin, Registry, Request, Sealed};
use crate::notice;

/// The labels that a site sets by itself, and the one that a histogram's buckets have.
const RESERVED: [&str; 4] = [FUNCTION, MODULE, OUTCOME, "le"];
const FUNCTION: &str = "function";
const MODULE: &str = "module";
const OUTCOME: &str = "outcome";

/// More series than this flood a gateway sooner than they tell a person anything.
const DEFAULT_MAX_SERIES: usize = 100;

/// Where an annotated function is.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The value of the `function` label.
    pub function: &'static str,
    /// The value of the `module` label.
    pub module: &'static str,
    /// The source file.
    pub file: &'static str,
    /// The line in it.
    pub line: u32,
}

impl Place {
    const fn origin(&self) -> Origin {
        Origin::of_function(self.function, self.file, self.line)
    }
}

/// A metric's name that the attribute could not read, as it is a constant.
///
/// Literals don't come here: checking them once more in each site would take longer than compiling all else in it.
///
/// ```compile_fail,E0080
/// const NAME: &str = metrics_push::__private::metric_name("my-metric");
/// ```
///
/// # Panics
/// If the name is none for a metric; when compiling, as sites are constants.
#[must_use]
pub const fn metric_name(name: &'static str) -> &'static str {
    assert!(
        is_metric_name(name),
        "a metric's name has letters, digits, underscores and colons, and doesn't start with a digit"
    );
    name
}

/// What counted and timed functions have in common: a place, a metric, and the labels of its series.
///
/// Labels are checked when compiling, and so are names (see [`metric_name`]):
///
/// ```compile_fail,E0080
/// use metrics_push::__private::{Place, Site};
/// const PLACE: Place = Place { function: "load", module: "m", file: "load.rs", line: 1 };
/// const SITE: Site = Site::new(PLACE, "my_total", "Calls.").labels(&["outcome"]);
/// ```
pub struct Site {
    pub(super) place: Place,
    pub(super) metric: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    fixed_labels: &'static [(&'static str, &'static str)],
    pub(super) max_series: usize,
    registry: Option<fn() -> &'static Registry>,
}

impl Site {
    /// A place, and its metric's name and help text.
    #[must_use]
    pub const fn new(place: Place, metric: &'static str, help: &'static str) -> Self {
        Self {
            place,
            metric,
            help,
            labels: &[],
            fixed_labels: &[],
            max_series: DEFAULT_MAX_SERIES,
            registry: None,
        }
    }

    /// Labels whose values are known when the function is called, in this order.
    ///
    /// # Panics
    /// If a name is none for a label, or one of ours; when compiling, as sites are constants.
    #[must_use]
    pub const fn labels(mut self, labels: &'static [&'static str]) -> Self {
        let mut position = 0;
        while position < labels.len() {
            check_label(labels[position]);
            position += 1;
        }
        self.labels = labels;
        self
    }

    /// Labels whose values are known already.
    ///
    /// # Panics
    /// As [`labels`](Self::labels).
    #[must_use]
    pub const fn fixed_labels(mut self, labels: &'static [(&'static str, &'static str)]) -> Self {
        let mut position = 0;
        while position < labels.len() {
            check_label(labels[position].0);
            position += 1;
        }
        self.fixed_labels = labels;
        self
    }

    /// How many sets of label values are told apart.
    #[must_use]
    pub const fn max_series(mut self, max_series: usize) -> Self {
        self.max_series = max_series;
        self
    }

    /// Registers in another registry than the process-wide one.
    #[must_use]
    pub const fn registry(mut self, registry: fn() -> &'static Registry) -> Self {
        self.registry = Some(registry);
        self
    }

    /// Whether there are labels with values of the call.
    pub(super) const fn has_labels(&self) -> bool {
        !self.labels.is_empty()
    }

    fn register<K: Sealed>(&self, request: &Request<'_, K>) -> Result<Arc<Family<K>>, Error> {
        match self.registry {
            Some(registry) => MetricFactory::with(registry()).family(request),
            None => DEFAULT_FACTORY.family(request),
        }
    }

    /// The metric, with all its labels.
    pub(super) fn family<K: Sealed>(
        &self,
        shape: K::Shape,
        outcome: OutcomeLabel,
    ) -> Result<Arc<Family<K>>, Error> {
        let names: Vec<_> =
            self.pairs(self.labels, outcome).iter().map(|(name, _)| *name).collect();
        self.register(&Request {
            name: self.metric,
            help: self.help,
            labels: &names,
            shape,
            origin: self.place.origin(),
        })
    }

    /// The series with these values for the run-time labels.
    pub(super) fn series<K: Sealed>(
        &self,
        family: &Family<K>,
        values: &[&str],
        outcome: OutcomeLabel,
        make: impl Fn() -> K,
    ) -> K {
        let pairs = self.pairs(values, outcome);
        family.series_or(pairs.iter().map(|(_, value)| *value), make)
    }

    /// A gauge of this site beside its metric.
    pub(super) fn own<K: Sealed<Shape = ()>>(&self, name: &str, help: &str) -> Result<K, Error> {
        let Place { function, module, .. } = self.place;
        let labels = [FUNCTION, MODULE];
        let origin = self.place.origin();
        let family = self.register(&Request { name, help, labels: &labels, shape: (), origin })?;
        Ok(family.series([function, module].into_iter()))
    }

    /// Names and values, sorted: sites of one metric agree, whatever order and kind their labels have.
    fn pairs<'v>(&self, values: &[&'v str], outcome: OutcomeLabel) -> Vec<(&'static str, &'v str)> {
        let mut pairs = vec![(FUNCTION, self.place.function), (MODULE, self.place.module)];
        if let OutcomeLabel::Is(outcome) = outcome {
            pairs.push((OUTCOME, outcome.as_str()));
        }
        pairs.extend(self.fixed_labels);
        pairs.extend(self.labels.iter().copied().zip(values.iter().copied()));
        pairs.sort_by_key(|(name, _)| *name);
        pairs
    }

    /// What a site measures with, or nothing after saying why.
    pub(super) fn report<T>(&self, measured: Result<T, Error>) -> Option<T> {
        measured
            .map_err(|error| notice::warn(format_args!("{} is not measured: {error}", self.metric)))
            .ok()
    }
}

/// Whether the series of a metric are told apart by outcome.
#[derive(Clone, Copy)]
pub(super) enum OutcomeLabel {
    Is(Outcome),
    Absent,
}

const fn check_label(label: &str) {
    assert!(
        is_label_name(label),
        "a label's name has letters, digits and underscores, and starts with neither a digit nor two underscores"
    );
    let mut position = 0;
    while position < RESERVED.len() {
        assert!(
            !is_same(label, RESERVED[position]),
            "`function`, `module`, `outcome` and `le` are labels that the attribute sets itself"
        );
        position += 1;
    }
}

const fn is_same(left: &str, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    let mut position = 0;
    while position < left.len() && position < right.len() && left[position] == right[position] {
        position += 1;
    }
    position == left.len() && position == right.len()
}

/// How calls end, in the order of their series.
pub(super) const ENDINGS: [Outcome; 4] =
    [Outcome::Success, Outcome::Error, Outcome::Panic, Outcome::Cancelled];

/// The position in [`ENDINGS`]. Calls know no other outcome; whatever else a run could have is a failure.
#[inline]
pub(super) const fn ending(outcome: Outcome) -> usize {
    match outcome {
        Outcome::Success => 0,
        Outcome::Panic => 2,
        Outcome::Cancelled => 3,
        _ => 1,
    }
}
