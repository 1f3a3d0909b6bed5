//! The five shapes that a measured function can take, and how its result is judged.
//!
//! No allowance for a lint encloses the user's block, and no name is introduced that the block can
//! see. Which shape fits is decided by the signature alone.

use proc_macro2::{Ident, TokenStream};
use quote::{quote, quote_spanned};

use crate::args::{Given, generated};
use crate::errors::Errors;
use crate::function::{Asyncness, Function};
use crate::output::Returns;
use crate::tokens::regroup;

pub(crate) const TWO_PREDICATES: &str =
    "`ok_if` and `error_if` answer the same question; keep one of the two";

/// How the outcome of a call that returned is told.
pub(crate) enum Judge {
    /// By the type of the result.
    Type,
    OkIf(TokenStream),
    ErrorIf(TokenStream),
    /// Not at all: only that the call is over counts.
    Nobody,
}

impl Judge {
    pub(crate) fn parse(given: &mut Given) -> (Self, Option<TokenStream>) {
        let ok_if = given.expression("ok_if", "ok_if = |result| result.is_ok()");
        let error_if = given.expression("error_if", "error_if = |result| result.is_err()");
        match (ok_if, error_if) {
            (Some(ok_if), extra) => (Self::OkIf(ok_if), extra),
            (None, Some(error_if)) => (Self::ErrorIf(error_if), None),
            (None, None) => (Self::Type, None),
        }
    }

    /// The predicate, if there is one.
    pub(crate) fn predicate(&self) -> Option<(&'static str, &TokenStream)> {
        match self {
            Self::OkIf(predicate) => Some(("ok_if", predicate)),
            Self::ErrorIf(predicate) => Some(("error_if", predicate)),
            Self::Type | Self::Nobody => None,
        }
    }

