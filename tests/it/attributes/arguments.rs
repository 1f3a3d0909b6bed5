//! Arguments, patterns and labels.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use metrics_push::{counted, timed};

use super::{block_on, calls, label, series};

struct Pair {
    a: u32,
    b: u32,
}

/// Records when it is dropped.
struct RecordsDrop(&'static str, Rc<RefCell<Vec<&'static str>>>);

impl Drop for RecordsDrop {
    fn drop(&mut self) {
        self.1.borrow_mut().push(self.0);
    }
}

#[test]
fn argument_patterns_of_every_kind_compile() {
    #[counted]
    fn tuple((a, b): (u32, u32)) -> u32 {
        a + b
    }
    #[counted]
    fn fields(Pair { a, b: c }: Pair) -> u32 {
        a + c
    }
    #[counted]
    fn some_fields(Pair { a, .. }: Pair, &x: &u32) -> u32 {
        a + x
    }
    #[counted]
    fn wildcards(_: u32, _: String) {}
    #[counted]
    fn by_reference(ref x: String, [a, _]: [u8; 2]) -> usize {
        x.len() + usize::from(a)
    }
    #[counted]
    fn bound(x @ (a, b): (u8, u8)) -> u8 {
        x.0 + a + b
    }
    assert_eq!(tuple((1, 2)), 3);
    assert_eq!(fields(Pair { a: 1, b: 2 }) + some_fields(Pair { a: 1, b: 2 }, &3), 7);
    wildcards(1, String::new());
    assert_eq!(by_reference("ab".to_owned(), [1, 2]), 3);
    assert_eq!(bound((1, 2)), 4);
    assert_eq!(calls!("wildcards"), "success 1");
}

#[test]
fn async_argument_patterns_of_every_kind_compile() {
    #[counted]
    async fn later_tuple((a, mut b): (u32, u32)) -> u32 {
        b += a;
        b
    }
    #[counted]
    async fn later_fields(Pair { a, b: c }: Pair, Pair { b: mut d, .. }: Pair) -> u32 {
        d += 1;
        a + c + d
    }
    #[counted]
    async fn later_rest(&x: &u32, _: u32, ref y: String, [z, _]: [u8; 2]) -> usize {
        x as usize + y.len() + usize::from(z)
    }
    #[counted]
    async fn later_bound(x @ (a, b): (u8, u8), mut list: Vec<u8>) -> Vec<u8> {
        list.extend([x.0, a, b]);
        list
    }
    #[counted]
    async fn later_nothing(_unused: String, ref mut changed: u32) {
        *changed += 1;
    }
    assert_eq!(block_on(later_tuple((1, 2))), 3);
    assert_eq!(block_on(later_fields(Pair { a: 1, b: 2 }, Pair { a: 3, b: 4 })), 8);
    assert_eq!(block_on(later_rest(&1, 2, "ab".to_owned(), [4, 5])), 7);
    assert_eq!(block_on(later_bound((1, 2), vec![0])), [0, 1, 1, 2]);
    block_on(later_nothing(String::new(), 1));
    assert_eq!(calls!("later_bound"), "success 1");
}

