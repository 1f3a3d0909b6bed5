//! The steps of an attribute: parse the arguments, check them, expand the function.

use proc_macro2::TokenStream;

use crate::arguments::Arguments;
use crate::errors::Errors;
use crate::function::{Function, Placement};

/// Implemented by the arguments of each attribute.
pub(crate) trait Attribute: Sized {
    const PLACEMENT: Placement;

    /// Takes the arguments that the attribute supports. `arguments` collects those of the wrong type.
    fn parse(arguments: &mut Arguments) -> Self;

    /// Reports every error in the combination of the arguments and the function.
    fn check(&self, function: &Function, errors: &mut Errors);

    /// Returns the instrumented function. Pure, and only called if there are no errors.
    fn expand(&self, function: &Function) -> TokenStream;
}
