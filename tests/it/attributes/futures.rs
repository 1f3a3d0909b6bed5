//! Functions that return a future, which is measured until it completes.

use std::cell::Cell;
use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::rc::Rc;

use metrics_push::{counted, push_job, timed};

use super::{block_on, calls, pause, poll, timings};

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

#[test]
fn returned_future_is_measured_from_its_first_poll() {
    #[expect(clippy::manual_async_fn, reason = "the test needs a function that returns a future")]
    #[counted]
    #[timed]
    fn returned(fails: bool) -> impl Future<Output = Result<u8, u8>> {
        async move {
            pause().await;
            if fails { Err(1) } else { Ok(1) }
        }
    }
    drop(returned(true));
    assert!(block_on(returned(true)).is_err());
    assert!(block_on(returned(false)).is_ok());
    let mut cancelled = Box::pin(returned(true));
    assert!(poll(cancelled.as_mut()).is_pending());
    drop(cancelled);
    assert_eq!(calls!("returned"), "cancelled 1, error 1, success 1");
    assert_eq!(timings!("returned"), "calls 3");
}

#[test]
fn code_before_the_returned_future_runs_immediately() {
    #[counted]
    fn eager(seen: Rc<Cell<u8>>) -> impl Future<Output = u8> + Unpin {
        seen.set(1);
        Box::pin(async move { seen.get() })
    }
    let seen = Rc::new(Cell::new(0));
    let future = eager(Rc::clone(&seen));
    assert_eq!(seen.get(), 1);
    assert_eq!(block_on(future), 1);
    assert_eq!(calls!("eager"), "success 1");
}

#[test]
fn aliased_future_type_needs_the_future_argument() {
    #[counted(future)]
    fn aliased(n: &u8) -> BoxFuture<'_, Result<u8, ()>> {
        Box::pin(async move {
            pause().await;
            if *n == 0 { Err(()) } else { Ok(*n) }
        })
    }
    #[counted]
    fn constructed(n: &u8) -> BoxFuture<'_, Result<u8, ()>> {
        Box::pin(async move { if *n == 0 { Err(()) } else { Ok(*n) } })
    }
    assert!(block_on(aliased(&0)).is_err() && block_on(aliased(&1)).is_ok());
    assert!(block_on(constructed(&0)).is_err());
    assert_eq!(calls!("aliased"), "error 1, success 1");
    assert_eq!(calls!("constructed"), "success 1");
}

#[rustfmt::skip]
#[test]
fn boxed_future_is_measured_however_its_type_is_written() {
    #[counted]
    fn commas() -> Pin<
        Box<
            dyn Future<
                Output = Result<(), ()>,
            > + Send,
        >,
    > {
        Box::pin(async { Err(()) })
    }
    #[expect(unused_parens, reason = "part of the case")]
    #[counted]
    fn parentheses() -> Pin<Box<(dyn Future<Output = Result<(), ()>> + Send + 'static)>> {
        Box::pin(async { Err(()) })
    }
    assert!(block_on(commas()).is_err() && block_on(parentheses()).is_err());
    assert_eq!(calls!("commas"), "error 1");
    assert_eq!(calls!("parentheses"), "error 1");
}

#[test]
fn future_whose_type_comes_from_a_macro_is_measured() {
    macro_rules! failing {
        ($boxed:ident: $pin:ty, $opaque:ident: $future:ty) => {
            #[counted]
            fn $boxed() -> $pin {
                Box::pin(async { Err(()) })
            }
            #[counted]
            fn $opaque() -> $future {
                async { Err(()) }
            }
        };
    }
    failing!(
        boxed: Pin<Box<dyn Future<Output = Result<u8, ()>>>>,
        opaque: impl Future<Output = Result<u8, ()>>
    );
    assert!(block_on(boxed()).is_err() && block_on(opaque()).is_err());
    assert_eq!(calls!("boxed"), "error 1");
    assert_eq!(calls!("opaque"), "error 1");
}

