//! `MetricArgs`: the arguments that `#[counted]` and `#[timed]` share, which describe the metric of a function.

use proc_macro2::{Ident, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned as _;
use syn::{Lit, LitInt, LitStr};

use crate::arguments::{Arguments, Label, StringValue};
use crate::errors::Errors;
use crate::expand::{GuardOwner, Instrumentation};
use crate::function::Function;
use crate::runtime_crate::RuntimeCrate;
use crate::tokens::{as_literal, borrowed, generated};
use crate::validate::{self, Conventions, MetricKind};

/// The properties of an attribute's metric that do not depend on the arguments.
pub(crate) struct Metric {
    pub(crate) kind: MetricKind,
    /// The metric of all functions without the argument `name`.
    pub(crate) shared_name: &'static str,
    /// The constructor of that metric in the runtime crate.
    pub(crate) shared_constructor: &'static str,
    /// The type in the runtime crate that describes an instrumented function.
    pub(crate) site_type: &'static str,
    /// The type for a function that uses the shared metric without any options.
    pub(crate) shared_site_type: &'static str,
    /// The labels that the attribute itself adds.
    pub(crate) reserved_labels: &'static [&'static str],
}

impl Metric {
    /// Returns the error for an argument that would change the shared metric.
    pub(crate) fn needs_name(&self, argument: &str) -> String {
        let shared_name = self.shared_name;
        format!(
            "`{argument}` needs `name`, because all functions without it share `{shared_name}`; add `name = \"..\"`"
        )
    }
}

/// The arguments that `#[counted]` and `#[timed]` share.
pub(crate) struct MetricArgs {
    name: Option<StringValue>,
    help: Option<LitStr>,
    labels: Vec<Label>,
    registry: Option<TokenStream>,
    runtime_crate: RuntimeCrate,
    max_series: Option<LitInt>,
    conventions: Conventions,
    future: Option<Ident>,
    skip: Option<Ident>,
}

impl MetricArgs {
    pub(crate) fn parse(arguments: &mut Arguments, name_example: &str) -> Self {
        Self {
            name: arguments.string("name", name_example),
            help: arguments.literal("help", "help = \"Payments taken.\""),
            labels: arguments.labels("labels", "labels(service = \"checkout\", payment = payment)"),
            registry: arguments.expression("registry", "registry = MY_REGISTRY"),
            runtime_crate: RuntimeCrate::parse(arguments),
            max_series: arguments.positive_integer("max_series", "max_series = 100"),
            conventions: match arguments.word("conventions", &["off"]) {
                Some(_) => Conventions::Off,
                None => Conventions::On,
            },
            future: arguments.flag("future"),
            skip: arguments.flag("skip"),
        }
    }

    pub(crate) fn check(&self, metric: &Metric, errors: &mut Errors) {
        match &self.name {
            Some(StringValue::Literal(name)) => {
                validate::metric_name(name, metric.kind, self.conventions, errors);
            }
            Some(StringValue::Constant(_)) => {}
            None => self.check_shared(metric, errors),
        }
        if let Some(help) = self.help.as_ref().filter(|help| help.value().trim().is_empty()) {
            errors.at(
                help,
                "`help` is empty; write a sentence that describes the metric, or remove `help`",
            );
        }
        validate::metric_labels(&self.labels, metric.reserved_labels, errors);
        // `impl_block` handles the `skip` of a method.
        if let Some(skip) = &self.skip {
            errors.at(
                skip,
                "`skip` is only supported on a method of an annotated `impl` block; remove the attribute",
            );
        }
    }

    /// Reports arguments that would change the shared metric. All functions share its help text and label names.
    fn check_shared(&self, metric: &Metric, errors: &mut Errors) {
        if let Some(help) = &self.help {
            errors.at(help, metric.needs_name("help"));
        }
        if let Some(label) = self.labels.first() {
            errors.at(&label.name, metric.needs_name("labels"));
        }
    }

    /// Returns true if the metric is the one that functions without a `name` share.
    pub(crate) fn is_shared(&self) -> bool {
        self.name.is_none()
    }

    /// Returns the argument `future` if it is given.
    pub(crate) fn future(&self) -> Option<&Ident> {
        self.future.as_ref()
    }

    /// Returns the path of the runtime module that expansions use.
    pub(crate) fn runtime(&self) -> TokenStream {
        self.runtime_crate.private()
    }

