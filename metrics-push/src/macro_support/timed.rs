//! `#[timed]`: how long a function ran, and how often it is running right now.

use std::mem::ManuallyDrop;
use std::sync::{Arc, OnceLock};

use super::labels::Sets;
use super::site::{ENDINGS, Entry, OnceRef, OutcomeLabel, Site, ending};
use super::values::Value;
use crate::error::Error;
use crate::job::Outcome;
use crate::metrics::{
    self, Bounds, DEFAULT_BUCKETS, Family, Gauge, Histogram, Start, are_bounds, is_gathering,
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
    /// Where only the duration matters, all that a call needs; not made elsewhere.
    plain: OnceRef<'static, Durations>,
    /// Without labels of the call, all that a call needs.
    unlabelled: OnceRef<'static, Durations>,
    resolved: OnceLock<Option<Box<Resolved>>>,
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

/// What a site measures with, once it was called.
struct Resolved {
    family: Arc<Family<Histogram>>,
    in_flight: Option<Gauge>,
    sets: Sets<Durations>,
}

/// A histogram per ending, all of them the same one where durations are not told apart.
struct Durations {
    histograms: [Histogram; ENDINGS.len()],
    in_flight: Option<Gauge>,
}

impl Durations {
    #[inline(never)]
    fn begin(&self) -> Entry {
        if let Some(gauge) = &self.in_flight {
            gauge.enter();
        }
        Entry::now()
    }

    #[inline(never)]
    fn end(&self, start: Start, outcome: Outcome) {
        self.histograms[ending(outcome)].observe_nanos(start.elapsed_nanos());
        if let Some(gauge) = &self.in_flight {
            gauge.leave();
        }
    }

    /// A call is over of which only the duration matters.
    // Never inlined: the part that all such functions have in common, and the smaller the better.
    #[inline(never)]
    fn end_plain(&self, start: Start) {
        match start.counted_nanos() {
            Some(nanos) => self.histograms[0].observe_nanos(nanos),
            None => self.end_uncounted(start),
        }
    }

    #[inline(never)]
    fn end_uncounted(&self, start: Start) {
        self.histograms[0].observe_nanos(start.elapsed_nanos());
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
            plain: OnceRef::new(),
            unlabelled: OnceRef::new(),
            resolved: OnceLock::new(),
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
        match self.plain.get() {
            Some(durations) => PreparedTime(Some(durations), Care::Plain),
            None => self.first_or_more(labels),
        }
    }

    #[inline(never)]
    fn first_or_more(&'static self, labels: &[Value<'_>]) -> PreparedTime {
        let durations = self.unlabelled.get().or_else(|| self.first_or_labelled(labels));
        let care = match (self.split, self.in_flight) {
            (Split::Together, InFlight::Ignored) => Care::Plain,
            _ => Care::Full(()),
        };
        if let (Some(durations), Care::Plain, false) = (durations, care, self.site.has_labels()) {
            self.plain.get_or_init(|| durations);
        }
        PreparedTime(durations, care)
    }

    fn first_or_labelled(&'static self, labels: &[Value<'_>]) -> Option<&'static Durations> {
        let resolved = self.resolve()?;
        if self.site.has_labels() {
            let make = |values: &[&str]| self.durations(resolved, values);
            return Some(resolved.sets.of(&self.site, labels, make));
        }
        // A site is never dropped: what it refers to may stay as long.
        Some(self.unlabelled.get_or_init(|| Box::leak(Box::new(self.durations(resolved, &[])))))
    }

    fn resolve(&'static self) -> Option<&'static Resolved> {
        if self.resolved.get().is_none() && is_gathering() {
            // A registry can't be changed by its own collectors; a later call will do.
            return None;
        }
        self.resolved.get_or_init(|| self.site.report(self.register()).map(Box::new)).as_deref()
    }

    fn register(&self) -> Result<Resolved, Error> {
        let family =
            self.site.family(Bounds::trusted(self.buckets), self.label(Outcome::Success))?;
        let in_flight = match self.in_flight {
            InFlight::Counted => self.site.report(self.site.own(IN_FLIGHT, IN_FLIGHT_HELP)),
            InFlight::Ignored => None,
        };
        Ok(Resolved { family, in_flight, sets: Sets::new() })
    }

    fn durations(&self, resolved: &Resolved, values: &[&str]) -> Durations {
        let Resolved { family, in_flight, .. } = resolved;
        let histogram =
            |outcome| self.site.series(family, values, self.label(outcome), || family.fresh());
        let histograms = ENDINGS.map(histogram);
        Durations { histograms, in_flight: in_flight.clone() }
    }

    fn label(&self, outcome: Outcome) -> OutcomeLabel {
        match self.split {
            Split::ByOutcome => OutcomeLabel::Is(outcome),
            Split::Together => OutcomeLabel::Absent,
        }
    }
}

/// How much of a call there is to measure.
#[derive(Clone, Copy)]
enum Care<E> {
    /// Its duration.
    Plain,
    /// Its outcome, or that it is under way, as well.
    Full(E),
}

/// A call that is timed as soon as it starts.
#[derive(Clone, Copy)]
#[must_use = "nothing is timed before `enter`"]
pub struct PreparedTime(Option<&'static Durations>, Care<()>);

impl PreparedTime {
    /// The call starts.
    #[inline]
    pub fn enter(self) -> TimedCall {
        let care = match (self.0, self.1) {
            (Some(durations), Care::Full(())) => Care::Full(durations.begin()),
            _ => Care::Plain,
        };
        // Last, so that none of our own work is in the duration.
        TimedCall { durations: self.0, care, start: Start::now() }
    }
}

/// A call of a timed function, which is observed when it ends.
///
/// Dropped, it counts as a panic if the thread began to unwind since it started, and as a success otherwise.
#[must_use = "dropping it ends the call"]
pub struct TimedCall {
    durations: Option<&'static Durations>,
    care: Care<Entry>,
    start: Start,
}

impl TimedCall {
    /// Ends the call with a known outcome.
    #[inline]
    pub fn finish(self, outcome: Outcome) {
        // What is left of it has nothing to drop, and must not end twice.
        let call = ManuallyDrop::new(self);
        match (call.durations, call.care) {
            (Some(durations), Care::Plain) => durations.end_plain(call.start),
            (Some(durations), Care::Full(_)) => durations.end(call.start, outcome),
            (None, _) => {}
        }
    }
}

impl Drop for TimedCall {
    #[inline]
    fn drop(&mut self) {
        match (self.durations, self.care) {
            (Some(durations), Care::Plain) => durations.end_plain(self.start),
            (Some(durations), Care::Full(entry)) => {
                durations.end(self.start, entry.outcome_at_drop());
            }
            (None, _) => {}
        }
    }
}

/// Has this process time its calls as machines do that have no counter to trust. For benches.
pub fn keep_to_the_system_clock() {
    metrics::keep_to_the_system_clock();
}
