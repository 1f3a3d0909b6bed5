//! `#[counted]`: calls by outcome.
//!
//! ```text
//! #[counted(labels(shard = n))]          fn load(n: u32) -> Result<u32, E> {
//! fn load(n: u32) -> Result<u32, E> {        let call = { static __SITE: CountedSite = ..; &__SITE }.enter(&[label(&(n)).value()]);
//!     body                          =>       let ended = call(call, || -> Result<u32, E> { body });
//! }                                          let outcome = judge(ended.result()).outcome();
//!                                            ended.finish(outcome)
//!                                        }
//! ```

use proc_macro2::TokenStream;
use quote::quote_spanned;

use crate::Attribute;
use crate::args::{Given, generated};
use crate::errors::Errors;
use crate::function::Function;
use crate::names::Kind;
use crate::site::{Metric, Site};
use crate::wrap::{self, Holder, Judge};

const METRIC: Metric = Metric {
    kind: Kind::Counter,
    shared_name: "function_calls_total",
    shared_help: "Calls of functions by outcome.",
    site: "CountedSite",
    own_labels: &["function", "module", "outcome"],
};

/// The arguments of `#[counted]`.
pub(crate) struct Args {
    site: Site,
    judge: Judge,
    second_predicate: Option<TokenStream>,
    counts: Counts,
}

enum Counts {
    AllCalls,
    Errors,
}

impl Attribute for Args {
    const NAME: &'static str = "counted";
    const PLACE: &'static str = "a function or an `impl` block";

    fn parse(given: &mut Given) -> Self {
        let site = Site::parse(given, "name = \"payments_total\"");
        let (judge, second_predicate) = Judge::parse(given);
        let counts = match given.word("only", &["error"]) {
            Some(_) => Counts::Errors,
            None => Counts::AllCalls,
        };
        Self { site, judge, second_predicate, counts }
    }

    fn check(&self, function: &Function, errors: &mut Errors) {
        self.site.check(&METRIC, errors);
        if let Some(second) = &self.second_predicate {
            errors.at(second, wrap::TWO_PREDICATES);
        }
        wrap::check(function, &self.judge, self.site.future.as_ref(), Holder::Callee, errors);
    }

    fn expand(&self, function: &Function) -> TokenStream {
        let options = match self.counts {
            Counts::AllCalls => TokenStream::new(),
            Counts::Errors => quote_spanned!(generated()=> .only_errors()),
        };
        let entry = self.site.entry(&METRIC, &options, function);
        wrap::expand(function, &entry, &self.judge, self.site.future(), &self.site.runtime())
    }
}
