//! Expands an instrumented function. Its signature and the arguments determine its shape.
//!
//! Rules: no `#[allow]` applies to the user's block, and the block cannot use generated names.

use proc_macro2::{Ident, TokenStream};
use quote::{quote, quote_spanned};

use crate::errors::Errors;
use crate::function::{Asyncness, Function};
use crate::judge::Judge;
use crate::parameters::Moved;
use crate::return_type::ReturnKind;
use crate::tokens::generated;

/// The calls that start a measurement or a run.
pub(crate) struct Instrumentation {
    /// The expression that starts it and returns its guard.
    pub(crate) start: TokenStream,
    /// The expression that prepares it, for a future that may start it later.
    pub(crate) prepare: TokenStream,
    pub(crate) guard_owner: GuardOwner,
    /// The variable that the argument `run` names, and its type.
    pub(crate) handle: Option<(Ident, TokenStream)>,
}

/// The owner of the guard while the body runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum GuardOwner {
    /// The function in the runtime crate that calls the body.
    Runtime,
    /// The annotated function, so that its body can use the guard.
    Function,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shape {
    /// A local variable that records the call when it is dropped. This is the cheapest shape, but it cannot
    /// inspect the result.
    Guard,
    /// The body is a closure.
    Call,
    /// The body is an `async` block.
    AsyncCall,
    /// The body is an `async` block that never returns.
    AsyncForever,
    /// The body returns a future, and the future is measured.
    Future,
    /// The body returns a boxed future, and the future is measured.
    BoxedFuture,
}

impl Shape {
    /// Returns the shape of a function. The argument `future` means that the return type is an alias of a boxed
    /// future.
    fn new(
        function: &Function,
        judge: Judge<'_>,
        future: Option<&Ident>,
        guard_owner: GuardOwner,
    ) -> Self {
        let is_unjudged = matches!(judge, Judge::None);
        match (function.asyncness(), function.return_type().kind()) {
            (Asyncness::Async, _) if is_unjudged => Self::Guard,
            (Asyncness::Async, ReturnKind::Never) => Self::AsyncForever,
            (Asyncness::Async, _) => Self::AsyncCall,
            (Asyncness::Sync, ReturnKind::BoxedFuture) => Self::BoxedFuture,
            (Asyncness::Sync, _) if future.is_some() => Self::BoxedFuture,
            (Asyncness::Sync, ReturnKind::Future) => Self::Future,
            (Asyncness::Sync, ReturnKind::Never | ReturnKind::Function) => Self::Guard,
            (Asyncness::Sync, _) if is_unjudged => Self::Guard,
            // The outcome of a run is more important than the location of the caller.
            (Asyncness::Sync, _) if guard_owner == GuardOwner::Function => Self::Call,
            (Asyncness::Sync, _) if function.is_track_caller() => Self::Guard,
            (Asyncness::Sync, _) => Self::Call,
        }
    }
}

/// Reports arguments that have no effect on this function.
pub(crate) fn check(
    function: &Function,
    judge: Judge<'_>,
    future: Option<&Ident>,
    guard_owner: GuardOwner,
    errors: &mut Errors,
) {
    if let (Some(future), Asyncness::Async) = (future, function.asyncness()) {
        errors.at(
            future,
            "`future` has no effect on an `async fn`, whose future is always measured; remove it",
        );
    }
    let shape = Shape::new(function, judge, future, guard_owner);
    if let (Some((name, predicate)), Shape::Guard) = (judge.predicate(), shape) {
        let reason = match function.return_type().kind() {
            ReturnKind::Never => "this function never returns",
            ReturnKind::Function => "the result of a function that returns `impl Fn` is not inspected",
            _ => "the result of a `#[track_caller]` function is not inspected",
        };
        errors.at(predicate, format!("`{name}` has no effect: {reason}; remove it"));
    }
}

