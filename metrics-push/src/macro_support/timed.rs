//! `#[timed]`: how long a function ran, and how often it is running right now.

use std::mem::ManuallyDrop;
use std::sync::Arc;

use super::lookup::{Lookup, Resolve};
use super::site::{ENDINGS, OutcomeLabel, Site, ending};
use super::values::Value;
use crate::error::Error;
use crate::job::Outcome;
use crate::metrics::{
    self, Bounds, DEFAULT_BUCKETS, Family, Gauge, Histogram, Sealed, Seat, Start, are_bounds,
};

/// The gauge of `in_flight`.
const IN_FLIGHT: &str = "function_in_flight";
const IN_FLIGHT_HELP: &str = "Calls of the function that are under way.";

/// A function that is timed.
///
/// Buckets are checked when compiling, as the [`Site`] is:
///
/// ```compile_fail,E0080
/// use metrics_push::__private::{Place, Site, TimedSite};
/// const PLACE: Place = Place { function: "load", module: "m", file: "load.rs", line: 1 };
/// const HERE: Site = Site::new(PLACE, "my_seconds", "Time.");
/// static SITE: TimedSite = TimedSite::new(HERE).buckets(&[1.0, 1.0]);
/// ```
pub struct TimedSite {
    site: Site,
    buckets: &'static [f64],
    split: Split,
    in_flight: InFlight,
    lookup: Lookup<Self>,
}

/// Whether durations are told apart by outcome.
#[derive(Clone, Copy)]
enum Split {
    ByOutcome,
    Together,
}

/// Whether calls under way are counted.
#[derive(Clone, Copy)]
enum InFlight {
    Counted,
    Ignored,
}

/// A histogram per ending, all of them the same one where durations are not told apart.
pub(super) struct Durations {
    histograms: [Histogram; ENDINGS.len()],
    in_flight: Option<Gauge>,
}

impl Durations {
    #[inline]
    fn begin(&self) {
        if self.in_flight.is_some() {
            self.begin_in_flight();
        }
    }

    #[inline(never)]
    fn begin_in_flight(&self) {
        self.in_flight.iter().for_each(Gauge::enter);
    }

    /// A call is over, however it ended.
    // Never inlined: the part that all such functions have in common, and the smaller the better.
    #[inline(never)]
    fn end(&self, start: Start, seat: Seat) {
        self.end_as(Outcome::Success, start, seat);
    }

    #[inline(never)]
    fn end_with(&self, outcome: Outcome, start: Start, seat: Seat) {
        self.end_as(outcome, start, seat);
    }

    #[inline]
    fn end_as(&self, outcome: Outcome, start: Start, seat: Seat) {
        let histogram = &self.histograms[ending(outcome)];
        match start.counted_nanos() {
            Some(nanos) if self.in_flight.is_none() => histogram.observe_nanos(seat, nanos),
            // Reads the clock once more where calls under way are counted: to hand on what was read would cost all
            // others.
            _ => self.end_slowly(histogram, start),
        }
    }

    #[inline(never)]
    fn end_slowly(&self, histogram: &Histogram, start: Start) {
        histogram.observe_nanos(Seat::here(), start.elapsed_nanos());
        self.in_flight.iter().for_each(Gauge::leave);
    }
}

impl TimedSite {
    /// A function that is timed at this site.
    #[must_use]
    pub const fn new(site: Site) -> Self {
        Self {
            site,
            buckets: DEFAULT_BUCKETS,
            split: Split::Together,
            in_flight: InFlight::Ignored,
            lookup: Lookup::new(),
        }
    }

    /// The upper bounds of the buckets.
    ///
    /// # Panics
    /// If they aren't finite and increasing; when compiling, as sites are constants.
    #[must_use]
    pub const fn buckets(mut self, buckets: &'static [f64]) -> Self {
        assert!(are_bounds(buckets), "buckets have upper bounds, finite and increasing");
        self.buckets = buckets;
        self
    }

    /// Adds the label `outcome`.
    #[must_use]
    pub const fn outcome(mut self) -> Self {
        self.split = Split::ByOutcome;
        self
    }

    /// Adds the gauge of calls under way.
    #[must_use]
    pub const fn in_flight(mut self) -> Self {
        self.in_flight = InFlight::Counted;
        self
    }

    /// A call of this function with these label values, which starts now.
    #[inline]
    pub fn enter(&'static self, labels: &[Value<'_>]) -> TimedCall {
        self.prepare(labels).enter()
    }

    /// The same for a function without such labels.
    #[inline]
    pub fn start(&'static self) -> TimedCall {
        self.enter(&[])
    }

    /// Finds the series without starting a call.
    #[inline]
    pub fn prepare(&'static self, labels: &[Value<'_>]) -> PreparedTime {
        PreparedTime(self.lookup.plain().unwrap_or_else(|| self.first_or_labelled(labels)))
    }

    #[inline(never)]
    fn first_or_labelled(&'static self, labels: &[Value<'_>]) -> &'static Durations {
        self.lookup.find(self, labels)
    }

    fn label(&self, outcome: Outcome) -> OutcomeLabel {
        match self.split {
            Split::ByOutcome => OutcomeLabel::Is(outcome),
            Split::Together => OutcomeLabel::Absent,
        }
    }
}

impl Resolve for TimedSite {
    type Registered = (Arc<Family<Histogram>>, Option<Gauge>);
    type Handles = Durations;

    fn site(&self) -> &Site {
        &self.site
    }

    fn register(&self) -> Result<Self::Registered, Error> {
        let family =
            self.site.family(Bounds::trusted(self.buckets), self.label(Outcome::Success))?;
        let in_flight = match self.in_flight {
            InFlight::Counted => self.site.report(self.site.own(IN_FLIGHT, IN_FLIGHT_HELP)),
            InFlight::Ignored => None,
        };
        Ok((family, in_flight))
    }

    fn handles(&self, (family, in_flight): &Self::Registered, values: &[&str]) -> Durations {
        let histogram =
            |outcome| self.site.series(family, values, self.label(outcome), || family.fresh());
        Durations { histograms: ENDINGS.map(histogram), in_flight: in_flight.clone() }
    }

    fn unheard(&self) -> Durations {
        let histogram = Histogram::new(&Bounds::trusted(self.buckets));
        Durations { histograms: ENDINGS.map(|_| histogram.clone()), in_flight: None }
    }
}

/// A call that is timed as soon as it starts.
#[derive(Clone, Copy)]
#[must_use = "nothing is timed before `enter`"]
pub struct PreparedTime(&'static Durations);

impl PreparedTime {
    /// The call starts.
    #[inline]
    pub fn enter(self) -> TimedCall {
        let Self(durations) = self;
        durations.begin();
        // Last, so that none of our own work is in the duration.
        TimedCall { durations, start: Start::now() }
    }
}

/// A call of a timed function, which is observed when it ends: dropped, or with an outcome where that matters.
#[must_use = "dropping it ends the call"]
pub struct TimedCall {
    durations: &'static Durations,
    start: Start,
}

impl TimedCall {
    /// Ends the call with a known outcome.
    #[inline]
    pub fn finish(self, outcome: Outcome) {
        // What is left of it has nothing to drop, and must not end twice.
        let call = ManuallyDrop::new(self);
        call.durations.end_with(outcome, call.start, Seat::here());
    }
}

impl Drop for TimedCall {
    #[inline]
    fn drop(&mut self) {
        self.durations.end(self.start, Seat::here());
    }
}

/// Has this process time its calls as machines do that have no counter to trust. For benches.
pub fn keep_to_the_system_clock() {
    metrics::keep_to_the_system_clock();
}
