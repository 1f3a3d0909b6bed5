//! Expands an instrumented function. Its signature and the arguments determine its shape.
//!
//! Rules: no `#[allow]` applies to the user's block, and the block cannot use generated names.

use proc_macro2::{Ident, TokenStream};
use quote::{quote, quote_spanned};

use crate::errors::Errors;
use crate::function::{Asyncness, Function};
use crate::future_tail::FutureTail;
use crate::judge::{Judge, Source};
use crate::parameters::Moved;
use crate::return_type::{ReturnKind, ReturnType};
use crate::tokens::{empty_statement_first, generated};

/// The calls that start a measurement or a run.
pub(crate) struct Instrumentation {
    /// The expression that starts it and returns its guard.
    pub(crate) start: TokenStream,
    /// Returns the expression that prepares it, for a future that may start it later. Most functions do not need it.
    pub(crate) prepare: Box<dyn Fn() -> TokenStream>,
    /// True if the expressions may use the arguments of the function, which a future need not own.
    pub(crate) uses_arguments: bool,
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
    /// The body ends with a future, into which the measurement is inserted.
    FutureTail,
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
        let is_unjudged = matches!(judge.source, Source::None);
        match (function.asyncness(), function.return_type().kind()) {
            (Asyncness::Async, _) if is_unjudged => Self::Guard,
            (Asyncness::Async, ReturnKind::Never) => Self::AsyncForever,
            (Asyncness::Async, _) => Self::AsyncCall,
            (Asyncness::Sync, ReturnKind::BoxedFuture) => match function.future_tail() {
                Some(tail) if !tail.may_return_early() => Self::FutureTail,
                _ => Self::BoxedFuture,
            },
            (Asyncness::Sync, _) if future.is_some() => Self::BoxedFuture,
            (Asyncness::Sync, ReturnKind::Future) => match function.future_tail() {
                Some(_) => Self::FutureTail,
                None => Self::Future,
            },
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
    for (name, predicate) in judge.predicates().filter(|_| shape == Shape::Guard) {
        let reason = match function.return_type().kind() {
            ReturnKind::Never => "this function never returns",
            ReturnKind::Function => {
                "the result of a function that returns `impl Fn` is not inspected"
            }
            _ => "the result of a `#[track_caller]` function is not inspected",
        };
        errors.at(predicate, format!("`{name}` has no effect: {reason}; remove it"));
    }
}

/// Returns true if a run of the function starts in the runtime crate, so that the body cannot use it.
pub(crate) fn starts_in_runtime(function: &Function) -> bool {
    let shape = Shape::new(function, Judge::BY_TYPE, None, GuardOwner::Function);
    matches!(shape, Shape::Future | Shape::BoxedFuture)
}

/// Returns the instrumented function.
pub(crate) fn expand(
    function: &Function,
    instrumentation: &Instrumentation,
    judge: Judge<'_>,
    future: Option<&Ident>,
    runtime: &TokenStream,
) -> TokenStream {
    let shape = Shape::new(function, judge, future, instrumentation.guard_owner);
    let expansion = Expansion { function, instrumentation, judge, runtime };
    match shape {
        Shape::Guard => expansion.guarded(),
        Shape::Call => expansion.call(),
        Shape::AsyncCall => expansion.async_call(),
        Shape::AsyncForever => expansion.async_forever(),
        Shape::FutureTail => expansion.future_tail(),
        Shape::Future => expansion.future(),
        Shape::BoxedFuture => expansion.boxed_future(),
    }
}

/// The parts that determine the body of the instrumented function. There is one method per [`Shape`].
struct Expansion<'a> {
    function: &'a Function,
    instrumentation: &'a Instrumentation,
    judge: Judge<'a>,
    runtime: &'a TokenStream,
}