#[test]
fn mut_raw_cfg_and_annotated_parameters_compile() {
    #[counted]
    fn grown(mut list: Vec<u8>) -> Vec<u8> {
        list.push(1);
        list
    }
    #[counted(name = "raw_total", labels(kind = r#type))]
    fn r#match(r#type: &str) -> usize {
        r#type.len()
    }
    #[counted]
    fn removed(#[cfg(any())] gone: Missing, #[allow(unused)] kept: u64) -> u64 {
        1
    }
    #[counted]
    async fn removed_later(#[cfg(any())] gone: Missing, #[allow(unused)] kept: u64) -> u64 {
        1
    }
    macro_rules! with_attributes {
        ($name:ident, $(#[$attribute:meta])* $parameter:ident: $type:ty) => {
            #[counted]
            async fn $name($(#[$attribute])* $parameter: $type) -> u64 {
                1
            }
        };
    }
    with_attributes!(removed_by_macro, #[cfg(any())] gone: Missing);
    assert_eq!(block_on(removed_by_macro()), 1);
    assert_eq!(grown(vec![]), [1]);
    assert_eq!(r#match("loop"), 4);
    assert_eq!(removed(1) + block_on(removed_later(1)), 2);
    assert_eq!(series("raw_total", &[("function", "match"), ("kind", "loop")]).len(), 4);
}

#[test]
fn expansion_names_do_not_collide_with_arguments() {
    #[counted]
    #[timed(outcome, name = "collision_seconds")]
    fn collision(result: u32, call: u32, run: u32, body: u32, judge: u32, _call: u32) -> u32 {
        result + call + run + body + judge + _call
    }
    #[counted]
    async fn collision_later(result: u32, call: u32, never: u32, prepared: u32) -> u32 {
        result + call + never + prepared
    }
    assert_eq!(collision(1, 2, 3, 4, 5, 6), 21);
    assert_eq!(block_on(collision_later(1, 2, 3, 4)), 10);
}

#[test]
fn closure_and_iterator_arguments_compile() {
    #[counted]
    fn once<T>(x: impl FnOnce() -> T) -> T {
        x()
    }
    #[counted]
    fn twice(x: &mut dyn FnMut()) {
        x();
        x();
    }
    #[counted]
    fn total(x: impl Iterator<Item = impl AsRef<str>>) -> usize {
        x.map(|text| text.as_ref().len()).sum()
    }
    let mut count = 0;
    twice(&mut || count += 1);
    assert_eq!((once(|| 7), count, total(["a", "bc"].into_iter())), (7, 2, 3));
}

#[test]
fn label_is_evaluated_before_its_argument_is_moved() {
    #[counted(name = "moved_total", labels(item = item, length = item.len()))]
    fn moved(item: String, out: &mut Vec<String>) {
        out.push(item);
    }
    #[counted(name = "moved_later_total", labels(item = item))]
    async fn moved_later(item: String, out: &mut Vec<String>) {
        out.push(item);
    }
    let mut out = Vec::new();
    moved("ab".to_owned(), &mut out);
    block_on(moved_later("cd".to_owned(), &mut out));
    assert_eq!(out, ["ab", "cd"]);
    let found = series("moved_total", &[("item", "ab"), ("length", "2"), ("outcome", "success")]);
    assert_eq!(super::value(&found[0]), 1.0);
    assert_eq!(series("moved_later_total", &[("item", "cd")]).len(), 4);
}

#[test]
fn labels_are_evaluated_once_from_left_to_right() {
    #[counted(name = "ordered_total", labels(first = next(x), second = next(x), fixed = "here", number = 3))]
    fn ordered(x: &Cell<u32>) -> u32 {
        next(x)
    }
    fn next(x: &Cell<u32>) -> u32 {
        x.set(x.get() + 1);
        x.get()
    }
    assert_eq!(ordered(&Cell::new(0)), 3);
    let labels = [("first", "1"), ("second", "2"), ("fixed", "here"), ("number", "3")];
    assert_eq!(series("ordered_total", &labels).len(), 4);
}

#[test]
fn arguments_are_exported_only_as_labels() {
    struct Opaque;
    #[counted(name = "secret_total")]
    fn secret(_password: &str, _opaque: Opaque, _big: &[u8; 4096]) {}
    secret("hunter2", Opaque, &[0; 4096]);
    let exported = series("secret_total", &[]);
    let labels = exported.iter().flat_map(prometheus::proto::Metric::get_label);
    let mut names: Vec<_> = labels.map(|pair| pair.name().to_owned()).collect();
    names.sort();
    names.dedup();
    assert_eq!(names, ["function", "module", "outcome"]);
    assert_eq!(label(&exported[0], "function"), Some("secret"));
}

/// Returns the order in which a function drops its arguments and variables.
fn drop_order(call: impl FnOnce(&dyn Fn(&'static str) -> RecordsDrop)) -> Vec<&'static str> {
    let order = Rc::default();
    call(&|name| RecordsDrop(name, Rc::clone(&order)));
    order.take()
}

#[test]
fn argument_drop_order_is_unchanged() {
    fn bare(
        a: RecordsDrop,
        b: RecordsDrop,
        _unused: RecordsDrop,
        (c, d): (RecordsDrop, RecordsDrop),
    ) {
        let _inner = RecordsDrop("inner", Rc::clone(&a.1));
        drop(b);
        let _ = (&c, &d);
    }
    #[counted]
    #[timed]
    fn annotated(
        a: RecordsDrop,
        b: RecordsDrop,
        _unused: RecordsDrop,
        (c, d): (RecordsDrop, RecordsDrop),
    ) {
        let _inner = RecordsDrop("inner", Rc::clone(&a.1));
        drop(b);
        let _ = (&c, &d);
    }
    let expected = drop_order(|new| bare(new("a"), new("b"), new("unused"), (new("c"), new("d"))));
    let found =
        drop_order(|new| annotated(new("a"), new("b"), new("unused"), (new("c"), new("d"))));
    assert_eq!(found, expected);
}

#[test]
fn argument_drop_order_is_unchanged_if_a_borrow_is_returned() {
    struct Holder<'a>(
        #[expect(dead_code, reason = "dropped with the holder")] RecordsDrop,
        &'a mut u8,
    );
    macro_rules! methods {
        ($(#[$attribute:meta])* $name:ident) => {
            $(#[$attribute])*
            fn $name(self, _b: RecordsDrop, _pair: (RecordsDrop, u8), c: RecordsDrop) -> &'a mut u8 {
                let _inner = RecordsDrop("inner", Rc::clone(&c.1));
                match self {
                    Self(_, number) => number,
                }
            }
        };
    }
    impl<'a> Holder<'a> {
        methods!(bare);
        methods!(
            #[counted]
            #[timed]
            annotated
        );
    }
    let expected = drop_order(|new| {
        Holder(new("self"), &mut 1).bare(new("b"), (new("pair"), 1), new("c"));
    });
    let found = drop_order(|new| {
        Holder(new("self"), &mut 1).annotated(new("b"), (new("pair"), 1), new("c"));
    });
    assert_eq!(found, expected);
}

#[test]
fn async_argument_drop_order_is_unchanged() {
    async fn bare(
        a: RecordsDrop,
        b: RecordsDrop,
        _unused: RecordsDrop,
        (c, d): (RecordsDrop, RecordsDrop),
    ) {
        let _inner = RecordsDrop("inner", Rc::clone(&a.1));
        super::pause().await;
        let _ = (&d, &c, b);
    }
    #[counted]
    #[timed]
    async fn annotated(
        a: RecordsDrop,
        b: ::std::cell::OnceCell<RecordsDrop>,
        _unused: RecordsDrop,
        (c, d): (RecordsDrop, RecordsDrop),
    ) {
        let _inner = RecordsDrop("inner", Rc::clone(&a.1));
        super::pause().await;
        let _ = (&d, &c, b);
    }
    for polls in 0..3 {
        let drive = |mut future: std::pin::Pin<Box<dyn Future<Output = ()>>>| {
            for _ in 0..polls {
                let _ = super::poll(future.as_mut());
            }
        };
        let expected = drop_order(|new| {
            drive(Box::pin(bare(new("a"), new("b"), new("unused"), (new("c"), new("d")))));
        });
        let found = drop_order(|new| {
            let b = new("b").into();
            drive(Box::pin(annotated(new("a"), b, new("unused"), (new("c"), new("d")))));
        });
        assert_eq!(found, expected, "after {polls} polls");
    }
}
