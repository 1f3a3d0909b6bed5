//! Return types and control flow.

use std::collections::HashMap;
use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard};

use metrics_push::{counted, timed};

use super::{block_on, calls, panic_of, timings};

#[test]
fn early_return_is_recorded() {
    #[counted]
    #[timed]
    fn early_return(early: bool) -> u32 {
        if early {
            return 1;
        }
        2
    }
    assert_eq!((early_return(true), early_return(false)), (1, 2));
    assert_eq!(calls!("early_return"), "success 2");
    assert_eq!(timings!("early_return"), "calls 2");
}

#[test]
fn question_mark_is_recorded_as_an_error() {
    #[counted]
    fn parse(text: &str) -> Result<u32, std::num::ParseIntError> {
        Ok(text.parse::<u32>()? + 1)
    }
    assert_eq!(parse("1"), Ok(2));
    assert!(parse("x").is_err());
    assert_eq!(calls!("parse"), "error 1, success 1");
}

#[test]
fn declared_return_type_guides_inference() {
    #[counted]
    fn collected() -> Vec<u32> {
        (0..3).collect()
    }
    #[counted]
    fn collected_results(texts: &[&str]) -> Result<Vec<u32>, std::num::ParseIntError> {
        texts.iter().map(|text| text.parse()).collect()
    }
    #[counted]
    async fn collected_later() -> Vec<u32> {
        (0..3).collect()
    }
    assert_eq!(collected(), [0, 1, 2]);
    assert_eq!(block_on(collected_later()), [0, 1, 2]);
    assert!(collected_results(&["1", "x"]).is_err());
    assert_eq!(calls!("collected_results"), "error 1");
}

#[test]
fn body_that_only_panics_compiles() {
    #[counted]
    fn undone() -> Result<u32, String> {
        todo!()
    }
    #[counted]
    async fn undone_later() -> Result<u32, String> {
        todo!()
    }
    #[counted]
    fn uninhabited() -> Infallible {
        panic!("never")
    }
    panic_of(undone);
    panic_of(|| block_on(undone_later()));
    assert_eq!(panic_of(uninhabited), "never");
    for recorded in [calls!("undone"), calls!("undone_later"), calls!("uninhabited")] {
        assert_eq!(recorded, "panic 1");
    }
}

#[test]
fn never_returning_functions_are_recorded() {
    #[counted]
    #[timed(in_flight)]
    fn never() -> ! {
        panic!("never returns")
    }
    #[counted]
    #[timed]
    async fn never_later() -> ! {
        super::pause().await;
        loop {
            panic!("never returns")
        }
    }
    #[counted]
    async fn endless() -> ! {
        loop {
            super::pause().await;
        }
    }
    assert_eq!(panic_of(|| never()), "never returns");
    assert_eq!(panic_of(|| block_on(async { never_later().await })), "never returns");
    assert_eq!((calls!("never"), calls!("never_later")), ("panic 1".into(), "panic 1".into()));
    let mut endless = Box::pin(endless());
    assert!(super::poll(endless.as_mut()).is_pending());
    drop(endless);
    assert_eq!(calls!("endless"), "cancelled 1");
}

#[test]
fn impl_trait_in_return_types_compiles() {
    #[counted]
    #[timed(outcome, name = "impl_trait_seconds")]
    fn iterator() -> impl Iterator<Item = u32> {
        0..3
    }
    #[counted]
    fn nested(fails: bool) -> Result<impl Iterator<Item = u32>, String> {
        if fails { Err("no".to_owned()) } else { Ok(0..3) }
    }
    #[counted]
    fn in_tuples() -> (impl Fn() -> u8, impl Iterator<Item = u8>) {
        (|| 1, 0..2)
    }
    #[counted]
    fn in_arrays() -> [impl Fn(u8) -> u8; 1] {
        [|n| n + 1]
    }
    #[counted]
    fn behind_a_reference() -> &'static (impl fmt::Display + Sync) {
        &7
    }
    #[counted]
    fn sized() -> impl Sized {}
    #[counted]
    async fn later(fails: bool) -> Result<impl Iterator<Item = u32>, String> {
        if fails { Err("no".to_owned()) } else { Ok(0..3) }
    }
    #[counted]
    fn undecided() -> impl fmt::Debug {
        todo!()
    }
    #[expect(clippy::diverging_sub_expression, reason = "the body diverges")]
    #[counted]
    async fn undecided_later() -> impl fmt::Debug {
        todo!()
    }
    #[counted]
    fn exits() -> impl std::process::Termination {
        Err::<(), u8>(1)
    }
    panic_of(undecided);
    panic_of(|| block_on(undecided_later()));
    let _ = exits();
    assert_eq!((calls!("undecided_later"), calls!("exits")), ("panic 1".into(), "error 1".into()));
    assert_eq!(iterator().sum::<u32>(), 3);
    assert_eq!(nested(false).unwrap().count(), 3);
    assert!(nested(true).is_err());
    let (one, two) = in_tuples();
    assert_eq!(u64::from(one()) + two.count() as u64, 3);
    assert_eq!(in_arrays()[0](1), 2);
    assert_eq!(behind_a_reference().to_string(), "7");
    let _ = sized();
    assert!(block_on(later(true)).is_err());
    assert_eq!(block_on(later(false)).unwrap().count(), 3);
    assert_eq!(
        (calls!("nested"), calls!("later")),
        ("error 1, success 1".into(), "error 1, success 1".into())
    );
}

