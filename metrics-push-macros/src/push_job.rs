//! `#[push_job]`: reports each call of a function as a run of a job.
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

use std::time::Duration;

use proc_macro2::{Ident, TokenStream};
use quote::{quote, quote_spanned};
use syn::LitInt;
use syn::ext::IdentExt;

use crate::arguments::{Arguments, Label, StringValue};
use crate::attribute::Attribute;
use crate::duration::DurationValue;
use crate::errors::Errors;
use crate::expand::{self, GuardOwner, Instrumentation};
use crate::function::{Function, Placement};
use crate::judge::Predicates;
use crate::runtime_crate::RuntimeCrate;
use crate::timing::TimingArgs;
use crate::tokens::{borrowed, generated};
use crate::validate;

/// A shorter interval would burden the gateway more than it informs.
const MIN_HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);

pub(crate) struct Args {
    name: Option<StringValue>,
    grouping: Vec<Label>,
    /// `instance` or `instance = expression`.
    instance: Option<Option<TokenStream>>,
    run: Option<Ident>,
    timing: TimingArgs,
    max_runtime: Option<DurationValue>,
    kill: Option<Ident>,
    heartbeat: Option<DurationValue>,
    failure_threshold: Option<LitInt>,
    recovery_threshold: Option<LitInt>,
    on_success: OnSuccess,
    cumulative: Option<Ident>,
    /// `signals = off`.
    signals_off: Option<Ident>,
    supervise: Option<Ident>,
    predicates: Predicates,
    registry: Option<TokenStream>,
    runtime_crate: RuntimeCrate,
}

enum OnSuccess {
    Push,
    Add,
}

impl Attribute for Args {
    const PLACEMENT: Placement = Placement { attribute: "push_job", items: "a function" };

    fn parse(arguments: &mut Arguments) -> Self {
        Self {
            name: arguments.string("name", "name = \"nightly_import\""),
            grouping: arguments.labels("grouping", "grouping(region = \"eu\", shard = shard)"),
            instance: arguments.flag_or_expression("instance", "instance = host_name()"),
            run: arguments.ident("run", "run = run"),
            timing: TimingArgs::parse(arguments),
            max_runtime: arguments.duration("max_runtime", "max_runtime = \"1h30m\""),
            kill: arguments.flag("kill"),
            heartbeat: arguments.duration("heartbeat", "heartbeat = \"30s\""),
            failure_threshold: arguments
                .positive_integer("failure_threshold", "failure_threshold = 3"),
            recovery_threshold: arguments
                .positive_integer("recovery_threshold", "recovery_threshold = 2"),
            on_success: match arguments.word("on_success", &["push", "add"]) {
                Some((1, _)) => OnSuccess::Add,
                _ => OnSuccess::Push,
            },
            cumulative: arguments.flag("cumulative"),
            signals_off: arguments.word("signals", &["off"]).map(|(_, name)| name),
            supervise: arguments.flag("supervise"),
            predicates: Predicates::parse_for_run(arguments),
            registry: arguments.expression("registry", "registry = MY_REGISTRY"),
            runtime_crate: RuntimeCrate::parse(arguments),
        }
    }

    fn check(&self, function: &Function, errors: &mut Errors) {
        if let Some(StringValue::Literal(name)) = &self.name
            && name.value().is_empty()
        {
            errors.at(
                name,
                "invalid job name \"\": it must not be empty; write for example `name = \"nightly_import\"`",
            );
        }
        validate::grouping_labels(&self.grouping, errors);
        if self.instance.is_some()
            && let Some(label) = self.grouping.iter().find(|label| label.name == "instance")
        {
            errors.at(
                &label.name,
                "duplicate label `instance`; remove the label or the argument `instance`",
            );
        }
        self.timing.check(errors);
        self.predicates.check(errors);
        if let (Some(run), true) = (&self.run, expand::starts_in_runtime(function)) {
            errors.at(
                run,
                "`run` is not supported on a function that returns a future and does not end with an `async` block, because the run starts when the future is first polled; use an `async fn`, or remove `run`",
            );
        }
        if let (Some(kill), None) = (&self.kill, &self.max_runtime) {
            errors.at(kill, "`kill` needs `max_runtime`; write `max_runtime = \"1h\", kill`");
        }
        if let Some(DurationValue::Literal(literal, interval)) = &self.heartbeat
            && *interval < MIN_HEARTBEAT_INTERVAL
        {
            errors.at(
                literal,
                format!(
                    "invalid heartbeat {:?}: it must be at least 1s, because each heartbeat is a request to the gateway; write for example \"30s\"",
                    literal.value()
                ),
            );
        }
        let process_arguments = [&self.kill, &self.supervise, &self.signals_off];
        for flag in process_arguments.into_iter().flatten().filter(|_| !function.is_main()) {
            errors.at(
                flag,
                format_args!(
                    "`{flag}` is only supported on `fn main`, because it applies to the whole process; remove it"
                ),
            );
        }
        expand::check(function, self.predicates.judge(), None, GuardOwner::Function, errors);
    }

