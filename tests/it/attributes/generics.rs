//! Generic functions, `impl Trait`, and functions that macros generate.

use std::fmt::Debug;

use metrics_push::{counted, timed};

use super::{block_on, calls};

trait Ranked {
    const RANK: usize;
}

impl Ranked for u8 {
    const RANK: usize = 3;
}

#[test]
fn generic_parameters_of_every_kind_compile() {
    #[counted]
    fn echoed<T: Debug>(t: T) -> T {
        t
    }
    #[counted]
    fn counted_array<'a, T, const N: usize>(of: &'a [T; N]) -> &'a [T]
    where
        T: Sized,
    {
        of
    }
    #[counted]
    fn shown<T: ?Sized + Debug>(t: &T) -> String {
        format!("{t:?}")
    }
    #[counted]
    fn called(f: impl for<'a> Fn(&'a str) -> &'a str) -> usize {
        f("ab").len()
    }
    #[counted]
    fn ranked<T: Ranked>() -> usize {
        T::RANK
    }
    #[counted]
    async fn echoed_later<T: Send, const N: usize>(t: [T; N]) -> [T; N] {
        t
    }
    assert_eq!((echoed(1), echoed("a")), (1, "a"));
    assert_eq!(counted_array(&[1, 2]).len() + called(|text| text) + ranked::<u8>(), 7);
    assert_eq!(shown("a"), "\"a\"");
    assert_eq!(block_on(echoed_later([1])), [1]);
    assert_eq!(calls!("echoed"), "success 2");
}

#[test]
fn impl_trait_captures_are_unchanged() {
    struct Bag<T>(Vec<T>);
    impl<T: Clone> Bag<T> {
        #[counted]
        fn items(&self) -> impl Iterator<Item = &T> + use<'_, T> {
            self.0.iter()
        }
    }
    #[counted]
    #[timed]
    fn borrowed(v: &[u32]) -> impl Iterator<Item = &u32> {
        v.iter()
    }
    #[counted]
    fn closure<T: Clone>(t: T) -> impl Fn() -> T {
        move || t.clone()
    }
    assert_eq!(Bag(vec![1, 2]).items().count() + borrowed(&[1]).count(), 3);
    assert_eq!(closure("a")(), "a");
}

#[test]
fn async_closure_arguments_compile() {
    #[counted]
    async fn applied<T, F: AsyncFn(&str) -> T>(f: F) -> T {
        f("ab").await
    }
    assert_eq!(block_on(applied(async |text: &str| text.len())), 2);
    assert_eq!(calls!("applied"), "success 1");
}

#[test]
fn macro_generated_functions_compile() {
    macro_rules! make {
        ($visibility:vis $name:ident, $argument:ty, $output:ty, $body:block) => {
            #[counted]
            #[timed]
            $visibility fn $name(_: $argument) -> $output $body
        };
        (async $name:ident, $pattern:pat, $argument:ty, $output:ty, $body:expr) => {
            #[counted]
            async fn $name($pattern: $argument) -> $output { $body }
        };
        (item $item:item) => {
            #[counted]
            $item
        };
        (labelled $name:ident, $metric:literal, $value:expr) => {
            #[counted(name = $metric, labels(kind = $value))]
            fn $name() {}
        };
        (counted $($tokens:tt)*) => {
            #[counted]
            $($tokens)*
        };
    }
    make!(pub(crate) doubled, u32, impl Iterator<Item = u32>, { [1, 2].into_iter() });
    make!(simple, &str, Result<usize, ()>, { Err(()) });
    make!(async paired, (a, mut b), (u8, u8), u8, { b += a; b });
    make!(item fn whole(n: u32) -> u32 {
            n
        }
    );
    make!(labelled constant_label, "constant_label_total", "fixed");
    make!(counted impl Made { fn method(&self) -> u8 { 1 } });
    struct Made;
    assert_eq!(doubled(1).count(), 2);
    assert!(simple("a").is_err());
    assert_eq!(block_on(paired((1, 2))), 3);
    assert_eq!(whole(3), 3);
    constant_label();
    assert_eq!(Made.method(), 1);
    assert_eq!((calls!("simple"), calls!("whole")), ("error 1".into(), "success 1".into()));
    assert_eq!(super::series("constant_label_total", &[("kind", "fixed")]).len(), 4);
    assert_eq!(calls!("Made::method"), "success 1");
}
