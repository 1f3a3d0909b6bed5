//! `#[timed]`: a histogram of a function's durations, and a gauge of its calls in flight.

use std::mem::ManuallyDrop;
use std::sync::Arc;

use super::handles::{HandleCache, Resolve};
use super::label_value::LabelValue;
use super::site::{CALL_OUTCOMES, Site, SiteMetric, outcome_index};
use crate::error::Error;
use crate::job::Outcome;
use crate::metrics::{
    self, BucketBounds, CallSite, CallStart, DEFAULT_BUCKETS, Family, Gauge, Histogram, MetricKind,
    TickCopy, are_valid_buckets,
};

/// The gauge that `in_flight` adds.
const IN_FLIGHT: &str = "function_in_flight";
const IN_FLIGHT_HELP: &str = "Calls of the function that are in flight.";

/// The metric of all functions without the argument `name`.
static SHARED_METRIC: SiteMetric = SiteMetric::function_duration();

static DEFAULT_TIMING: SiteTiming = SiteTiming::new();

/// An annotated function whose calls are timed with the default [`SiteTiming`] in the shared metric.
///
/// The site does not store the name of the function, because the compiler evaluates the site in each expansion. Each call
/// passes the name instead.
pub struct SharedTimedSite(HandleCache<TimedFamilies, Durations>);

/// An annotated function whose calls are timed with any [`SiteTiming`], in the shared metric or in another one.
pub struct TimedSite {
    function: TimedFunction,
    cache: HandleCache<TimedFamilies, Durations>,
}

struct TimedFunction {
    site: Site,
    timing: &'static SiteTiming,
}

/// The histograms, and the gauge of calls in flight.
type TimedFamilies = (Arc<Family<Histogram>>, Option<Gauge>);

/// How calls are timed.
///
/// Buckets are validated at compile time, like the labels of a [`SiteMetric`]:
///
/// ```compile_fail,E0080
/// use metrics_push::__private::SiteTiming;
/// const TIMING: SiteTiming = SiteTiming::new().buckets(&[1.0, 1.0]);
/// ```
pub struct SiteTiming {
    buckets: &'static [f64],
    split: Split,
    in_flight: InFlight,
}

/// Whether durations are recorded per outcome.
#[derive(Clone, Copy)]
enum Split {
    ByOutcome,
    Together,
}

/// Whether calls in flight are counted.
#[derive(Clone, Copy)]
enum InFlight {
    Counted,
    Ignored,
}

/// One histogram per outcome. All are the same if durations are not recorded per outcome.
pub(super) struct Durations {
    histograms: [Histogram; CALL_OUTCOMES.len()],
    /// Never updated if calls in flight are counted, so that these calls begin and end on the slow path.
    tick: TickCopy,
    in_flight: Option<Gauge>,
}

impl Durations {
    fn new(histograms: [Histogram; CALL_OUTCOMES.len()], in_flight: Option<Gauge>) -> Self {
        Self { histograms, tick: TickCopy::default(), in_flight }
    }

    #[inline]
    fn begin(&self) -> CallStart {
        CallStart::by_counter(&self.tick).unwrap_or_else(|| self.begin_slow())
    }

    #[cold]
    #[inline(never)]
    fn begin_slow(&self) -> CallStart {
        match &self.in_flight {
            Some(in_flight) => in_flight.enter(),
            None => self.tick.update(),
        }
        // Reads the clock last, so that the duration does not contain the overhead of starting the call.
        CallStart::now()
    }

    /// Ends a call whose outcome does not matter.
    // Not inlined: all timed functions share it, which reduces their size.
    #[inline(never)]
    fn end(&self, start: CallStart) {
        self.end_as(Outcome::Success, start);
    }

    #[inline(never)]
    fn end_with(&self, outcome: Outcome, start: CallStart) {
        self.end_as(outcome, start);
    }

    #[inline]
    fn end_as(&self, outcome: Outcome, start: CallStart) {
        match start.elapsed_by_counter(&self.tick) {
            Some(nanos) => self.histograms[outcome_index(outcome)].observe_nanos(nanos),
            None => self.end_slow(start, outcome),
        }
    }

    // Takes the same leading parameters as its callers, so that the values stay in their registers.
    #[inline(never)]
    fn end_slow(&self, start: CallStart, outcome: Outcome) {
        let histogram = &self.histograms[outcome_index(outcome)];
        histogram.observe_nanos(start.elapsed_nanos());
        self.in_flight.iter().for_each(Gauge::leave);
    }
}

impl SiteTiming {
    /// Times calls with [`DEFAULT_BUCKETS`].
    #[must_use]
    #[expect(clippy::new_without_default, reason = "only expansions use it")]
    pub const fn new() -> Self {
        Self { buckets: DEFAULT_BUCKETS, split: Split::Together, in_flight: InFlight::Ignored }
    }

    /// Sets the upper bounds of the buckets, in seconds.
    ///
    /// # Panics
    /// At compile time, if the bounds are empty, not finite or not increasing.
    #[must_use]
    pub const fn buckets(mut self, buckets: &'static [f64]) -> Self {
        assert!(
            are_valid_buckets(buckets),
            "invalid buckets: list at least one upper bound, all finite and increasing"
        );
        self.buckets = buckets;
        self
    }

    /// Adds the label `outcome`.
    #[must_use]
    pub const fn outcome(mut self) -> Self {
        self.split = Split::ByOutcome;
        self
    }

    /// Adds the gauge of calls in flight.
    #[must_use]
    pub const fn in_flight(mut self) -> Self {
        self.in_flight = InFlight::Counted;
        self
    }
}