impl Expansion<'_> {
    fn guarded(&self) -> TokenStream {
        let Self { function, runtime, .. } = self;
        let span = generated();
        let Instrumentation { start, guard_owner, .. } = self.instrumentation;
        let never_returns = function.return_type().kind() == ReturnKind::Never;
        let guard = match (guard_owner, self.judge.source) {
            // The guard that the call itself is does not record a panic.
            (GuardOwner::Runtime, Source::None) => quote_spanned!(span=> let _call = #start;),
            (GuardOwner::Runtime, _) if never_returns => {
                quote_spanned!(span=> let _call = #runtime::armed(#start);)
            }
            (GuardOwner::Runtime, _) => quote_spanned!(span=> let _call = #runtime::guard(#start);),
            (GuardOwner::Function, _) => {
                let handle = self.handle();
                // A run that is dropped is cancelled.
                let guard = (!never_returns)
                    .then(|| quote_spanned!(span=> let _call = #runtime::guard(&run);));
                quote_spanned!(span=> let run = #start; #guard #handle)
            }
        };
        let block = function.inner_block();
        function.with_body(&quote!(#guard #block))
    }

    fn call(&self) -> TokenStream {
        let Self { function, runtime, .. } = self;
        let (start, guard) = self.start(&self.instrumentation.start);
        let body = self.closure();
        let ended = quote_spanned!(generated()=> #runtime::call(#guard, #body));
        let finish = self.finish(&ended, function.return_type());
        function.with_moved_parameters(function.borrows(), &quote!(#start #finish))
    }

    fn async_call(&self) -> TokenStream {
        let Self { function, runtime, .. } = self;
        let (start, guard) = self.start(&self.instrumentation.start);
        let body = self.async_block();
        let ended = quote_spanned!(generated()=> #runtime::call_async(#guard, #body).await);
        let finish = self.finish(&ended, function.return_type());
        // The function may return a future, for example a `JoinHandle`; the `async` block then returns it too.
        let allow = function
            .return_type()
            .may_be_future()
            .then(|| quote_spanned!(generated()=> #[allow(clippy::async_yields_async)]));
        let function = function.with_moved_parameters(Moved::IntoAsync, &quote!(#start #finish));
        quote!(#allow #function)
    }

    fn async_forever(&self) -> TokenStream {
        let Self { function, runtime, .. } = self;
        let (start, guard) = self.start(&self.instrumentation.start);
        let body = self.async_block();
        let call = quote_spanned!(generated()=> #runtime::call_forever(#guard, #body).await);
        function.with_moved_parameters(Moved::IntoAsync, &quote!(#start #call))
    }

    /// Inserts the measurement into the future. Adds no statement before the future if possible: some attributes
    /// remove the statements before `Box::pin`.
    fn future_tail(&self) -> TokenStream {
        let Self { function, runtime, .. } = self;
        let Some(tail) = function.future_tail() else { return self.future() };
        let span = generated();
        let Instrumentation { start, prepare, uses_arguments, .. } = self.instrumentation;
        let (prepared, start) = match uses_arguments {
            true => {
                let prepare = prepare();
                (
                    quote_spanned!(span=> let prepared = #prepare;),
                    quote_spanned!(span=> #runtime::enter(prepared)),
                )
            }
            false => (TokenStream::new(), start.clone()),
        };
        let content = match self.judge.source {
            Source::None => {
                let block = empty_statement_first(&tail.block);
                quote_spanned!(span=> let _call = #start; #block)
            }
            _ => self.judged_tail(&tail, &start),
        };
        let (head, future) = (&tail.head, tail.expression(content));
        function.with_body(&quote!(#prepared #head #future))
    }

    fn judged_tail(&self, tail: &FutureTail, start: &TokenStream) -> TokenStream {
        let Self { function, runtime, .. } = self;
        let span = generated();
        let (start, guard) = self.start(start);
        let output = function.return_type().future_output();
        let hint = output.as_ref().map(|output| output_hint(ReturnType::new(output), runtime));
        let block = empty_statement_first(&tail.block);
        let body = tail.async_block(quote!(#hint #block));
        let ended = quote_spanned!(span=> #runtime::call_async(#guard, #body).await);
        let finish = self.finish(&ended, ReturnType::new(&output.unwrap_or_default()));
        quote!(#start #finish)
    }

    fn future(&self) -> TokenStream {
        let output = self.function.return_type().future_output();
        let judge = self
            .judge
            .closure(self.runtime, output.map(|output| ReturnType::new(&output).erased()));
        self.measured_future(|body| {
            let runtime = self.runtime;
            quote_spanned!(generated()=> #runtime::call_future(prepared, #body, #judge))
        })
    }

    /// The closure returns every future of the body, also that of an early `return`.
    fn boxed_future(&self) -> TokenStream {
        let Self { function, runtime, .. } = self;
        let span = generated();
        let judge = self.judge.closure(runtime, None);
        let tail = function.future_tail().filter(FutureTail::is_boxed);
        self.measured_future(|body| match &tail {
            Some(tail) => {
                let future = tail.moving_expression(quote_spanned!(span=> measured.await));
                quote_spanned! {span=>
                    let measured = #runtime::call_future(prepared, #body, #judge);
                    #future
                }
            }
            None => quote_spanned!(span=> #runtime::call_boxed(prepared, #body, #judge)),
        })
    }

    fn measured_future(&self, call: impl FnOnce(&TokenStream) -> TokenStream) -> TokenStream {
        let function = self.function;
        let prepare = (self.instrumentation.prepare)();
        let call = call(&self.closure());
        let body = quote_spanned!(generated()=> let prepared = #prepare; #call);
        function.with_moved_parameters(function.borrows(), &body)
    }

    /// Returns the statements that start the measurement, and the guard that ends it.
    ///
    /// If the start uses arguments, it is a separate statement: the borrows of label expressions end before the
    /// body starts, and no temporary that is not `Send` lives across an `await`.
    fn start(&self, start: &TokenStream) -> (TokenStream, TokenStream) {
        let span = generated();
        let Instrumentation { guard_owner, uses_arguments, .. } = self.instrumentation;
        match guard_owner {
            GuardOwner::Runtime if !uses_arguments => (TokenStream::new(), start.clone()),
            GuardOwner::Runtime => {
                (quote_spanned!(span=> let call = #start;), quote_spanned!(span=> call))
            }
            GuardOwner::Function => {
                let handle = self.handle();
                (quote_spanned!(span=> let run = #start; #handle), quote_spanned!(span=> &run))
            }
        }
    }

    /// Returns the statement that declares the variable which the argument `run` names.
    fn handle(&self) -> TokenStream {
        let handle = self.instrumentation.handle.iter();
        handle
            .map(|(name, handle_type)| {
                quote_spanned!(generated()=> let #name: &#handle_type = &run;)
            })
            .collect()
    }

    /// Returns the statements that record the outcome of a call and return its result.
    fn finish(&self, ended: &TokenStream, result: ReturnType<'_>) -> TokenStream {
        // The compiler may infer the type behind `impl Trait` from the body. A look-up of its methods would make it ambiguous.
        let judge = if result.is_opaque() { self.judge.without_type() } else { self.judge };
        match self.instrumentation.guard_owner {
            GuardOwner::Runtime => judge.finish_temporary(self.runtime, ended, result),
            GuardOwner::Function => judge.finish(self.runtime, ended),
        }
    }

    /// Returns the body as a closure.
    fn closure(&self) -> TokenStream {
        let Self { function, runtime, .. } = self;
        let span = generated();
        let moved = function.borrows();
        let output = function.return_type().erased();
        // Never runs. A closure owns a variable if a statement moves it.
        let receiver = function.moved_self(moved).map(|receiver| {
            quote_spanned! {span=>
                #[allow(unreachable_code)]
                if false { #runtime::capture(#receiver); }
            }
        });
        let block = function.moved_block(moved, &quote!(#receiver));
        // Lints about the end of the body use the location of the bars.
        let bars = quote_spanned!(block.span()=> ||);
        quote_spanned!(span=> #bars -> #output #block)
    }

    /// Returns the body as a future that owns the parameters.
    fn async_block(&self) -> TokenStream {
        let Self { function, runtime, .. } = self;
        let output = output_hint(function.return_type(), runtime);
        // Captures the whole `self`, so that its fields are dropped together.
        let receiver = function
            .moved_self(Moved::IntoAsync)
            .map(|receiver| quote_spanned!(generated()=> let _ = &#receiver;));
        let future = function.moved_block(Moved::IntoAsync, &quote!(#output #receiver));
        // Lints about the end of the body use the location of the block.
        quote_spanned!(future.span()=> async move #future)
    }
}

/// Returns a `return` statement that never runs. From it, the compiler infers the output type of an `async`
/// block.
fn output_hint(output: ReturnType<'_>, runtime: &TokenStream) -> TokenStream {
    let span = generated();
    let returned = match output.kind() {
        ReturnKind::Never => return TokenStream::new(),
        ReturnKind::Unit => quote_spanned!(span=> return;),
        _ => {
            let output = output.erased();
            quote_spanned!(span=> return #runtime::never::<#output>();)
        }
    };
    quote_spanned! {span=>
        #[allow(unreachable_code)]
        if false { #returned }
    }
}