    fn expand(&self, function: &Function) -> TokenStream {
        let span = generated();
        let runtime_crate = &self.runtime_crate;
        let runtime = runtime_crate.private();
        let mut job = self.job(&runtime, function);
        if self.supervise.is_some() || self.kill.is_some() {
            job = quote_spanned!(span=> #runtime::supervised(#job));
        }
        let labels = self.labels(&runtime);
        let handle = self.run.as_ref();
        let instrumentation = Instrumentation {
            start: quote_spanned!(span=> #runtime::start(#job, &[#(#labels),*])),
            uses_arguments: !labels.is_empty(),
            prepare: Box::new({
                let runtime = runtime.clone();
                move || quote_spanned!(span=> #runtime::prepare(#job, &[#(#labels),*]))
            }),
            guard_owner: GuardOwner::Function,
            handle: handle.map(|run| (run.clone(), quote_spanned!(span=> #runtime_crate::Run))),
        };
        expand::expand(function, &instrumentation, self.predicates.judge(), None, &runtime)
    }
}

impl Args {
    /// Returns a reference to the static `Job`. Only values that differ from the defaults are set.
    fn job(&self, runtime: &TokenStream, function: &Function) -> TokenStream {
        let span = generated();
        let runtime_crate = &self.runtime_crate;
        let name = self.job_name(runtime, function);
        let timing = &self.timing;
        let max_runtime =
            self.max_runtime.as_ref().map(|max| quote_spanned!(span=> .max_runtime(#max)));
        let heartbeat = self.heartbeat.as_ref().map(|interval| {
            let interval = match interval {
                DurationValue::Literal(..) => quote!(#interval),
                DurationValue::Constant(_) => {
                    quote_spanned!(span=> #runtime::heartbeat_interval(#interval))
                }
            };
            quote_spanned!(span=> .heartbeat(#interval))
        });
        let failure_threshold = self
            .failure_threshold
            .as_ref()
            .map(|runs| quote_spanned!(span=> .failure_threshold(#runs)));
        let recovery_threshold = self
            .recovery_threshold
            .as_ref()
            .map(|runs| quote_spanned!(span=> .recovery_threshold(#runs)));
        let on_success = match self.on_success {
            OnSuccess::Push => None,
            OnSuccess::Add => Some(quote_spanned!(span=> .on_success(#runtime_crate::Verb::Add))),
        };
        let registry = self.registry.as_ref().map(|registry| {
            let registry = runtime_crate.registry(registry);
            quote_spanned!(span=> .registry(#registry))
        });
        let kill = self.kill.as_ref().map(|_| quote_spanned!(span=> .kill_after_max_runtime()));
        let cumulative = self.cumulative.as_ref().map(|_| quote_spanned!(span=> .cumulative()));
        let signals =
            self.signals_off.as_ref().map(|_| quote_spanned!(span=> .without_signal_hooks()));
        let supervise = self.supervise.as_ref().map(|_| quote_spanned!(span=> .supervise()));
        let whole_process = function.is_main().then(|| quote_spanned!(span=> .whole_process()));
        quote_spanned! {span=>
            { static __JOB: #runtime_crate::Job = #runtime_crate::Job::new(#name)
                #timing #max_runtime #kill #heartbeat #failure_threshold #recovery_threshold
                #on_success #cumulative #signals #supervise
                .version(::core::option_env!("CARGO_PKG_VERSION"))
                #registry #whole_process; &__JOB }
        }
    }

    /// Returns the argument `name`, or the name of the binary for `main`, or the name of the function.
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

    /// Returns the grouping labels as pairs of a name and a reference to a value.
    fn labels(&self, runtime: &TokenStream) -> Vec<TokenStream> {
        let span = generated();
        let grouping = self.grouping.iter().map(|Label { name, value }| {
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