#[test]
fn types_containing_futures_are_measured_as_values() {
    #[counted]
    fn finished() -> Ready<u8> {
        ready(1)
    }
    #[counted]
    fn paired() -> (impl Future<Output = u8>, u8) {
        (async { 1 }, 2)
    }
    #[counted]
    fn tried(fails: bool) -> Result<impl Future<Output = u8>, u8> {
        if fails { Err(1) } else { Ok(async { 1 }) }
    }
    assert_eq!(block_on(finished()) + block_on(paired().0), 2);
    assert!(tried(true).is_err() && tried(false).is_ok());
    assert_eq!(calls!("tried"), "error 1, success 1");
}

#[test]
fn returned_future_keeps_bounds_and_borrows() {
    struct Client {
        base: String,
    }
    impl Client {
        #[expect(
            clippy::manual_async_fn,
            reason = "the test needs a function that returns a future"
        )]
        #[counted]
        #[timed(outcome, name = "client_seconds")]
        fn get<'a>(&'a self, path: &'a str) -> impl Future<Output = String> + Send + use<'a> {
            async move { format!("{}{path}", self.base) }
        }
        #[counted(name = "client_total", labels(path = path))]
        fn get_boxed<'a>(
            &'a self,
            path: &'a str,
        ) -> Pin<Box<dyn Future<Output = String> + Send + 'a>> {
            Box::pin(self.get(path))
        }
    }
    let client = Client { base: "http://".to_owned() };
    let future: Pin<Box<dyn Future<Output = String> + Send + '_>> = client.get_boxed("a");
    assert_eq!(block_on(future), "http://a");
    assert_eq!(super::series("client_total", &[("path", "a")]).len(), 4);
}

#[test]
fn push_job_on_future_returning_functions_compiles() {
    #[push_job(grouping(n = n))]
    fn job(n: u8) -> impl Future<Output = Result<u8, u8>> + Send {
        async move { Err(n) }
    }
    #[push_job]
    fn boxed_job() -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async {})
    }
    assert_eq!(block_on(job(1)), Err(1));
    block_on(boxed_job());
}

#[test]
fn future_that_is_returned_early_is_measured() {
    #[counted]
    fn early(is_early: bool) -> Pin<Box<dyn Future<Output = Result<u8, u8>>>> {
        if is_early {
            return Box::pin(async { Err(1) });
        }
        Box::pin(async move {
            pause().await;
            Ok(1)
        })
    }
    assert!(block_on(early(true)).is_err() && block_on(early(false)).is_ok());
    drop(early(false));
    assert_eq!(calls!("early"), "error 1, success 1");
}

#[test]
fn future_that_borrows_arguments_is_measured() {
    #[counted]
    #[timed]
    fn borrowing<'a>(list: &'a mut Vec<u8>, n: &u8) -> impl Future<Output = usize> + use<'a> {
        list.push(*n);
        async {
            pause().await;
            list.len()
        }
    }
    assert_eq!(block_on(borrowing(&mut vec![1], &2)), 2);
    assert_eq!(calls!("borrowing"), "success 1");
    assert_eq!(timings!("borrowing"), "calls 1");
}

#[test]
fn run_is_available_in_a_future_at_the_end_of_the_body() {
    #[push_job(run = run, grouping(n = n))]
    fn job(n: u8) -> Pin<Box<dyn Future<Output = String> + Send>> {
        Box::pin(async move {
            pause().await;
            run.add_processed(u64::from(n));
            format!("{run:?}")
        })
    }
    assert!(block_on(job(3)).starts_with("Run"));
}

#[test]
fn returned_closure_is_counted_without_being_called() {
    #[counted]
    fn finder(text: &'static str) -> impl Fn(&str) -> Option<usize> {
        move |pattern| text.find(pattern)
    }
    #[counted]
    fn panicking() -> impl Fn(&u8) -> &u8 {
        if true {
            panic!("no closure");
        }
        |n| n
    }
    #[push_job]
    fn job() -> impl FnOnce(&str) -> Option<usize> {
        |text| text.find('a')
    }
    assert_eq!(finder("ab")("b"), Some(1));
    assert!(std::panic::catch_unwind(|| drop(panicking())).is_err());
    assert_eq!(job()("a"), Some(0));
    assert_eq!(calls!("finder"), "success 1");
    assert_eq!(calls!("panicking"), "panic 1");
}
