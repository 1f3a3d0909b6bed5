//! Borrows and `Send` that rustc refuses. Each line `//@` is an attribute in the annotated version.

use std::rc::Rc;

//@
pub fn moved_twice(text: String) -> (String, String) {
    (text, text)
}

//@
pub async fn moved_twice_later(text: String) -> (String, String) {
    (text, text)
}

//@
pub fn dangling() -> &'static str {
    let text = String::new();
    &text
}

//@
pub fn changed_while_borrowed(list: &mut Vec<u32>) {
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
pub async fn not_mutable_later(number: u32) -> u32 {
    number += 1;
    number
}

//@
pub async fn not_send(shared: Rc<u32>) -> u32 {
    std::future::ready(()).await;
    *shared
}

//@
pub async fn not_send_inside() {
    let shared = Rc::new(1);
    std::future::ready(()).await;
    drop(shared);
}

pub fn wants_send<T: Send>(_: T) {}

pub fn caller() {
    wants_send(not_send_inside());
}
