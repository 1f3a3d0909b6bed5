//! Receivers, methods, traits and `impl` blocks.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use metrics_push::{counted, timed};

use super::{block_on, calls, panic_of, pause, poll, timings};

struct Store<T> {
    items: Vec<T>,
}

#[test]
fn receivers_of_every_kind_compile() {
    struct Counter {
        n: u32,
    }
    impl Counter {
        const START: u32 = 1;
        #[counted]
        fn new() -> Self {
            Self { n: Self::START }
        }
        #[counted]
        fn boxed(self: Box<Self>) -> u32 {
            self.n
        }
        #[counted]
        fn pinned(self: Pin<&mut Self>) -> u32 {
            self.get_mut().n += 1;
            1
        }
        #[counted]
        fn shared(self: Arc<Self>) -> u32 {
            self.n
        }
        #[counted]
        fn borrowed_shared(self: &Arc<Self>) -> u32 {
            self.n
        }
        #[counted]
        #[expect(clippy::needless_arbitrary_self_type, reason = "part of the case")]
        fn spelled_out(self: &mut Self) -> &mut u32 {
            &mut self.n
        }
        #[counted]
        fn mutable(mut self) -> u32 {
            self.n += 1;
            self.n
        }
        #[counted]
        async fn mutable_later(mut self, by: u32) -> u32 {
            self.n += by;
            pause().await;
            self.n
        }
        #[counted]
        async fn boxed_later(self: Box<Self>) -> u32 {
            pause().await;
            self.n
        }
        #[counted]
        async fn borrowed_later(&mut self) -> &mut u32 {
            &mut self.n
        }
    }
    let mut counter = Counter::new();
    *counter.spelled_out() += Pin::new(&mut counter).pinned();
    *block_on(counter.borrowed_later()) += 1;
    assert_eq!(counter.n, 3 + 1);
    let shared = Arc::new(Counter::new());
    assert_eq!(shared.borrowed_shared() + shared.shared(), 2);
    assert_eq!(
        Box::new(Counter::new()).boxed() + block_on(Box::new(Counter::new()).boxed_later()),
        2
    );
    assert_eq!(Counter::new().mutable() + block_on(Counter::new().mutable_later(2)), 5);
    assert_eq!(
        (calls!("mutable_later"), calls!("pinned")),
        ("success 1".into(), "success 1".into())
    );
}

#[test]
fn trait_methods_are_recorded() {
    trait Source {
        type Item;
        const ID: u32;
        fn get(&self) -> Self::Item;
        #[counted]
        #[timed]
        fn twice(&self) -> (Self::Item, Self::Item) {
            (self.get(), self.get())
        }
        #[counted]
        fn into_item(self) -> Self::Item
        where
            Self: Sized,
        {
            self.get()
        }
        #[counted]
        #[allow(async_fn_in_trait, reason = "part of the case")]
        async fn get_later(&self) -> Self::Item {
            pause().await;
            self.get()
        }
        #[counted]
        fn future(&self) -> impl Future<Output = u32> + Send {
            async { Self::ID }
        }
    }
    impl Source for u8 {
        type Item = u8;
        const ID: u32 = 7;
        #[counted]
        fn get(&self) -> u8 {
            *self
        }
    }
    assert_eq!((3.twice(), 3.into_item(), block_on(3.get_later())), ((3, 3), 3, 3));
    assert_eq!(block_on(3_u8.future()), 7);
    assert_eq!(calls!("get"), "success 4");
    assert_eq!(calls!("future"), "success 1");
}

#[test]
#[allow(non_local_definitions, reason = "the case is inside its test")]
fn generics_and_lifetimes_of_an_impl_block_compile() {
    impl<T: Clone> Store<T> {
        #[counted]
        fn last(&self) -> Option<T> {
            self.items.last().cloned()
        }
    }
    struct Parser<'a> {
        rest: &'a str,
    }
    impl<'a> Parser<'a> {
        #[counted]
        fn next_word(&mut self) -> Option<&'a str> {
            let (word, rest) = self.rest.split_once(' ')?;
            self.rest = rest;
            Some(word)
        }
    }
    assert_eq!(Store { items: vec![1, 2] }.last(), Some(2));
    let text = "a b".to_owned();
    let word = Parser { rest: &text }.next_word();
    assert_eq!(word, Some("a"));
}

#[test]
fn same_method_of_two_types_is_recorded_separately() {
    struct A;
    struct B;
    #[counted]
    impl A {
        fn start(&self) {}
    }
    #[counted]
    impl B {
        fn start(&self) {}
    }
    A.start();
    B.start();
    B.start();
    assert_eq!((calls!("A::start"), calls!("B::start")), ("success 1".into(), "success 2".into()));
}

