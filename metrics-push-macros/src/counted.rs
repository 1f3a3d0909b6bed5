//! `#[counted]`: counts the calls of a function by outcome.
//!
//! ```text
//! #[counted]                             fn load(n: u32) -> Result<u32, E> {
//! fn load(n: u32) -> Result<u32, E> {        call(
//!     body                          =>           { static __SITE: .. = ..; &__SITE }.start("load", ..),
//! }                                              || -> Result<u32, E> { body },
//!                                            )
//!                                            .finish_result()
//!                                        }
//! ```
//!
//! With `labels`, the call starts in a statement before, which evaluates the values.

use proc_macro2::TokenStream;
use quote::quote_spanned;

use crate::arguments::Arguments;
use crate::attribute::Attribute;
use crate::errors::Errors;
use crate::expand::{self, GuardOwner};
use crate::function::{Function, Placement};
use crate::judge::Predicates;
use crate::metric::{Metric, MetricArgs};
use crate::tokens::generated;
use crate::validate::MetricKind;

const METRIC: Metric = Metric {
    kind: MetricKind::Counter,
    shared_name: "function_calls_total",
    shared_constructor: "function_calls",
    site_type: "CountedSite",
    shared_site_type: "SharedCountedSite",
    reserved_labels: &["function", "module", "outcome"],
};

pub(crate) struct Args {
    metric: MetricArgs,
    predicates: Predicates,
    counted_calls: CountedCalls,
}

enum CountedCalls {
    All,
    /// `only = error`.
    Errors,
}

impl Attribute for Args {
    const PLACEMENT: Placement =
        Placement { attribute: "counted", items: "a function or an `impl` block" };

    fn parse(arguments: &mut Arguments) -> Self {
        Self {
            metric: MetricArgs::parse(arguments, "name = \"payments_total\""),
            predicates: Predicates::parse(arguments),
            counted_calls: match arguments.word("only", &["error"]) {
                Some(_) => CountedCalls::Errors,
                None => CountedCalls::All,
            },
        }
    }

    fn check(&self, function: &Function, errors: &mut Errors) {
        self.metric.check(&METRIC, errors);
        self.predicates.check(errors);
        let (judge, future) = (self.predicates.judge(), self.metric.future());
        expand::check(function, judge, future, GuardOwner::Runtime, errors);
    }

    fn expand(&self, function: &Function) -> TokenStream {
        let options = match self.counted_calls {
            CountedCalls::All => TokenStream::new(),
            CountedCalls::Errors => quote_spanned!(generated()=> .only_errors()),
        };
        let instrumentation = self.metric.instrumentation(&METRIC, &options, function);
        let (judge, future) = (self.predicates.judge(), self.metric.future());
        expand::expand(function, &instrumentation, judge, future, &self.metric.runtime())
    }
}
