//! `#[counted]`: how often a function was called, by outcome.

use std::mem::ManuallyDrop;
use std::sync::{Arc, OnceLock};

use super::labels::Sets;
use super::site::{ENDINGS, Entry, OnceRef, OutcomeLabel, Site, ending};
use super::values::Value;
use crate::error::Error;
use crate::job::Outcome;
use crate::metrics::{Counter, Family, is_gathering};

/// A function that is counted.
pub struct CountedSite {
    site: Site,
    counts: Counts,
    /// Without labels of the call, all that a call needs.
    plain: OnceRef<'static, Outcomes>,
    resolved: OnceLock<Option<Box<Resolved>>>,
}

/// Which calls are counted.
#[derive(Clone, Copy)]
enum Counts {
    All,
    Errors,
}

/// What a site counts with, once it was called.
struct Resolved {
    family: Arc<Family<Counter>>,
    sets: Sets<Outcomes>,
}

/// A counter per ending, side by side. Nobody gathers those of endings that are not counted.
struct Outcomes([Counter; ENDINGS.len()]);

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
        Self { site, counts: Counts::All, plain: OnceRef::new(), resolved: OnceLock::new() }
    }

    /// Counts failures alone.
    #[must_use]
    pub const fn only_errors(mut self) -> Self {
        self.counts = Counts::Errors;
        self
    }

    /// A call of this function with these label values, which starts now.
    #[inline]
    pub fn enter(&'static self, labels: &[Value<'_>]) -> CountedCall {
        self.prepare(labels).enter()
    }

    /// The same for a function without such labels.
    #[inline]
    pub fn start(&'static self) -> CountedCall {
        self.enter(&[])
    }

    /// Finds the series without starting a call.
    #[inline]
    pub fn prepare(&'static self, labels: &[Value<'_>]) -> PreparedCount {
        PreparedCount(self.plain.get().or_else(|| self.first_or_labelled(labels)))
    }

    #[inline(never)]
    fn first_or_labelled(&'static self, labels: &[Value<'_>]) -> Option<&'static Outcomes> {
        let resolved = self.resolve()?;
        if self.site.has_labels() {
            let make = |values: &[&str]| self.outcomes(resolved, values);
            return Some(resolved.sets.of(&self.site, labels, make));
        }
        // A site is never dropped: what it refers to may stay as long.
        Some(self.plain.get_or_init(|| Box::leak(Box::new(self.outcomes(resolved, &[])))))
    }

    fn resolve(&'static self) -> Option<&'static Resolved> {
        if self.resolved.get().is_none() && is_gathering() {
            // A registry can't be changed by its own collectors; a later call will do.
            return None;
        }
        self.resolved.get_or_init(|| self.site.report(self.register()).map(Box::new)).as_deref()
    }

    fn register(&self) -> Result<Resolved, Error> {
        let family = self.site.family((), OutcomeLabel::Is(Outcome::Success))?;
        Ok(Resolved { family, sets: Sets::new() })
    }

    fn outcomes(&self, resolved: &Resolved, values: &[&str]) -> Outcomes {
        let fresh = Counter::together::<{ ENDINGS.len() }>();
        Outcomes(std::array::from_fn(|position| {
            let (outcome, fresh) = (ENDINGS[position], &fresh[position]);
            if matches!((self.counts, outcome), (Counts::Errors, Outcome::Success)) {
                return fresh.clone();
            }
            let label = OutcomeLabel::Is(outcome);
            self.site.series(&resolved.family, values, label, || fresh.clone())
        }))
    }
}

/// A call that counts as soon as it starts.
#[derive(Clone, Copy)]
#[must_use = "nothing is counted before `enter`"]
pub struct PreparedCount(Option<&'static Outcomes>);

impl PreparedCount {
    /// The call starts.
    #[inline]
    pub fn enter(self) -> CountedCall {
        CountedCall { outcomes: self.0, entry: Entry::now() }
    }
}

/// A call of a counted function, which counts when it ends.
///
/// Dropped, it counts a panic if the thread began to unwind since it started, and a success otherwise.
#[must_use = "dropping it ends the call"]
pub struct CountedCall {
    outcomes: Option<&'static Outcomes>,
    entry: Entry,
}

impl CountedCall {
    /// Ends the call with a known outcome.
    #[inline]
    pub fn finish(self, outcome: Outcome) {
        // What is left of it has nothing to drop, and must not end twice.
        ManuallyDrop::new(self).end(outcome);
    }

    #[inline]
    fn end(&self, outcome: Outcome) {
        if let Some(outcomes) = self.outcomes {
            outcomes.count(ending(outcome));
        }
    }
}

impl Drop for CountedCall {
    #[inline]
    fn drop(&mut self) {
        self.end(self.entry.outcome_at_drop());
    }
}
