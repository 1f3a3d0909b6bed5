//! `#[counted]`: how often a function was called, by outcome.

use std::sync::Arc;

use super::lookup::{Lookup, Resolve};
use super::site::{ENDINGS, OutcomeLabel, Site, ending};
use super::values::Value;
use crate::error::Error;
use crate::job::Outcome;
use crate::metrics::{Counter, Family};

/// A function that is counted.
pub struct CountedSite {
    site: Site,
    counts: Counts,
    lookup: Lookup<Self>,
}

/// Which calls are counted.
#[derive(Clone, Copy)]
enum Counts {
    All,
    Errors,
}

/// A counter per ending, side by side. Nobody gathers those of endings that are not counted.
pub(super) struct Outcomes([Counter; ENDINGS.len()]);

impl Outcomes {
    #[inline]
    fn count(&self, ending: usize) {
        self.0[ending % ENDINGS.len()].inc();
    }
}

impl CountedSite {
    /// A function that is counted at this site.
    #[must_use]
    pub const fn new(site: Site) -> Self {
        Self { site, counts: Counts::All, lookup: Lookup::new() }
    }

    /// Counts failures alone.
    #[must_use]
    pub const fn only_errors(mut self) -> Self {
        self.counts = Counts::Errors;
        self
    }

    /// A call of this function with these label values. It counts when it ends.
    #[inline]
    pub fn enter(&'static self, labels: &[Value<'_>]) -> CountedCall {
        CountedCall(self.lookup.plain().unwrap_or_else(|| self.first_or_labelled(labels)))
    }

    /// The same for a function without such labels.
    #[inline]
    pub fn start(&'static self) -> CountedCall {
        self.enter(&[])
    }

    /// The same for a call that starts later, or never.
    #[inline]
    pub fn prepare(&'static self, labels: &[Value<'_>]) -> CountedCall {
        self.enter(labels)
    }

    #[inline(never)]
    fn first_or_labelled(&'static self, labels: &[Value<'_>]) -> &'static Outcomes {
        self.lookup.find(self, labels)
    }
}

impl Resolve for CountedSite {
    type Registered = Arc<Family<Counter>>;
    type Handles = Outcomes;

    fn site(&self) -> &Site {
        &self.site
    }

    fn register(&self) -> Result<Self::Registered, Error> {
        self.site.family((), OutcomeLabel::Is(Outcome::Success))
    }

    fn handles(&self, family: &Self::Registered, values: &[&str]) -> Outcomes {
        let Outcomes(fresh) = self.unheard();
        Outcomes(std::array::from_fn(|position| {
            let (outcome, fresh) = (ENDINGS[position], &fresh[position]);
            if matches!((self.counts, outcome), (Counts::Errors, Outcome::Success)) {
                return fresh.clone();
            }
            self.site.series(family, values, OutcomeLabel::Is(outcome), || fresh.clone())
        }))
    }

    fn unheard(&self) -> Outcomes {
        Outcomes(Counter::together())
    }
}

/// A call of a counted function, which counts when it ends.
#[derive(Clone, Copy)]
#[must_use = "without an end it is not counted"]
pub struct CountedCall(&'static Outcomes);

impl CountedCall {
    /// Ends the call.
    #[inline]
    pub fn finish(self, outcome: Outcome) {
        self.0.count(ending(outcome));
    }
}
