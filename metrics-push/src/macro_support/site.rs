//! `Site`: one annotated function, its metric, and the labels of its series.
//!
//! A site is a constant; its metrics are registered at the first call. If that fails, the site logs one line and its
//! calls are not recorded. The function itself is not affected.

use std::sync::Arc;

use crate::error::Error;
use crate::job::Outcome;
use crate::label_text::Rendering;
use crate::labels::{is_label_name, is_metric_name};
use crate::log;
use crate::metrics::{
    CallSite, DEFAULT_FACTORY, Family, Gauge, MetricFactory, MetricKind, MetricSpec, Registry,
    log_rendering,
};

/// The labels that every site sets, and the label of a histogram's buckets.
const RESERVED: [&str; 4] = [FUNCTION, MODULE, OUTCOME, "le"];
const FUNCTION: &str = "function";
const MODULE: &str = "module";
const OUTCOME: &str = "outcome";

/// Default of `max_series`. More series than this are hard to read on a dashboard, and the Pushgateway stores all of them.
const DEFAULT_MAX_SERIES: usize = 100;

/// Validates a metric name that is given as a constant, which the attribute cannot evaluate.
///
/// The attribute validates literals itself, because evaluating this function would dominate the compile time of a site.
///
/// ```compile_fail,E0080
/// const NAME: &str = metrics_push::__private::metric_name("my-metric");
/// ```
///
/// # Panics
/// At compile time, if the metric name is invalid.
#[must_use]
pub const fn metric_name(name: &'static str) -> &'static str {
    assert!(
        is_metric_name(name),
        "invalid metric name: use letters, digits, underscores and colons, not starting with a digit"
    );
    name
}

/// The metric of an annotated function, and the labels of its series.
///
/// Labels are validated at compile time:
///
/// ```compile_fail,E0080
/// use metrics_push::__private::SiteMetric;
/// const METRIC: SiteMetric = SiteMetric::new("my_total", "Calls.").labels(&["outcome"]);
/// ```
pub struct SiteMetric {
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    fixed_labels: &'static [(&'static str, &'static str)],
    max_series: usize,
    registry: Option<fn() -> &'static Registry>,
}

impl SiteMetric {
    /// Returns a metric without further labels.
    #[must_use]
    pub const fn new(name: &'static str, help: &'static str) -> Self {
        Self {
            name,
            help,
            labels: &[],
            fixed_labels: &[],
            max_series: DEFAULT_MAX_SERIES,
            registry: None,
        }
    }

    /// Returns the metric that counts the calls of all functions without a `name`.
    #[must_use]
    pub const fn function_calls() -> Self {
        Self::new("function_calls_total", "Calls of functions by outcome.")
    }

    /// Returns the metric of the durations of all functions without a `name`.
    #[must_use]
    pub const fn function_duration() -> Self {
        Self::new("function_duration_seconds", "Duration of function calls in seconds.")
    }

    /// Adds labels whose values are passed to each call, in this order.
    ///
    /// # Panics
    /// At compile time, if a label name is invalid or reserved.
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

    /// Adds labels with constant values.
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

    /// Limits the number of sets of label values. Further sets are recorded as `_other`.
    #[must_use]
    pub const fn max_series(mut self, max_series: usize) -> Self {
        self.max_series = max_series;
        self
    }

    /// Registers the metrics in this registry instead of the default one.
    #[must_use]
    pub const fn registry(mut self, registry: fn() -> &'static Registry) -> Self {
        self.registry = Some(registry);
        self
    }
}

/// An annotated function: its call site and its metric.
///
/// The compiler evaluates a site in each expansion, so a site refers to its metric instead of containing it.
pub(super) struct Site {
    pub(super) call_site: CallSite,
    pub(super) metric: &'static SiteMetric,
}

impl Site {
    /// Returns the name of the metric.
    pub(super) const fn metric_name(&self) -> &'static str {
        self.metric.name
    }

    /// Returns the function.
    pub(super) const fn function(&self) -> &'static str {
        self.call_site.function
    }

    /// Returns the maximum number of sets of label values.
    pub(super) const fn max_series(&self) -> usize {
        self.metric.max_series
    }

    /// Returns true if there are labels whose values are passed to each call.
    pub(super) const fn has_labels(&self) -> bool {
        !self.metric.labels.is_empty()
    }

    /// Registers the metric with all its labels, including `outcome` if that is `Some`.
    pub(super) fn register<K: MetricKind>(
        &self,
        opts: K::Opts,
        outcome: Option<Outcome>,
    ) -> Result<Arc<Family<K>>, Error> {
        let pairs = self.label_pairs(self.metric.labels, outcome);
        let labels: Vec<_> = pairs.iter().map(|(name, _)| *name).collect();
        self.family(self.metric.name, self.metric.help, &labels, opts)
    }

    /// Registers a gauge with the labels `function` and `module`.
    pub(super) fn register_gauge(&self, name: &str, help: &str) -> Result<Gauge, Error> {
        let CallSite { function, module, .. } = self.call_site;
        let family = self.family(name, help, &[FUNCTION, MODULE], ())?;
        Ok(family.series([function, module].into_iter()))
    }

    fn family<K: MetricKind>(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        opts: K::Opts,
    ) -> Result<Arc<Family<K>>, Error> {
        let spec = MetricSpec { name, help, labels, opts, call_site: self.call_site };
        match self.metric.registry {
            Some(registry) => MetricFactory::with(registry()).family(&spec),
            None => DEFAULT_FACTORY.family(&spec),
        }
    }

    /// Returns the series for these label values of a call, after inserting the result of `create` if there is none.
    pub(super) fn series<K: MetricKind>(
        &self,
        family: &Family<K>,
        values: &[&str],
        outcome: Option<Outcome>,
        create: impl Fn() -> K,
    ) -> K {
        let pairs = self.label_pairs(values, outcome);
        family.series_or_insert(pairs.iter().map(|(_, value)| *value), create)
    }

    /// Returns all label names and values, sorted by name. All sites of a metric therefore have the same labels in the
    /// same order, even if only some of them have constant values.
    fn label_pairs<'v>(
        &self,
        values: &[&'v str],
        outcome: Option<Outcome>,
    ) -> Vec<(&'static str, &'v str)> {
        let CallSite { function, module, .. } = self.call_site;
        let mut pairs = vec![(FUNCTION, function), (MODULE, module)];
        pairs.extend(outcome.map(|outcome| (OUTCOME, outcome.as_str())));
        pairs.extend(self.metric.fixed_labels);
        pairs.extend(self.metric.labels.iter().copied().zip(values.iter().copied()));
        pairs.sort_unstable_by_key(|(name, _)| *name);
        pairs
    }

    /// Logs that the label at a position does not have the value of the program.
    #[cold]
    pub(super) fn log_rendering(&self, position: usize, rendering: Rendering) {
        if let Some(label) = self.metric.labels.get(position) {
            log_rendering(self.metric.name, label, rendering);
        }
    }

    /// Returns the value, or logs the error.
    pub(super) fn ok_or_warn<T>(&self, result: Result<T, Error>) -> Option<T> {
        let warn = |error| log::warn(format_args!("{} is not recorded: {error}", self.metric.name));
        result.map_err(warn).ok()
    }
}

const fn check_label(label: &str) {
    assert!(
        is_label_name(label),
        "invalid label name: use letters, digits and underscores, not starting with a digit or two underscores"
    );
    let mut position = 0;
    while position < RESERVED.len() {
        assert!(
            !is_same(label, RESERVED[position]),
            "reserved label name: the attribute sets `function`, `module`, `outcome` and `le` itself"
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

/// The outcomes of calls, in the order of their handles.
pub(super) const CALL_OUTCOMES: [Outcome; 4] =
    [Outcome::Success, Outcome::Error, Outcome::Panic, Outcome::Cancelled];

/// Returns the position in [`CALL_OUTCOMES`]. Outcomes that only a run can have count as errors.
#[inline]
pub(super) const fn outcome_index(outcome: Outcome) -> usize {
    match outcome {
        Outcome::Success => 0,
        Outcome::Panic => 2,
        Outcome::Cancelled => 3,
        _ => 1,
    }
}
