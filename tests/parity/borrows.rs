//! Borrow errors and missing `Send`. The annotated version has an attribute in place of each `//@`.

use std::rc::Rc;

//@
pub fn moved_twice(text: String) -> (String, String) {
    (text, text)
}

//@
pub async fn moved_twice_async(text: String) -> (String, String) {
    (text, text)
}

//@
pub fn returns_reference_to_local() -> &'static str {
    let text = String::new();
    &text
}

//@
pub fn mutated_while_borrowed(list: &mut Vec<u32>) {
    let first = &list[0];
    list.push(1);
    drop(first);
}

//@
pub fn not_mutable(number: u32) -> u32 {
    number += 1;
    number
}

//@
pub async fn not_mutable_async(number: u32) -> u32 {
    number += 1;
    number
}

//@
pub async fn not_send(shared: Rc<u32>) -> u32 {
    std::future::ready(()).await;
    *shared
}

//@
pub async fn not_send_local() {
    let shared = Rc::new(1);
    std::future::ready(()).await;
    drop(shared);
}

pub fn requires_send<T: Send>(_: T) {}

pub fn caller() {
    requires_send(not_send_local());
}