    /// Returns the calls that start a measurement. `options` are method calls on the site.
    pub(crate) fn instrumentation(
        &self,
        metric: &Metric,
        options: &TokenStream,
        function: &Function,
    ) -> Instrumentation {
        let span = generated();
        let runtime = self.runtime();
        let function_label = function.label();
        let name = quote_spanned!(span=> #function_label, ::core::module_path!());
        let (labels, values) = self.label_tokens();
        let values: Vec<_> = values.into_iter().map(|value| label(&runtime, value)).collect();
        let (site_type, site, start, arguments) = match self.site_metric(metric, &labels, function)
        {
            // Each call passes the name: evaluating it in the static would cost more compile time.
            None if options.is_empty() => {
                (metric.shared_site_type, quote_spanned!(span=> new()), "start", name)
            }
            site_metric => {
                let site = quote_spanned!(span=> new(#name) #site_metric #options);
                (metric.site_type, site, "enter", quote_spanned!(span=> &[#(#values),*]))
            }
        };
        let (site_type, start) = (Ident::new(site_type, span), Ident::new(start, span));
        let site = quote_spanned! {span=>
            { static __SITE: #runtime::#site_type = #runtime::#site_type::#site; &__SITE }
        };
        Instrumentation {
            start: quote_spanned!(span=> #site.#start(#arguments)),
            prepare: Box::new(move || quote_spanned!(span=> #site.prepare(#arguments))),
            uses_arguments: !values.is_empty(),
            guard_owner: GuardOwner::Runtime,
            handle: None,
        }
    }

    /// Returns the method call that sets the metric of the site, unless it is the shared one without further arguments.
    fn site_metric(
        &self,
        metric: &Metric,
        labels: &TokenStream,
        function: &Function,
    ) -> Option<TokenStream> {
        if self.is_shared() && self.max_series.is_none() && self.registry.is_none() {
            return None;
        }
        let span = generated();
        let runtime = self.runtime();
        let name = self.name.as_ref().map(|name| match name {
            StringValue::Literal(name) => quote!(#name),
            StringValue::Constant(name) => quote_spanned!(span=> #runtime::metric_name(#name)),
        });
        let site_metric = match name {
            Some(name) => {
                let help = self.help_text(metric, function);
                quote_spanned!(span=> new(#name, #help))
            }
            None => {
                let shared = Ident::new(metric.shared_constructor, span);
                quote_spanned!(span=> #shared())
            }
        };
        let max_series =
            self.max_series.as_ref().map(|max| quote_spanned!(span=> .max_series(#max)));
        let registry = self.registry.as_ref().map(|registry| {
            let registry = self.runtime_crate.registry(registry);
            quote_spanned!(span=> .registry(#registry))
        });
        Some(quote_spanned! {span=>
            .metric(&const { #runtime::SiteMetric::#site_metric #labels #max_series #registry })
        })
    }

    /// Returns the argument `help`, or the first paragraph of the documentation, or a default sentence.
    fn help_text(&self, metric: &Metric, function: &Function) -> String {
        if let Some(help) = &self.help {
            return help.value();
        }
        let (subject, summary) = match &function.impl_context {
            Some(context) if !context.is_name_overridden => {
                (context.type_name.clone(), context.summary.clone())
            }
            _ => (function.label(), function.summary()),
        };
        summary.unwrap_or_else(|| match metric.kind {
            MetricKind::Counter => format!("Calls of `{subject}` by outcome."),
            MetricKind::Histogram => format!("Duration of `{subject}` in seconds."),
        })
    }

    /// Returns the method calls that add the labels to the site, and the expressions that each call evaluates.
    fn label_tokens(&self) -> (TokenStream, Vec<&TokenStream>) {
        let span = generated();
        let mut fixed = Vec::new();
        let mut names = Vec::new();
        let mut values = Vec::new();
        for Label { name, value } in &self.labels {
            let name = name.unraw().to_string();
            match literal_text(value) {
                Some(text) => fixed.push(quote!((#name, #text))),
                None => {
                    names.push(name);
                    values.push(value);
                }
            }
        }
        let names = (!names.is_empty()).then(|| quote_spanned!(span=> .labels(&[#(#names),*])));
        let fixed =
            (!fixed.is_empty()).then(|| quote_spanned!(span=> .fixed_labels(&[#(#fixed),*])));
        (quote!(#names #fixed), values)
    }
}

/// Returns the label value of a literal, which is the same for every call.
fn literal_text(value: &TokenStream) -> Option<String> {
    match as_literal(value)? {
        Lit::Str(text) => Some(text.value()),
        Lit::Int(integer) => Some(integer.base10_digits().to_owned()),
        Lit::Bool(boolean) => Some(boolean.value.to_string()),
        _ => None,
    }
}

/// Returns the label value of one call, with the location of the expression.
fn label(runtime: &TokenStream, expression: &TokenStream) -> TokenStream {
    let span = generated().located_at(expression.span());
    let expression = borrowed(expression);
    quote_spanned!(span=> #runtime::label(#expression).value())
}