#[test]
#[allow(non_local_definitions, reason = "the case is inside its test")]
fn attribute_on_an_impl_block_applies_to_its_methods() {
    #[counted]
    #[timed]
    impl<T: Clone + Send> Store<T>
    where
        T: Default,
    {
        #![allow(dead_code)]
        const EMPTY: Limits = Limits { max: 0 };
        /// Adds.
        pub(crate) fn add(&mut self, item: T) -> Result<(), T> {
            if self.items.len() < 2 {
                self.items.push(item);
                return Ok(());
            }
            Err(item)
        }
        async fn add_later(&mut self) -> &mut T {
            pause().await;
            self.items.push(T::default());
            self.items.last_mut().unwrap()
        }
        #[counted(skip)]
        fn uncounted(&self) {}
        #[counted(skip)]
        #[metrics_push::timed(skip)]
        const fn unmeasured(&self) -> usize {
            Self::EMPTY.max
        }
        #[counted(ok_if = |n| *n < 2)]
        fn len(&self) -> usize {
            self.items.len()
        }
    }
    struct Limits {
        max: usize,
    }
    let mut store = Store { items: vec![1] };
    assert_eq!((store.add(2), store.add(3)), (Ok(()), Err(3)));
    assert_eq!(*block_on(store.add_later()), 0);
    store.uncounted();
    assert_eq!((store.unmeasured(), store.len()), (0, 3));
    assert_eq!(calls!("Store::add"), "error 1, success 1");
    assert_eq!(
        (calls!("Store::add_later"), calls!("Store::len")),
        ("success 1".into(), "error 1".into())
    );
    assert_eq!(timings!("Store::uncounted"), "calls 1");
    for function in ["Store::uncounted", "uncounted", "Store::unmeasured"] {
        assert!(super::series("function_calls_total", &[("function", function)]).is_empty());
    }
}

#[test]
fn braces_in_generic_arguments_do_not_end_a_method() {
    struct Array<const N: usize>([u8; N]);
    #[counted]
    impl Array<{ 1 + 1 }> {
        fn longer(&self) -> Array<{ 2 + 1 }> {
            Array([self.0[0], self.0[1], 0])
        }
        fn sum(&self, other: &Array<{ 4 - 1 }>) -> u8
        where
            Array<{ 1 + 1 }>: Sized,
        {
            self.0.iter().chain(&other.0).sum()
        }
    }
    let array = Array([1, 2]);
    assert_eq!(array.sum(&array.longer()), 6);
    assert_eq!(calls!("Array::longer"), "success 1");
    assert_eq!(calls!("Array::sum"), "success 1");
}

#[test]
fn trait_impl_for_a_path_is_recorded() {
    mod shapes {
        pub(super) struct Circle<'a, const N: usize>(pub(super) &'a [u8; N]);
    }
    #[counted]
    impl<'a, const N: usize> From<shapes::Circle<'a, { N }>> for Box<Store<&'a [u8; N]>> {
        fn from(circle: shapes::Circle<'a, N>) -> Self {
            Self::new(Store { items: vec![circle.0] })
        }
    }
    let store: Box<Store<&[u8; 2]>> = shapes::Circle(&[1, 2]).into();
    assert_eq!(store.items[0].len(), 2);
    assert_eq!(calls!("Box::from"), "success 1");
}

#[async_trait::async_trait]
trait Service {
    async fn call(&self, fails: bool) -> Result<u32, String>;
    #[counted]
    async fn by_default(&self) -> u32 {
        pause().await;
        1
    }
}

#[test]
fn async_trait_works_above_and_below_counted() {
    struct Below;
    struct Above;
    #[async_trait::async_trait]
    impl Service for Below {
        #[counted]
        #[timed]
        async fn call(&self, fails: bool) -> Result<u32, String> {
            pause().await;
            if fails { Err("no".to_owned()) } else { Ok(1) }
        }
    }
    #[counted]
    #[async_trait::async_trait]
    impl Service for Above {
        async fn call(&self, fails: bool) -> Result<u32, String> {
            pause().await;
            if fails { panic!("no") } else { Ok(2) }
        }
    }
    assert_eq!(block_on(Below.call(false)), Ok(1));
    assert!(block_on(Below.call(true)).is_err());
    let mut cancelled = Below.call(false);
    assert!(poll(cancelled.as_mut()).is_pending());
    drop(cancelled);
    drop(Below.call(false));
    assert_eq!(calls!("call"), "cancelled 1, error 1, success 1");
    assert_eq!(timings!("call"), "calls 3");

    assert_eq!(block_on(Above.call(false)), Ok(2));
    assert_eq!(panic_of(|| block_on(Above.call(true))), "no");
    assert_eq!(calls!("Above::call"), "panic 1, success 1");
    assert_eq!(block_on(Above.by_default()), 1);
    assert_eq!(calls!("by_default"), "success 1");
}

#[test]
fn annotated_poll_is_recorded_per_poll() {
    struct Twice(u8);
    impl Future for Twice {
        type Output = ();
        #[counted]
        fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            self.0 += 1;
            if self.0 == 2 { Poll::Ready(()) } else { Poll::Pending }
        }
    }
    block_on(Twice(0));
    assert_eq!(calls!("poll"), "success 2");
}