/// Returns the instrumented function.
pub(crate) fn expand(
    function: &Function,
    instrumentation: &Instrumentation,
    judge: Judge<'_>,
    future: Option<&Ident>,
    runtime: &TokenStream,
) -> TokenStream {
    let span = generated();
    let shape = Shape::new(function, judge, future, instrumentation.guard_owner);
    let (local, start) = start_statement(function, instrumentation, shape, judge, runtime);
    let guard = match instrumentation.guard_owner {
        GuardOwner::Runtime => quote!(#local),
        GuardOwner::Function => quote!(&#local),
    };
    let judge = match judge {
        // The compiler may infer the type behind `impl Trait` from the body. A call of `judge` would make it
        // ambiguous.
        Judge::Type
            if matches!(shape, Shape::Call | Shape::AsyncCall)
                && function.return_type().is_opaque() =>
        {
            Judge::None
        }
        judge => judge,
    };
    match shape {
        Shape::Guard => {
            let block = function.inner_block();
            function.with_body(&quote!(#start #block))
        }
        Shape::Call => {
            let body = closure(function, runtime);
            let ended = quote_spanned!(span=> #runtime::call(#guard, #body));
            let finish = finish_statements(&ended, judge, runtime);
            function
                .with_moved_parameters(function.borrows(), &quote_spanned!(span=> #start #finish))
        }
        Shape::AsyncCall => {
            let body = async_block(function, runtime);
            let ended = quote_spanned!(span=> #runtime::call_async(#guard, #body).await);
            let finish = finish_statements(&ended, judge, runtime);
            function.with_moved_parameters(Moved::All, &quote_spanned!(span=> #start #finish))
        }
        Shape::AsyncForever => {
            let body = async_block(function, runtime);
            let call = quote_spanned!(span=> #runtime::call_forever(#guard, #body).await);
            function.with_moved_parameters(Moved::All, &quote_spanned!(span=> #start #call))
        }
        Shape::Future => {
            let body = closure(function, runtime);
            let judge = judge.closure(runtime, function.return_type().future_output());
            let call = quote_spanned!(span=> #runtime::call_future(#local, #body, #judge));
            function.with_moved_parameters(function.borrows(), &quote_spanned!(span=> #start #call))
        }
        Shape::BoxedFuture => {
            let body = closure(function, runtime);
            let judge = judge.closure(runtime, None);
            let call = quote_spanned!(span=> #runtime::call_boxed(#local, #body, #judge));
            function.with_moved_parameters(function.borrows(), &quote_spanned!(span=> #start #call))
        }
    }
}

/// Returns the statement that starts the measurement, and the name of its guard.
///
/// It is a separate statement: the borrows of label expressions end before the body starts, and no
/// temporary that is not `Send` lives across an `await`.
fn start_statement(
    function: &Function,
    instrumentation: &Instrumentation,
    shape: Shape,
    judge: Judge<'_>,
    runtime: &TokenStream,
) -> (Ident, TokenStream) {
    let span = generated();
    let Instrumentation { start, prepare, guard_owner, handle } = instrumentation;
    let is_prepared = matches!(shape, Shape::Future | Shape::BoxedFuture);
    let name = match (guard_owner, shape, handle) {
        _ if is_prepared => "prepared",
        (GuardOwner::Runtime, Shape::Guard, _) => "_call",
        (GuardOwner::Runtime, _, _) => "call",
        (GuardOwner::Function, Shape::Guard, None) => "_run",
        (GuardOwner::Function, _, _) => "run",
    };
    let local = Ident::new(name, span);
    let value = match (guard_owner, shape, judge) {
        _ if is_prepared => prepare.clone(),
        // Dropping the started call alone would not record a panic.
        (GuardOwner::Runtime, Shape::Guard, Judge::Type | Judge::OkIf(_) | Judge::ErrorIf(_)) => {
            match function.return_type().kind() {
                ReturnKind::Never => quote_spanned!(span=> #runtime::armed(#start)),
                _ => quote_spanned!(span=> #runtime::guard(#start)),
            }
        }
        _ => start.clone(),
    };
    let handle = handle
        .as_ref()
        .map(|(handle, handle_type)| quote_spanned!(span=> let #handle: &#handle_type = &#local;));
    // Dropping a run that was not finished reports a cancellation.
    let is_finished_by_guard = (*guard_owner, shape) == (GuardOwner::Function, Shape::Guard)
        && function.return_type().kind() == ReturnKind::Function;
    let finish = is_finished_by_guard
        .then(|| quote_spanned!(span=> let _call = #runtime::guard(&#local);));
    let statement = quote_spanned!(span=> let #local = #value; #finish #handle);
    (local, statement)
}

/// Returns the statements that record the outcome of a call and return its result.
fn finish_statements(ended: &TokenStream, judge: Judge<'_>, runtime: &TokenStream) -> TokenStream {
    let span = generated();
    let outcome = judge.outcome(runtime, &quote_spanned!(span=> ended.result()));
    quote_spanned! {span=>
        let ended = #ended;
        let outcome = #outcome;
        ended.finish(outcome)
    }
}

/// Returns the body as a closure.
fn closure(function: &Function, runtime: &TokenStream) -> TokenStream {
    let span = generated();
    let moved = function.borrows();
    let output = function.return_type().erased();
    // Never runs. A closure owns a variable if a statement moves it.
    let receiver = function.moved_self(moved).map(|receiver| {
        quote_spanned!(span=> #[allow(unreachable_code)] if false { #runtime::capture(#receiver); })
    });
    let block = function.moved_block(moved, &quote!(#receiver));
    // Lints about the end of the body use the location of the bars.
    let bars = quote_spanned!(block.span()=> ||);
    quote_spanned!(span=> #bars -> #output #block)
}

/// Returns the body as a future that owns the parameters.
fn async_block(function: &Function, runtime: &TokenStream) -> TokenStream {
    let span = generated();
    let output = output_hint(function, runtime);
    // Captures the whole `self`, so that its fields are dropped together.
    let receiver =
        function.moved_self(Moved::All).map(|receiver| quote_spanned!(span=> let _ = &#receiver;));
    let future = function.moved_block(Moved::All, &quote!(#output #receiver));
    // Lints about the end of the body use the location of the block.
    quote_spanned!(future.span()=> async move #future)
}

/// Returns a `return` statement that never runs. From it, the compiler infers the output type of an `async`
/// block.
fn output_hint(function: &Function, runtime: &TokenStream) -> TokenStream {
    let span = generated();
    let returned = match function.return_type().kind() {
        ReturnKind::Never => return TokenStream::new(),
        ReturnKind::Unit => quote_spanned!(span=> return;),
        _ => {
            let output = function.return_type().erased();
            quote_spanned!(span=> return #runtime::never::<#output>();)
        }
    };
    quote_spanned! {span=>
        #[allow(unreachable_code)]
        if false { #returned }
    }
}