impl SharedTimedSite {
    /// Returns a site that has not been called.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "only expansions use it")]
    pub const fn new() -> Self {
        Self(HandleCache::EMPTY)
    }

    /// Starts a call of this function.
    #[inline]
    #[track_caller]
    pub fn start(&'static self, function: &'static str, module: &'static str) -> TimedCall {
        self.prepare(function, module).enter()
    }

    /// Prepares a call that may start later.
    #[inline]
    #[track_caller]
    pub fn prepare(&'static self, function: &'static str, module: &'static str) -> PreparedTime {
        let Self(cache) = self;
        PreparedTime(match cache.unlabelled() {
            Some(durations) => durations,
            None => self.resolve(function, module),
        })
    }

    #[inline(never)]
    #[track_caller]
    fn resolve(&'static self, function: &'static str, module: &'static str) -> &'static Durations {
        let Self(cache) = self;
        cache.resolve(&TimedFunction::new(function, module), &[])
    }
}

impl TimedFunction {
    // The location is that of the caller, because `file!()` and `line!()` in each expansion would cost more compile time.
    #[track_caller]
    const fn new(function: &'static str, module: &'static str) -> Self {
        let call_site = CallSite::function(function, module);
        let site = Site { call_site, metric: &SHARED_METRIC };
        Self { site, timing: &DEFAULT_TIMING }
    }

    fn outcome_label(&self, outcome: Outcome) -> Option<Outcome> {
        match self.timing.split {
            Split::ByOutcome => Some(outcome),
            Split::Together => None,
        }
    }
}

impl TimedSite {
    /// Times calls with the default [`SiteTiming`], in the metric that functions without a `name` share.
    #[must_use]
    #[track_caller]
    pub const fn new(function: &'static str, module: &'static str) -> Self {
        Self { function: TimedFunction::new(function, module), cache: HandleCache::EMPTY }
    }

    /// Records the durations in this metric.
    #[must_use]
    pub const fn metric(mut self, metric: &'static SiteMetric) -> Self {
        self.function.site.metric = metric;
        self
    }

    /// Sets how calls are timed.
    #[must_use]
    pub const fn timing(mut self, timing: &'static SiteTiming) -> Self {
        self.function.timing = timing;
        self
    }

    /// Starts a call with these label values.
    #[inline]
    pub fn enter(&'static self, labels: &[LabelValue<'_>]) -> TimedCall {
        self.prepare(labels).enter()
    }

    /// Prepares a call that may start later.
    #[inline]
    pub fn prepare(&'static self, labels: &[LabelValue<'_>]) -> PreparedTime {
        PreparedTime(self.cache.unlabelled().unwrap_or_else(|| self.resolve(labels)))
    }

    // Not generic and not inlined: compiled once, in this crate, instead of in every crate with annotated functions.
    #[inline(never)]
    fn resolve(&'static self, labels: &[LabelValue<'_>]) -> &'static Durations {
        let found = self.cache.find_short(labels);
        found.unwrap_or_else(|| self.cache.resolve(&self.function, labels))
    }
}

impl Resolve for TimedFunction {
    type Registered = TimedFamilies;
    type Handles = Durations;

    fn site(&self) -> &Site {
        &self.site
    }

    fn register(&self) -> Result<Self::Registered, Error> {
        let bounds = BucketBounds::from_valid(self.timing.buckets);
        let family = self.site.register(bounds, self.outcome_label(Outcome::Success))?;
        let in_flight = match self.timing.in_flight {
            InFlight::Counted => {
                self.site.ok_or_warn(self.site.register_gauge(IN_FLIGHT, IN_FLIGHT_HELP))
            }
            InFlight::Ignored => None,
        };
        Ok((family, in_flight))
    }

    fn handles(&self, (family, in_flight): &Self::Registered, values: &[&str]) -> Durations {
        let histogram = |outcome| {
            let outcome = self.outcome_label(outcome);
            self.site.series(family, values, outcome, || family.new_series())
        };
        Durations::new(CALL_OUTCOMES.map(histogram), in_flight.clone())
    }

    fn detached(&self) -> Durations {
        let histogram = Histogram::new(&BucketBounds::from_valid(self.timing.buckets));
        Durations::new(CALL_OUTCOMES.map(|_| histogram.clone()), None)
    }
}

/// A call of a timed function that has not started yet.
#[must_use = "nothing is timed before `enter`"]
pub struct PreparedTime(&'static Durations);

impl PreparedTime {
    /// Starts the call.
    #[inline]
    pub fn enter(self) -> TimedCall {
        let Self(durations) = self;
        TimedCall { durations, start: durations.begin() }
    }
}

/// A call of a timed function. Dropping it ends the call.
#[must_use = "dropping it ends the call"]
pub struct TimedCall {
    durations: &'static Durations,
    start: CallStart,
}

impl TimedCall {
    /// Ends the call with an outcome.
    #[inline]
    pub fn finish(self, outcome: Outcome) {
        // `drop` would end the call a second time, and no field needs to be dropped.
        let call = ManuallyDrop::new(self);
        call.durations.end_with(outcome, call.start);
    }
}

impl Drop for TimedCall {
    #[inline]
    fn drop(&mut self) {
        self.durations.end(self.start);
    }
}

/// Makes this process time its calls with `Instant`, as on a machine without a reliable counter. Benchmarks use it.
pub fn disable_tsc_clock() {
    metrics::disable_tsc_clock();
}
