//! `#[counted]`: a counter of a function's calls, by outcome.

use std::sync::Arc;

use super::handles::{HandleCache, Resolve};
use super::label_value::LabelValue;
use super::site::{CALL_OUTCOMES, Site, SiteMetric, outcome_index};
use crate::error::Error;
use crate::job::Outcome;
use crate::metrics::{CallSite, Counter, CounterArray, Family};

/// The metric of all functions without the argument `name`.
static SHARED_METRIC: SiteMetric = SiteMetric::function_calls();

/// An annotated function whose calls are counted in the shared metric.
///
/// The site does not store the name of the function, because the compiler evaluates the site in each expansion. Each call
/// passes the name instead.
pub struct SharedCountedSite(HandleCache<CountedFamily, OutcomeCounters>);

/// An annotated function whose calls are counted in the shared metric or in another one.
pub struct CountedSite {
    function: CountedFunction,
    cache: HandleCache<CountedFamily, OutcomeCounters>,
}

struct CountedFunction {
    site: Site,
    counts: Counts,
}

/// Which calls are counted.
#[derive(Clone, Copy)]
enum Counts {
    All,
    Errors,
}

type CountedFamily = Arc<Family<Counter>>;

/// One counter per outcome. Outcomes that are not counted have a counter that does not belong to a registered metric.
type OutcomeCounters = CounterArray<{ CALL_OUTCOMES.len() }>;

impl SharedCountedSite {
    /// Returns a site that has not been called.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "only expansions use it")]
    pub const fn new() -> Self {
        Self(HandleCache::EMPTY)
    }

    /// Starts a call of this function. The call is counted when it ends.
    #[inline]
    #[track_caller]
    pub fn start(&'static self, function: &'static str, module: &'static str) -> CountedCall {
        let Self(cache) = self;
        CountedCall(match cache.unlabelled() {
            Some(counters) => counters,
            None => self.resolve(function, module),
        })
    }

    /// Prepares a call that may start later.
    #[inline]
    #[track_caller]
    pub fn prepare(&'static self, function: &'static str, module: &'static str) -> CountedCall {
        self.start(function, module)
    }

    #[inline(never)]
    #[track_caller]
    fn resolve(
        &'static self,
        function: &'static str,
        module: &'static str,
    ) -> &'static OutcomeCounters {
        let Self(cache) = self;
        cache.resolve(&CountedFunction::new(function, module), &[])
    }
}

impl CountedFunction {
    // The location is that of the caller, because `file!()` and `line!()` in each expansion would cost more compile time.
    #[track_caller]
    const fn new(function: &'static str, module: &'static str) -> Self {
        let call_site = CallSite::function(function, module);
        let site = Site { call_site, metric: &SHARED_METRIC };
        Self { site, counts: Counts::All }
    }
}

impl CountedSite {
    /// Counts all calls in the metric that functions without a `name` share.
    #[must_use]
    #[track_caller]
    pub const fn new(function: &'static str, module: &'static str) -> Self {
        Self { function: CountedFunction::new(function, module), cache: HandleCache::EMPTY }
    }

    /// Counts the calls in this metric.
    #[must_use]
    pub const fn metric(mut self, metric: &'static SiteMetric) -> Self {
        self.function.site.metric = metric;
        self
    }

    /// Does not count successful calls.
    #[must_use]
    pub const fn only_errors(mut self) -> Self {
        self.function.counts = Counts::Errors;
        self
    }

    /// Starts a call with these label values. The call is counted when it ends.
    #[inline]
    pub fn enter(&'static self, labels: &[LabelValue<'_>]) -> CountedCall {
        CountedCall(self.cache.unlabelled().unwrap_or_else(|| self.resolve(labels)))
    }

    /// Prepares a call that may start later.
    #[inline]
    pub fn prepare(&'static self, labels: &[LabelValue<'_>]) -> CountedCall {
        self.enter(labels)
    }

    // Not generic and not inlined: compiled once, in this crate, instead of in every crate with annotated functions.
    #[inline(never)]
    fn resolve(&'static self, labels: &[LabelValue<'_>]) -> &'static OutcomeCounters {
        let found = self.cache.find_short(labels);
        found.unwrap_or_else(|| self.cache.resolve(&self.function, labels))
    }
}

impl Resolve for CountedFunction {
    type Registered = CountedFamily;
    type Handles = OutcomeCounters;

    fn site(&self) -> &Site {
        &self.site
    }

    fn register(&self) -> Result<Self::Registered, Error> {
        self.site.register((), Some(Outcome::Success))
    }

    fn handles(&self, family: &Self::Registered, values: &[&str]) -> OutcomeCounters {
        let counters = Counter::array::<{ CALL_OUTCOMES.len() }>();
        CounterArray::new(std::array::from_fn(|index| {
            let (outcome, counter) = (CALL_OUTCOMES[index], &counters[index]);
            if matches!((self.counts, outcome), (Counts::Errors, Outcome::Success)) {
                return counter.clone();
            }
            self.site.series(family, values, Some(outcome), || counter.clone())
        }))
    }

    fn detached(&self) -> OutcomeCounters {
        CounterArray::new(Counter::array())
    }
}

/// A call of a counted function.
#[must_use = "the call is not counted before `finish`"]
pub struct CountedCall(&'static OutcomeCounters);

impl CountedCall {
    /// Ends the call and counts it.
    #[inline]
    pub fn finish(self, outcome: Outcome) {
        self.0.inc(outcome_index(outcome));
    }
}
