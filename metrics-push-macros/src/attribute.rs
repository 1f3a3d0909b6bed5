//! `Attribute`: the steps of every attribute. It parses the arguments, checks them and expands the function.

use proc_macro2::TokenStream;

use crate::arguments::Arguments;
use crate::errors::Errors;
use crate::function::{Function, Placement};

/// Implemented by the arguments of each attribute.
pub(crate) trait Attribute: Sized {
    const PLACEMENT: Placement;

    /// Takes the arguments that the attribute supports. `arguments` collects an error for each argument of the
    /// wrong type.
    fn parse(arguments: &mut Arguments) -> Self;

    /// Reports every error in the arguments and in their combination with the function.
    fn check(&self, function: &Function, errors: &mut Errors);

    /// Returns the instrumented function. Pure, and called only if there are no errors.
    fn expand(&self, function: &Function) -> TokenStream;
}
