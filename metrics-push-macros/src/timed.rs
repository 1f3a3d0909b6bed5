//! `#[timed]`: measures the duration of the calls of a function.
//!
//! ```text
//! #[timed]                      fn load(n: u32) -> u32 {
//! fn load(n: u32) -> u32 {          let _call = { static __SITE: .. = ..; &__SITE }.start("load", ..);
//!     body                 =>       { body }
//! }                             }
//! ```
//!
//! With `outcome`, the result is inspected, and the expansion has the shape of `#[counted]`.

use proc_macro2::{Ident, TokenStream};
use quote::quote_spanned;

use crate::arguments::Arguments;
use crate::attribute::Attribute;
use crate::errors::Errors;
use crate::expand::{self, GuardOwner};
use crate::function::{Function, Placement};
use crate::judge::{Judge, Predicates};
use crate::metric::{Metric, MetricArgs};
use crate::tokens::generated;
use crate::validate::{self, MetricKind};

const METRIC: Metric = Metric {
    kind: MetricKind::Histogram,
    shared_name: "function_duration_seconds",
    shared_constructor: "function_duration",
    site_type: "TimedSite",
    shared_site_type: "SharedTimedSite",
    reserved_labels: &["function", "module", "outcome"],
};

pub(crate) struct Args {
    metric: MetricArgs,
    buckets: Option<TokenStream>,
    outcome: Option<Ident>,
    in_flight: Option<Ident>,
    predicates: Predicates,
}

impl Attribute for Args {
    const PLACEMENT: Placement =
        Placement { attribute: "timed", items: "a function or an `impl` block" };

    fn parse(arguments: &mut Arguments) -> Self {
        Self {
            metric: MetricArgs::parse(arguments, "name = \"payment_duration_seconds\""),
            buckets: arguments.expression("buckets", "buckets = [0.1, 1, 10]"),
            outcome: arguments.flag("outcome"),
            in_flight: arguments.flag("in_flight"),
            predicates: Predicates::parse(arguments),
        }
    }

    fn check(&self, function: &Function, errors: &mut Errors) {
        self.metric.check(&METRIC, errors);
        if let Some(buckets) = &self.buckets {
            validate::buckets(buckets, errors);
        }
        self.predicates.check(errors);
        if let (Some(outcome), true) = (&self.outcome, self.metric.is_shared()) {
            errors.at(outcome, METRIC.needs_name("outcome"));
        }
        match (self.predicates.judge().predicates().next(), &self.outcome) {
            (Some((name, predicate)), None) => errors.at(
                predicate,
                format!("`{name}` needs `outcome`, whose label value it determines; add `outcome`"),
            ),
            _ => {
                let future = self.metric.future();
                expand::check(function, self.judge(), future, GuardOwner::Runtime, errors);
            }
        }
    }

    fn expand(&self, function: &Function) -> TokenStream {
        let span = generated();
        let buckets = self.buckets.as_ref().map(|buckets| {
            let buckets = validate::buckets(buckets, &mut Errors::default());
            quote_spanned!(span=> .buckets(#buckets))
        });
        let outcome = self.outcome.as_ref().map(|_| quote_spanned!(span=> .outcome()));
        let in_flight = self.in_flight.as_ref().map(|_| quote_spanned!(span=> .in_flight()));
        let is_default = buckets.is_none() && outcome.is_none() && in_flight.is_none();
        let runtime = self.metric.runtime();
        let options = match is_default {
            true => TokenStream::new(),
            false => {
                quote_spanned!(span=> .timing(&const { #runtime::SiteTiming::new() #buckets #outcome #in_flight }))
            }
        };
        let instrumentation = self.metric.instrumentation(&METRIC, &options, function);
        let (judge, future) = (self.judge(), self.metric.future());
        expand::expand(function, &instrumentation, judge, future, &runtime)
    }
}

impl Args {
    /// Returns how the result is judged. The result is inspected only if its outcome is a label value.
    fn judge(&self) -> Judge<'_> {
        match self.outcome {
            Some(_) => self.predicates.judge(),
            None => Judge::NONE,
        }
    }
}
