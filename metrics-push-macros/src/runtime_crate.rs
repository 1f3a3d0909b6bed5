//! `RuntimeCrate`: the path of the runtime crate, with which every path of an expansion starts.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote_spanned};

use crate::arguments::Arguments;
use crate::tokens::{borrowed, generated};

/// `::metrics_push`, or the value of `crate = ..`.
pub(crate) struct RuntimeCrate(TokenStream);

impl RuntimeCrate {
    pub(crate) fn parse(arguments: &mut Arguments) -> Self {
        let path = arguments.absolute_path("crate", "crate = ::my_facade::metrics_push");
        Self(path.unwrap_or_else(|| quote_spanned!(generated()=> ::metrics_push)))
    }

    /// Returns the path of the module that only expansions use.
    pub(crate) fn private(&self) -> TokenStream {
        quote_spanned!(generated()=> #self::__private)
    }

    /// Returns a closure that returns the registry, so that it is created on first use.
    pub(crate) fn registry(&self, registry: &TokenStream) -> TokenStream {
        let registry = borrowed(registry);
        quote_spanned! {generated()=>
            || -> &'static #self::prometheus::Registry { #registry }
        }
    }
}

impl ToTokens for RuntimeCrate {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        self.0.to_tokens(tokens);
    }
}
