//! `#[timed]`: how long calls take.
//!
//! ```text
//! #[timed]                      fn load(n: u32) -> u32 {
//! fn load(n: u32) -> u32 {          let _call = { static __SITE: TimedSite = ..; &__SITE }.start();
//!     body                 =>       { body }
//! }                             }
//! ```
//!
//! With `outcome` the result is looked at, and the shape is that of `#[counted]`.

use proc_macro2::{Ident, TokenStream};
use quote::quote_spanned;

use crate::Attribute;
use crate::args::{Given, generated};
use crate::errors::Errors;
use crate::function::Function;
use crate::names::{self, Kind};
use crate::site::{Metric, Site};
use crate::wrap::{self, Holder, Judge};

const METRIC: Metric = Metric {
    kind: Kind::Timer,
    shared_name: "function_duration_seconds",
    shared_help: "Duration of function calls in seconds.",
    site: "TimedSite",
    own_labels: &["function", "module", "outcome"],
};

/// The arguments of `#[timed]`.
pub(crate) struct Args {
    site: Site,
    judge: Judge,
    second_predicate: Option<TokenStream>,
    buckets: Option<TokenStream>,
    outcome: Option<Ident>,
    in_flight: Option<Ident>,
}

impl Attribute for Args {
    const NAME: &'static str = "timed";
    const PLACE: &'static str = "a function or an `impl` block";

    fn parse(given: &mut Given) -> Self {
        let site = Site::parse(given, "name = \"payment_duration_seconds\"");
        let buckets = given.expression("buckets", "buckets = [0.1, 1, 10]");
        let outcome = given.flag("outcome");
        let in_flight = given.flag("in_flight");
        let (judge, second_predicate) = Judge::parse(given);
        Self { site, judge, second_predicate, buckets, outcome, in_flight }
    }

    fn check(&self, function: &Function, errors: &mut Errors) {
        self.site.check(&METRIC, errors);
        if let Some(buckets) = &self.buckets {
            names::buckets(buckets, errors);
        }
        if let Some(second) = &self.second_predicate {
            errors.at(second, wrap::TWO_PREDICATES);
        }
        if let (Some(outcome), true) = (&self.outcome, self.site.is_shared()) {
            errors.at(outcome, METRIC.shared("outcome"));
        }
        match (self.judge.predicate(), &self.outcome) {
            (Some((name, predicate)), None) => errors.at(
                predicate,
                format!(
                    "`{name}` decides the `outcome` label, which is not asked for; add `outcome`"
                ),
            ),
            _ => wrap::check(
                function,
                self.judge(),
                self.site.future.as_ref(),
                Holder::Callee,
                errors,
            ),
        }
    }

    fn expand(&self, function: &Function) -> TokenStream {
        let span = generated();
        let buckets = self.buckets.as_ref().map(|buckets| {
            let buckets = names::buckets(buckets, &mut Errors::default());
            quote_spanned!(span=> .buckets(#buckets))
        });
        let outcome = self.outcome.as_ref().map(|_| quote_spanned!(span=> .outcome()));
        let in_flight = self.in_flight.as_ref().map(|_| quote_spanned!(span=> .in_flight()));
        let options = quote_spanned!(span=> #buckets #outcome #in_flight);
        let entry = self.site.entry(&METRIC, &options, function);
        wrap::expand(function, &entry, self.judge(), self.site.future(), &self.site.runtime())
    }
}

impl Args {
    /// The result is looked at only for the `outcome` label.
    fn judge(&self) -> &Judge {
        match self.outcome {
            Some(_) => &self.judge,
            None => &Judge::Nobody,
        }
    }
}
