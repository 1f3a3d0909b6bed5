//! `#[push_job]`: a run of a job, from its start to its delivered outcome.
//!
//! ```text
//! #[push_job(every = "24h", run = run)]    fn import() -> Result<(), E> {
//! fn import() -> Result<(), E> {               let run = start({ static __JOB: Job = Job::new("import").every(..); &__JOB }, &[]);
//!     body                          =>         let run: &Run = &run;
//! }                                            let ended = call(&run, || -> Result<(), E> { body });
//!                                              let outcome = judge(ended.result()).outcome();
//!                                              ended.finish(outcome)
//!                                          }
//! ```

use proc_macro2::{Ident, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;

use crate::Attribute;
use crate::args::{Duration, Given, Pair, Text, borrowed, generated};
use crate::errors::Errors;
use crate::function::{Asyncness, Function};
use crate::names;
use crate::output::Returns;
use crate::site::{registry_function, runtime_crate};
use crate::wrap::{self, Entry, Future, Holder, Judge};

/// The arguments of `#[push_job]`.
pub(crate) struct Args {
    name: Option<Text>,
    grouping: Vec<Pair>,
    /// `instance`, and the expression behind it.
    instance: Option<Option<TokenStream>>,
    run: Option<Ident>,
    every: Option<Duration>,
    max_runtime: Option<Duration>,
    /// Ends a run that takes longer.
    kill: Option<Ident>,
    heartbeat: Option<Duration>,
    on_success: Verb,
    signals_off: Option<usize>,
    supervise: Option<Ident>,
    judge: Judge,
    second_predicate: Option<TokenStream>,
    registry: Option<TokenStream>,
    runtime_crate: TokenStream,
}

/// What a success does to the group.
enum Verb {
    Push,
    Add,
}

impl Attribute for Args {
    const NAME: &'static str = "push_job";
    const PLACE: &'static str = "a function";

    fn parse(given: &mut Given) -> Self {
        let name = given.text("name", "name = \"nightly_import\"");
        let grouping = given.pairs("grouping", "grouping(region = \"eu\", shard = shard)");
        let instance = given.optional("instance", "instance = host_name()");
        let run = given.ident("run", "run = run");
        let every = given.duration("every", "every = \"24h\"");
        let max_runtime = given.duration("max_runtime", "max_runtime = \"1h30m\"");
        let kill = given.flag("kill");
        let heartbeat = given.duration("heartbeat", "heartbeat = \"30s\"");
        let on_success = match given.word("on_success", &["push", "add"]) {
            Some(1) => Verb::Add,
            _ => Verb::Push,
        };
        let signals_off = given.word("signals", &["off"]);
        let supervise = given.flag("supervise");
        let (judge, second_predicate) = Judge::parse(given);
        let registry = given.expression("registry", "registry = MY_REGISTRY");
        let runtime_crate = runtime_crate(given);
        Self {
            name,
            grouping,
            instance,
            run,
            every,
            max_runtime,
            kill,
            heartbeat,
            on_success,
            signals_off,
            supervise,
            judge,
            second_predicate,
            registry,
            runtime_crate,
        }
    }

    fn check(&self, function: &Function, errors: &mut Errors) {
        if let Some(Text::Literal(name)) = &self.name
            && name.value().is_empty()
        {
            errors.at(name, "the name is empty; the gateway addresses every group by it");
        }
        names::grouping(&self.grouping, self.instance.is_some(), errors);
        if let Some(second) = &self.second_predicate {
            errors.at(second, wrap::TWO_PREDICATES);
        }
        let starts_later = function.asyncness() == Asyncness::Sync
            && matches!(function.output().returns(), Returns::Future | Returns::BoxedFuture);
        if let (Some(run), true) = (&self.run, starts_later) {
            errors.at(run, "there is no run yet when this function returns its future; make it an `async fn`, or leave `run` out");
        }
        if let (Some(kill), None) = (&self.kill, &self.max_runtime) {
            errors.at(kill, "after which time? Write `max_runtime = \"1h\", kill`");
        }
        for flag in self.kill.iter().chain(&self.supervise).filter(|_| !function.is_main()) {
            errors.at(
                flag,
                format_args!(
                    "`{flag}` is for `fn main`: a process has a supervisor, a task in it can't"
                ),
            );
        }
        wrap::check(function, &self.judge, None, Holder::Function, errors);
    }

    fn expand(&self, function: &Function) -> TokenStream {
        let span = generated();
        let runtime_crate = &self.runtime_crate;
        let runtime = quote_spanned!(span=> #runtime_crate::__private);
        let mut job = self.job(&runtime, function);
        if self.supervise.is_some() || self.kill.is_some() {
            job = quote_spanned!(span=> #runtime::supervised(#job));
        }
        let labels = self.labels(&runtime);
        let handle = self.run.as_ref();
        let entry = Entry {
            enter: quote_spanned!(span=> #runtime::start(#job, &[#(#labels),*])),
            prepare: quote_spanned!(span=> #runtime::prepare(#job, &[#(#labels),*])),
            holder: Holder::Function,
            handle: handle.map(|run| (run.clone(), quote_spanned!(span=> #runtime_crate::Run))),
        };
        wrap::expand(function, &entry, &self.judge, Future::AsDeclared, &runtime)
    }
}

impl Args {
    /// The job's description; only what differs from the defaults is said.
    fn job(&self, runtime: &TokenStream, function: &Function) -> TokenStream {
        let span = generated();
        let runtime_crate = &self.runtime_crate;
        let name = self.job_name(runtime, function);
        let every = duration_option("every", self.every.as_ref());
        let max_runtime = duration_option("max_runtime", self.max_runtime.as_ref());
        let heartbeat = duration_option("heartbeat", self.heartbeat.as_ref());
        let on_success = match self.on_success {
            Verb::Push => None,
            Verb::Add => Some(quote_spanned!(span=> .on_success(#runtime_crate::Verb::Add))),
        };
        let registry = self.registry.as_ref().map(|registry| {
            let registry = registry_function(runtime_crate, registry);
            quote_spanned!(span=> .registry(#registry))
        });
        let kill = self.kill.as_ref().map(|_| quote_spanned!(span=> .kill_after_max_runtime()));
        let signals = self.signals_off.map(|_| quote_spanned!(span=> .without_signal_hooks()));
        let supervise = self.supervise.as_ref().map(|_| quote_spanned!(span=> .supervise()));
        let whole_process = function.is_main().then(|| quote_spanned!(span=> .whole_process()));
        quote_spanned! {span=>
            { static __JOB: #runtime_crate::Job = #runtime_crate::Job::new(#name)
                #every #max_runtime #kill #heartbeat #on_success #signals #supervise
                .version(::core::option_env!("CARGO_PKG_VERSION"))
                #registry #whole_process; &__JOB }
        }
    }

    /// The name as given, else the binary's for `main`, else the function's.
    fn job_name(&self, runtime: &TokenStream, function: &Function) -> TokenStream {
        if let Some(name) = &self.name {
            return quote!(#name);
        }
        if function.is_main() {
            return quote_spanned! {generated()=>
                #runtime::binary_name(::core::option_env!("CARGO_BIN_NAME"), ::core::module_path!())
            };
        }
        let name = function.bare_name();
        quote!(#name)
    }

    fn labels(&self, runtime: &TokenStream) -> Vec<TokenStream> {
        let span = generated();
        let grouping = self.grouping.iter().map(|Pair { name, value }| {
            let name = name.unraw().to_string();
            let value = borrowed(value);
            quote_spanned!(span=> (#name, #value))
        });
        let instance = self.instance.as_ref().map(|expression| match expression {
            Some(expression) => {
                let value = borrowed(expression);
                quote_spanned!(span=> ("instance", #value))
            }
            None => quote_spanned!(span=> ("instance", &#runtime::host_name())),
        });
        grouping.chain(instance).collect()
    }
}

fn duration_option(name: &str, duration: Option<&Duration>) -> Option<TokenStream> {
    let span = generated();
    let name = Ident::new(name, span);
    let duration = match duration? {
        Duration::Literal(duration) => names::duration_tokens(*duration),
        Duration::Constant(expression) => expression.clone(),
    };
    Some(quote_spanned!(span=> .#name(#duration)))
}