#[test]
fn return_type_coercions_apply_in_the_body() {
    #[counted]
    fn boxed(first: bool) -> Box<dyn Fn() -> u32> {
        if first {
            return Box::new(|| 1);
        }
        Box::new(move || 2)
    }
    #[counted]
    fn unsized_in_an_option() -> Option<&'static [u8]> {
        Some(&[1, 2])
    }
    #[counted]
    fn in_an_array() -> [Option<Box<dyn Fn() -> u8>>; 2] {
        [None, Some(Box::new(|| 1))]
    }
    #[counted]
    fn pointer(first: bool) -> fn(u32) -> u32 {
        if first {
            return |x| x;
        }
        |x| x + 1
    }
    #[counted]
    async fn boxed_later(first: bool) -> Box<dyn Future<Output = u32> + Send> {
        if first {
            return Box::new(async { 1 });
        }
        Box::new(async { 2 })
    }
    assert_eq!((boxed(true)(), boxed(false)()), (1, 2));
    assert_eq!(unsized_in_an_option().map(<[u8]>::len), Some(2));
    assert_eq!(in_an_array()[1].as_ref().map(|one| one()), Some(1));
    assert_eq!((pointer(true)(1), pointer(false)(1)), (1, 2));
    assert_eq!(block_on(Box::into_pin(block_on(boxed_later(false)))), 2);
    assert_eq!(calls!("boxed_later"), "success 1");
}

#[test]
fn boxed_futures_of_two_types_are_recorded() {
    #[counted]
    fn two_futures(first: bool) -> Pin<Box<dyn Future<Output = u32>>> {
        if first {
            return Box::pin(async { 1 });
        }
        Box::pin(async { 2 })
    }
    assert_eq!((block_on(two_futures(true)), block_on(two_futures(false))), (1, 2));
    assert_eq!(calls!("two_futures"), "success 2");
}

#[test]
fn borrowed_results_compile() {
    struct Holder {
        value: u32,
        bytes: Vec<u8>,
        shared: Mutex<u32>,
    }
    impl Holder {
        #[counted]
        fn value(&mut self) -> &mut u32 {
            &mut self.value
        }
        #[counted]
        fn with(&mut self, value: u32) -> &mut Self {
            self.value = value;
            self
        }
        #[counted]
        fn bytes(&mut self) -> std::slice::IterMut<'_, u8> {
            self.bytes.iter_mut()
        }
        #[counted]
        fn shared(&self) -> MutexGuard<'_, u32> {
            self.shared.lock().unwrap()
        }
    }
    #[counted]
    fn same(x: &mut u32) -> &mut u32 {
        x
    }
    #[counted]
    fn weaker(x: &mut u32) -> &u32 {
        x
    }
    #[counted]
    fn halves(all: &mut [u8]) -> (&mut [u8], &mut [u8]) {
        let middle = all.len() / 2;
        all.split_at_mut(middle)
    }
    #[counted]
    fn get<'m>(map: &'m mut HashMap<u8, u8>, key: u8) -> &'m u8 {
        if map.contains_key(&key) {
            return &map[&key];
        }
        map.entry(key).or_insert(0)
    }
    #[counted]
    async fn same_later(x: &mut u32) -> &mut u32 {
        x
    }
    let mut holder = Holder { value: 1, bytes: vec![1, 2], shared: Mutex::new(1) };
    *holder.with(2).value() += 1;
    holder.bytes().for_each(|byte| *byte += 1);
    *holder.shared() += 1;
    assert_eq!((holder.value, &holder.bytes[..], *holder.shared()), (3, &[2, 3][..], 2));
    let mut number = 1;
    *same(&mut number) += 1;
    *block_on(same_later(&mut number)) += 1;
    assert_eq!(*weaker(&mut number), 3);
    let (left, right) = (&mut [1, 2, 3, 4][..], 2);
    assert_eq!(halves(left).1.len(), right);
    assert_eq!(*get(&mut HashMap::from([(1, 7)]), 1), 7);
    assert_eq!((calls!("value"), calls!("get")), ("success 1".into(), "success 1".into()));
}

#[test]
fn aliased_results_are_judged_as_results() {
    type Outcome = Result<u8, String>;
    #[counted]
    fn aliased(fails: bool) -> Outcome {
        if fails { Err("no".to_owned()) } else { Ok(1) }
    }
    #[counted]
    fn formatted() -> fmt::Result {
        Err(fmt::Error)
    }
    #[counted]
    fn io() -> std::io::Result<()> {
        Err(std::io::Error::other("no"))
    }
    #[counted]
    fn any_error() -> Result<(), Box<dyn Error>> {
        Err("x")?
    }
    assert!(aliased(true).is_err() && aliased(false).is_ok());
    assert!(formatted().is_err() && io().is_err() && any_error().is_err());
    assert_eq!(calls!("aliased"), "error 1, success 1");
    for recorded in [calls!("formatted"), calls!("io"), calls!("any_error")] {
        assert_eq!(recorded, "error 1");
    }
}

#[test]
fn foreign_type_named_result_is_a_success() {
    struct Result;
    #[counted]
    fn foreign() -> Result {
        Result
    }
    let Result = foreign();
    assert_eq!(calls!("foreign"), "success 1");
}

#[test]
fn loops_and_unit_results_are_recorded() {
    #[counted]
    fn labelled() -> u32 {
        'a: loop {
            for _ in 0.. {
                break 'a 3;
            }
        }
    }
    #[counted]
    #[expect(clippy::unused_unit, reason = "part of the case")]
    fn unit() -> () {
        ()
    }
    #[counted]
    #[timed]
    fn nothing() {}
    #[counted]
    fn flow(stops: bool) -> ControlFlow<u8> {
        if stops { ControlFlow::Break(1) } else { ControlFlow::Continue(()) }
    }
    assert_eq!(labelled(), 3);
    unit();
    nothing();
    assert!(flow(true).is_break() && flow(false).is_continue());
    assert_eq!((calls!("nothing"), calls!("flow")), ("success 1".into(), "success 2".into()));
}
