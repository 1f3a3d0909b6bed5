//! Code with many lint warnings. The annotated version has an attribute in place of each `//@`.

use std::cell::Cell;
use std::fmt::Debug;

//@
fn never_used() {}

//@
pub fn undocumented(unused: u32, mut never_changed: u32, shadowed: u32) -> u32 {
    let shadowed = shadowed + 1;
    let unused_too = 1;
    return shadowed + never_changed;
}

//@
pub async fn undocumented_async(unused: u32, mut never_changed: u32, mut changed: u32) -> u32 {
    let unused_too = 1;
    changed += 1;
    std::future::ready(()).await;
    return changed + never_changed;
}

//@
pub fn fallible(text: &str) -> Result<u32, ()> {
    if text.is_empty() {
        return Err(());
    }
    let number = text.len() as u32;
    println!("{}", number);
    Ok(number.checked_add(1).unwrap())
}

//@
pub async fn fallible_async(text: String) -> Result<u32, ()> {
    if text.is_empty() {
        return Err(());
    }
    std::future::ready(()).await;
    let number = text.len() as u32;
    println!("{}", number);
    Ok(number.checked_add(1).unwrap())
}

//@
pub fn panicking(values: Vec<u32>, index: usize) -> u32 {
    if index > 3 {
        panic!("large");
    }
    let first = values[index];
    let same = first;
    first / same
}

//@
pub fn unreachable_end() -> u32 {
    return 1;
    2
}

//@
pub async fn unreachable_end_async() -> u32 {
    return 1;
    2
}

//@
pub fn unit_values() -> () {
    let unit = ();
    let _ = Cell::new(unit);
    ()
}

//@
pub fn overwritten() -> u32 {
    let mut value = 1;
    value = 2;
    value = value * 1;
    value
}

//@
pub fn by_value(text: String, list: &Vec<u8>, debug: impl Debug) -> bool {
    text.len() == 0 && list.len() == 0 && format!("{debug:?}").is_empty() == true
}

//@
pub fn nested_blocks() -> Option<u8> {
    let closure = || 1_u8;
    let nested = { { closure() } };
    Some((nested))
}

//@
pub unsafe fn dangerous(pointer: *const u8) -> u8 {
    unsafe { *pointer }
}

#[must_use]
//@
pub fn must_use(n: u8) -> u8 {
    match n {
        0 => 1,
        _ => 2,
    }
}

pub struct Series {
    value: String,
    numbers: Vec<u32>,
}

impl Series {
    //@
    pub fn new() -> Self {
        Series { value: String::new(), numbers: Vec::new() }
    }

    //@
    pub fn value(self) -> String {
        self.value
    }

    //@
    pub async fn value_async(self, by: u32) -> String {
        std::future::ready(by).await;
        self.value
    }

    //@
    pub fn with_inner_attribute(&mut self, by: u32) -> &mut Self {
        #![allow(unused_variables)]
        let allowed = 1;
        for number in 0..self.numbers.len() {
            self.numbers[number] += by;
        }
        self
    }

    //@
    pub fn with_unused_self(&self, count: usize) -> usize {
        let count = count;
        let mut total = 0;
        while total < count {
            total = total + 1;
        }
        total
    }
}

//@
pub fn many_lines(n: u32) -> u32 {
    let mut total = n;
    total += 1; total += 2; total += 3; total += 4;
MANY_LINES
    total
}

//@
pub fn contains_todo() -> u32 {
    todo!()
}

//@
pub async fn contains_todo_async() -> Result<u32, String> {
    todo!()
}

//@
pub async fn expression_async(flag: bool) -> Option<u32> {
    if flag {
        return None;
    } else {
        let boxed = Box::new(3_u32);
        std::future::ready(()).await;
        return Some(*boxed);
    }
}

//@
pub fn cognitive_complexity(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8) -> u8 {
    match a {
        0 if b > 1 => b,
        1 if c > 1 => c,
        2 if d > 1 => d,
        3 | 4 => e,
        _ => if f > g { g } else { h },
    }
}

//@
pub fn in_one_line(list: Vec<u32>) -> Option<u32> { list.iter().copied().max() }

//@
pub async fn in_one_line_async(list: Vec<u32>) -> Option<u32> { list.iter().copied().max() }

//@
pub fn needless_braces(number: u32) -> u32 { { number } }

//@
pub async fn needless_braces_async(number: u32) -> u32 { { number } }

//@
pub fn needless_return_in_one_line(number: u32) -> u32 { return number; }

//@
pub fn empty() {}

//@
pub async fn empty_async() {}

//@
pub fn needless_unsafe() -> u32 { unsafe { 1 } }

//@
pub fn block_at_the_end(number: u32) -> u32 {
    let doubled = number * 2;
    { doubled }
}

//@
pub fn unused_result() {
    std::fs::read("file");
    let _guard = std::sync::Mutex::new(1);
    must_use(1);
}

//@
pub async fn unused_future() {
    in_one_line_async(vec![]);
    must_use(1);
}

//@
pub async fn endless_loop(shadowed: u32) -> std::convert::Infallible {
    let shadowed = shadowed;
    loop {}
}

//@
pub async fn unused_with_underscore(_text: String, _list: Vec<u8>) {
    std::future::ready(()).await;
}

//@
pub fn unused_borrow_with_underscore<'a>(_text: &'a mut String, list: &'a mut [u8]) -> &'a mut [u8] {
    list
}

//@
pub async fn returns_future(text: String) -> std::future::Ready<String> {
    std::future::ready(()).await;
    std::future::ready(text)
}
