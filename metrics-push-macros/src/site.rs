//! What `#[counted]` and `#[timed]` share: one place in the source that belongs to one metric.

use proc_macro2::{Ident, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned as _;
use syn::{Lit, LitInt, LitStr};

use crate::args::{Given, Pair, Text, as_literal, borrowed, generated};
use crate::errors::Errors;
use crate::function::Function;
use crate::names::{self, Conventions, Kind};
use crate::wrap::{Entry, Future, Holder};

/// The arguments that both attributes take.
pub(crate) struct Site {
    name: Option<Text>,
    help: Option<LitStr>,
    labels: Vec<Pair>,
    registry: Option<TokenStream>,
    runtime_crate: TokenStream,
    max_series: Option<LitInt>,
    conventions: Conventions,
    pub(crate) future: Option<Ident>,
    skip: Option<Ident>,
}

/// What tells the two attributes' metrics apart.
pub(crate) struct Metric {
    pub(crate) kind: Kind,
    /// The metric that all functions share that don't name one.
    pub(crate) shared_name: &'static str,
    pub(crate) shared_help: &'static str,
    /// The runtime's description of such a place.
    pub(crate) site: &'static str,
    /// The labels that the attribute adds itself.
    pub(crate) own_labels: &'static [&'static str],
}

impl Metric {
    /// Why the shared metric can't have what only one function asks for.
    pub(crate) fn shared(&self, argument: &str) -> String {
        let shared_name = self.shared_name;
        format!(
            "`{argument}` needs a metric of its own, and `{shared_name}` is shared by all functions; add `name = \"..\"`"
        )
    }
}

impl Site {
    pub(crate) fn parse(given: &mut Given, example: &str) -> Self {
        let name = given.text("name", example);
        Self {
            name,
            help: given.literal("help", "help = \"Payments taken.\""),
            labels: given.pairs("labels", "labels(service = \"checkout\", payment = payment)"),
            registry: given.expression("registry", "registry = MY_REGISTRY"),
            runtime_crate: runtime_crate(given),
            max_series: given.count("max_series", "max_series = 100"),
            conventions: match given.word("conventions", &["off"]) {
                Some(_) => Conventions::Off,
                None => Conventions::On,
            },
            future: given.flag("future"),
            skip: given.flag("skip"),
        }
    }

    pub(crate) fn check(&self, metric: &Metric, errors: &mut Errors) {
        match &self.name {
            Some(Text::Literal(name)) => names::metric(name, metric.kind, self.conventions, errors),
            Some(Text::Constant(_)) => {}
            None => self.check_shared(metric, errors),
        }
        if let Some(help) = self.help.as_ref().filter(|help| help.value().trim().is_empty()) {
            errors.at(help, "`help` is empty; say in a sentence what is measured, or leave it out");
        }
        names::labels(&self.labels, metric.own_labels, errors);
        // Methods with a `skip` of their own never get here.
        if let Some(skip) = &self.skip {
            errors.at(skip, "`skip` leaves one method out of an annotated `impl` block; here, remove the whole attribute");
        }
    }

    /// A metric that all functions share has one text and one set of label names: those of the attribute.
    fn check_shared(&self, metric: &Metric, errors: &mut Errors) {
        if let Some(help) = &self.help {
            errors.at(help, metric.shared("help"));
        }
        if let Some(label) = self.labels.first() {
            errors.at(&label.name, metric.shared("labels"));
        }
    }

    /// Whether the metric is the one that all functions share.
    pub(crate) fn is_shared(&self) -> bool {
        self.name.is_none()
    }

