//! Functions whose result, or whose last expression, borrows from a parameter. The annotated version has an attribute
//! in place of each `//@`.
#![allow(dead_code, mismatched_lifetime_syntaxes)]

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;

//@
fn matched(x: &mut Option<u8>) -> Option<&mut u8> {
    if let Some(y) = x { Some(y) } else { None }
}

//@
fn reassigned(mut b: &mut [u8]) {
    while !b.is_empty() {
        b = &mut b[1..];
    }
}

//@
fn reassigned_and_returned(mut b: &mut [u8]) -> &mut [u8] {
    while b.len() > 3 {
        b = &mut b[1..];
    }
    b
}

//@
fn shared_and_reassigned(mut b: &[u8]) -> &[u8] {
    while b.len() > 3 {
        b = &b[1..];
    }
    b
}

struct Node {
    next: Option<Box<Node>>,
    value: u32,
}

//@
fn walked(mut node: Option<&mut Node>) -> u32 {
    let mut last = 0;
    while let Some(found) = node {
        last = found.value;
        node = found.next.as_deref_mut();
    }
    last
}

//@
fn last_node(mut node: &mut Node) -> &mut Node {
    while node.next.is_some() {
        node = node.next.as_mut().unwrap();
    }
    node
}

struct Writer<'a>(Option<&'a mut u8>, String);

impl<'a> Writer<'a> {
    //@
    fn by_value(self) -> Option<&'a mut u8> {
        if let Some(x) = self.0 { Some(x) } else { None }
    }

    //@
    fn builder(&mut self) -> &mut Self {
        self.1.push('x');
        self
    }

    //@
    fn field(&mut self) -> &mut String {
        match self {
            Writer(_, text) => text,
        }
    }

    //@
    fn early(&mut self, is_empty: bool) -> Option<&mut String> {
        if is_empty {
            return None;
        }
        let Writer(_, text) = self;
        Some(text)
    }

    //@
    fn replaced(mut self, n: &'a mut u8) -> Self {
        self = Writer(Some(n), self.1);
        self
    }

    //@
    fn pinned(self: Pin<&mut Self>) -> Option<&mut u8> {
        match self.get_mut() {
            Writer(Some(x), _) => Some(x),
            _ => None,
        }
    }
}

enum Entry<'a> {
    Small(&'a mut u8),
    Large(&'a mut u16),
}

impl<'a> Entry<'a> {
    //@
    fn into_small(self) -> Option<&'a mut u8> {
        match self {
            Entry::Small(x) => Some(x),
            Entry::Large(_) => None,
        }
    }

    //@
    fn small(&mut self) -> Option<&mut u8> {
        match *self {
            Entry::Small(ref mut x) => Some(x),
            Entry::Large(_) => None,
        }
    }
}

//@
fn hidden_lifetime(entry: Entry, n: u8) -> Option<&mut u8> {
    if n == 0 {
        return None;
    }
    match entry {
        Entry::Small(x) => Some(x),
        Entry::Large(_) => None,
    }
}

//@
fn parts<'a>((a, b): (&'a mut [u8], &'a mut [u8])) -> (u8, &'a mut [u8]) {
    match a {
        [first, ..] => (*first, b),
        _ => (0, b),
    }
}

//@
fn pattern(&mut (ref mut a, b): &mut (u8, u8)) -> &mut u8 {
    *a += b;
    a
}

//@
fn conditional<'m>(map: &'m mut HashMap<u8, String>, key: u8) -> &'m String {
    if map.contains_key(&key) {
        return &map[&key];
    }
    map.entry(key).or_default()
}

//@
fn iterator<'a>(list: &'a mut Vec<u8>) -> impl Iterator<Item = u8> + 'a {
    list.drain(..)
}

//@
fn closure<'a>(list: &'a mut Vec<u8>) -> Box<dyn FnMut() + 'a> {
    Box::new(move || list.push(1))
}

//@
fn stored<'a>(pair: (&'a mut u8, u8), out: &mut Vec<&'a mut u8>) {
    if let (x, 0) = pair {
        out.push(x);
    }
}

//@
fn returned_function() -> impl Fn(&u8) -> &u8 {
    |x| x
}

//@
fn returned_function_in_tuple() -> (u8, impl FnMut(&str) -> Option<usize>) {
    (1, |text| text.find('a'))
}

//@
fn temporary_at_the_end(lock: Mutex<u8>) -> u8 {
    *lock.lock().unwrap()
}

//@
async fn temporary_at_the_end_async(lock: Mutex<u8>) -> u8 {
    *lock.lock().unwrap()
}

//@
fn future<'a>(list: &'a mut Vec<u8>) -> impl Future<Output = &'a mut u8> + 'a {
    list.push(1);
    async move {
        match list.last_mut() {
            Some(last) => last,
            None => unreachable!(),
        }
    }
}

//@
fn boxed_future<'a>(mut list: &'a mut [u8]) -> Pin<Box<dyn Future<Output = &'a mut [u8]> + 'a>> {
    while list.len() > 1 {
        list = &mut list[1..];
    }
    if list.is_empty() {
        return Box::pin(std::future::ready(list));
    }
    Box::pin(async move { list })
}