    /// The outcome of `result`, a reference.
    fn outcome(&self, runtime: &TokenStream, result: &TokenStream) -> TokenStream {
        let span = generated();
        match self {
            Self::Type => quote_spanned!(span=> #runtime::judge(#result).outcome()),
            Self::OkIf(ok) => quote_spanned!(span=> #runtime::ok_if(#result, #ok)),
            Self::ErrorIf(error) => quote_spanned!(span=> #runtime::error_if(#result, #error)),
            Self::Nobody => quote_spanned!(span=> #runtime::unjudged(#result)),
        }
    }

    /// The same for a result that isn't there yet, whose type is told where the body doesn't tell it.
    fn closure(&self, runtime: &TokenStream, of_type: Option<TokenStream>) -> TokenStream {
        let span = generated();
        let of_type = of_type.map(|of_type| quote_spanned!(span=> : &#of_type));
        let outcome = self.outcome(runtime, &quote_spanned!(span=> result));
        quote_spanned!(span=> |result #of_type| #outcome)
    }
}

/// What begins when the function is called.
pub(crate) struct Entry {
    /// The expression that starts measuring.
    pub(crate) enter: TokenStream,
    /// The expression that looks everything up, for futures that start later or never.
    pub(crate) prepare: TokenStream,
    pub(crate) holder: Holder,
    /// The user's name for it, and its type.
    pub(crate) handle: Option<(Ident, TokenStream)>,
}

/// Who keeps what was started while the body runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holder {
    /// The runtime's function.
    Callee,
    /// The annotated function, so that its body can use it.
    Function,
}

/// Whether `future` was given: the result is a boxed future, whatever its type is called.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Future {
    AsDeclared,
    Boxed,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shape {
    /// A local that records when it is dropped. Costs least, and knows nothing of the result.
    Guard,
    /// The body is a closure.
    Call,
    /// The body is an `async` block.
    AsyncCall,
    /// The body is an `async` block that never ends well.
    AsyncForever,
    /// The body makes a future, and that is measured.
    Future,
    /// The same for a future in a box.
    BoxedFuture,
}

fn shape(function: &Function, judge: &Judge, future: Future, holder: Holder) -> Shape {
    let is_guarded = matches!(judge, Judge::Nobody);
    match (function.asyncness(), function.output().returns()) {
        (Asyncness::Async, _) if is_guarded => Shape::Guard,
        (Asyncness::Async, Returns::Never) => Shape::AsyncForever,
        (Asyncness::Async, _) => Shape::AsyncCall,
        (Asyncness::Sync, Returns::BoxedFuture) => Shape::BoxedFuture,
        (Asyncness::Sync, _) if future == Future::Boxed => Shape::BoxedFuture,
        (Asyncness::Sync, Returns::Future) => Shape::Future,
        (Asyncness::Sync, Returns::Never) => Shape::Guard,
        (Asyncness::Sync, _) if is_guarded => Shape::Guard,
        // A run's outcome is worth more than the place that a panic names.
        (Asyncness::Sync, _) if holder == Holder::Function => Shape::Call,
        (Asyncness::Sync, _) if function.is_tracking_caller() => Shape::Guard,
        (Asyncness::Sync, _) => Shape::Call,
    }
}

/// Reports arguments that have no effect on this function.
pub(crate) fn check(
    function: &Function,
    judge: &Judge,
    future: Option<&Ident>,
    entry: Holder,
    errors: &mut Errors,
) {
    let declared = if future.is_some() { Future::Boxed } else { Future::AsDeclared };
    if let (Some(future), Asyncness::Async) = (future, function.asyncness()) {
        errors.at(
            future,
            "`future` is for functions that return a future; an `async fn` needs no word",
        );
    }
    let shape = shape(function, judge, declared, entry);
    if let (Some((name, predicate)), Shape::Guard) = (judge.predicate(), shape) {
        let reason = match function.output().returns() {
            Returns::Never => "this function never returns",
            _ => "nothing may stand between a `#[track_caller]` function and its caller",
        };
        errors.at(predicate, format!("`{name}` would never see a result: {reason}; remove it"));
    }
}

/// The function with `entry` at its start and its result judged.
pub(crate) fn expand(
    function: &Function,
    entry: &Entry,
    judge: &Judge,
    future: Future,
    runtime: &TokenStream,
) -> TokenStream {
    let shape = shape(function, judge, future, entry.holder);
    let (local, start) = start(function, entry, shape, judge, runtime);
    let call = match entry.holder {
        Holder::Callee => quote!(#local),
        Holder::Function => quote!(&#local),
    };
    let of_type = if shape == Shape::Future { function.output().of_future() } else { None };
    let is_value = matches!(shape, Shape::Call | Shape::AsyncCall);
    let judge = match judge {
        // The body may leave its hidden type open, which no judge could bear.
        Judge::Type if is_value && function.output().is_opaque() => &Judge::Nobody,
        judge => judge,
    };
    let block = function.block();
    let span = generated();
    let closure = || {
        let output = function.output().erased();
        // In the block's place: lints about how a body ends look there.
        let bars = quote_spanned!(block.span()=> ||);
        quote_spanned!(span=> #bars -> #output #block)
    };
    match shape {
        Shape::Guard => {
            let block = function.inner_block();
            function.with_body(&quote!(#start #block))
        }
        Shape::Call => {
            let body = closure();
            let ended = quote_spanned!(span=> #runtime::call(#call, #body));
            let judged = judged(&ended, judge, runtime);
            function.with_body(&quote_spanned!(span=> #start #judged))
        }
        Shape::AsyncCall => {
            let body = async_block(function, runtime);
            let ended = quote_spanned!(span=> #runtime::call_async(#call, #body).await);
            let judged = judged(&ended, judge, runtime);
            function.with_rebound_body(&quote_spanned!(span=> #start #judged))
        }
        Shape::AsyncForever => {
            let body = async_block(function, runtime);
            function.with_rebound_body(
                &quote_spanned!(span=> #start #runtime::call_forever(#call, #body).await),
            )
        }
        Shape::Future | Shape::BoxedFuture => {
            let body = closure();
            let judge = judge.closure(runtime, of_type);
            let measure = match shape {
                Shape::Future => quote_spanned!(span=> call_future),
                _ => quote_spanned!(span=> call_boxed),
            };
            function
                .with_body(&quote_spanned!(span=> #start #runtime::#measure(#local, #body, #judge)))
        }
    }
}

/// The statements that judge a call that has `ended`, and give its result back.
fn judged(ended: &TokenStream, judge: &Judge, runtime: &TokenStream) -> TokenStream {
    let span = generated();
    let outcome = judge.outcome(runtime, &quote_spanned!(span=> ended.result()));
    quote_spanned! {span=>
        let ended = #ended;
        let outcome = #outcome;
        ended.finish(outcome)
    }
}

/// The statement that starts measuring, and the name of what it makes.
///
/// It is a statement of its own: what label expressions borrow is free again when the body begins,
/// and nothing that isn't `Send` is held while it waits.
fn start(
    function: &Function,
    entry: &Entry,
    shape: Shape,
    judge: &Judge,
    runtime: &TokenStream,
) -> (Ident, TokenStream) {
    let span = generated();
    let is_prepared = matches!(shape, Shape::Future | Shape::BoxedFuture);
    let name = match (entry.holder, shape, &entry.handle) {
        _ if is_prepared => "prepared",
        (Holder::Callee, Shape::Guard, _) => "_call",
        (Holder::Callee, _, _) => "call",
        (Holder::Function, Shape::Guard, None) => "_run",
        (Holder::Function, _, _) => "run",
    };
    let local = Ident::new(name, span);
    let enter = &entry.enter;
    let begun = match (entry.holder, shape, judge) {
        _ if is_prepared => entry.prepare.clone(),
        // Somebody has to tell a panic.
        (Holder::Callee, Shape::Guard, Judge::Type | Judge::OkIf(_) | Judge::ErrorIf(_)) => {
            match function.output().returns() {
                Returns::Never => quote_spanned!(span=> #runtime::armed(#enter)),
                _ => quote_spanned!(span=> #runtime::guard(#enter)),
            }
        }
        _ => enter.clone(),
    };
    let handle = entry
        .handle
        .as_ref()
        .map(|(handle, of_type)| quote_spanned!(span=> let #handle: &#of_type = &#local;));
    let start = quote_spanned!(span=> let #local = #begun; #handle);
    (local, start)
}

/// The body as a future that owns its arguments.
fn async_block(function: &Function, runtime: &TokenStream) -> TokenStream {
    let span = generated();
    let pinned = pinned_output(function, runtime);
    // Captures `self` whole, so that its fields are dropped together.
    let receiver = function.moves_self().then(|| {
        let receiver = Ident::new("self", function.name().span());
        quote_spanned!(span=> let _ = &#receiver;)
    });
    let bindings = function.bindings();
    let block = function.block();
    let inner = function.inner_block();
    let future = regroup(&block, quote_spanned!(span=> #pinned #receiver #(#bindings)* #inner));
    // In the block's place: lints about how a body ends look there.
    quote_spanned!(block.span()=> async move #future)
}

/// A `return` that is never taken: from it the compiler learns the type of an `async` block.
fn pinned_output(function: &Function, runtime: &TokenStream) -> TokenStream {
    let span = generated();
    let returned = match function.output().returns() {
        Returns::Never => return TokenStream::new(),
        Returns::Unit => quote_spanned!(span=> return;),
        _ => {
            let output = function.output().erased();
            quote_spanned!(span=> return #runtime::never::<#output>();)
        }
    };
    quote_spanned! {span=>
        #[allow(unreachable_code)]
        if false { #returned }
    }
}