    pub(crate) fn runtime(&self) -> TokenStream {
        let runtime_crate = &self.runtime_crate;
        quote!(#runtime_crate::__private)
    }

    pub(crate) fn future(&self) -> Future {
        if self.future.is_some() { Future::Boxed } else { Future::AsDeclared }
    }

    /// The expressions that start measuring; `options` are calls on the description.
    pub(crate) fn entry(
        &self,
        metric: &Metric,
        options: &TokenStream,
        function: &Function,
    ) -> Entry {
        let span = generated();
        let runtime = self.runtime();
        let place = place(&runtime, function);
        let site = Ident::new(metric.site, span);
        let shared_name = metric.shared_name;
        let name = match &self.name {
            Some(Text::Literal(name)) => quote!(#name),
            Some(Text::Constant(name)) => quote_spanned!(span=> #runtime::metric_name(#name)),
            None => quote!(#shared_name),
        };
        let help = self.help_text(metric, function);
        let (labels, values) = self.label_tokens();
        let values: Vec<_> = values.into_iter().map(|value| label(&runtime, value)).collect();
        let max_series =
            self.max_series.as_ref().map(|max| quote_spanned!(span=> .max_series(#max)));
        let registry = self.registry.as_ref().map(|registry| {
            let registry = registry_function(&self.runtime_crate, registry);
            quote_spanned!(span=> .registry(#registry))
        });
        let site = quote_spanned! {span=>
            { static __SITE: #runtime::#site = #runtime::#site::new(
                #runtime::Site::new(#place, #name, #help) #labels #max_series #registry
            ) #options; &__SITE }
        };
        let enter = match values.is_empty() {
            true => quote_spanned!(span=> start()),
            false => quote_spanned!(span=> enter(&[#(#values),*])),
        };
        Entry {
            enter: quote_spanned!(span=> #site.#enter),
            prepare: quote_spanned!(span=> #site.prepare(&[#(#values),*])),
            holder: Holder::Callee,
            handle: None,
        }
    }

    /// The help text: as given, else the first paragraph of the documentation, else a plain sentence.
    fn help_text(&self, metric: &Metric, function: &Function) -> String {
        if let Some(help) = &self.help {
            return help.value();
        }
        if self.name.is_none() {
            return metric.shared_help.to_owned();
        }
        let (what, summary) = match &function.owner {
            Some(owner) if !owner.is_overridden => (owner.name.clone(), owner.summary.clone()),
            _ => (function.label(), function.summary()),
        };
        summary.unwrap_or_else(|| match metric.kind {
            Kind::Counter => format!("Calls of `{what}` by outcome."),
            Kind::Timer => format!("Duration of `{what}` in seconds."),
        })
    }

    /// The label names for the description, and the values that are computed at each call.
    fn label_tokens(&self) -> (TokenStream, Vec<&TokenStream>) {
        let span = generated();
        let mut fixed = Vec::new();
        let mut names = Vec::new();
        let mut values = Vec::new();
        for Pair { name, value } in &self.labels {
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

/// The text of a literal that is the same at each call.
fn literal_text(value: &TokenStream) -> Option<String> {
    match as_literal(value)? {
        Lit::Str(text) => Some(text.value()),
        Lit::Int(integer) => Some(integer.base10_digits().to_owned()),
        Lit::Bool(boolean) => Some(boolean.value.to_string()),
        _ => None,
    }
}

/// The value of a label for one call, asked for where the expression stands.
fn label(runtime: &TokenStream, expression: &TokenStream) -> TokenStream {
    let span = generated().located_at(expression.span());
    let expression = borrowed(expression);
    quote_spanned!(span=> #runtime::label(#expression).value())
}

fn place(runtime: &TokenStream, function: &Function) -> TokenStream {
    let label = function.label();
    quote_spanned! {generated()=>
        #runtime::CallSite {
            function: #label,
            module: ::core::module_path!(),
            file: ::core::file!(),
            line: ::core::line!(),
        }
    }
}

/// The crate that expansions name: `::metrics_push`, or what `crate = ..` says.
pub(crate) fn runtime_crate(given: &mut Given) -> TokenStream {
    let path = given.path("crate", "crate = ::my_facade::metrics_push");
    path.unwrap_or_else(|| quote_spanned!(generated()=> ::metrics_push))
}

/// A function that finds the registry, so that it is made when first used.
pub(crate) fn registry_function(
    runtime_crate: &TokenStream,
    registry: &TokenStream,
) -> TokenStream {
    quote_spanned! {generated()=>
        || -> &'static #runtime_crate::prometheus::Registry { &#registry }
    }
}
