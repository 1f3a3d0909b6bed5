//! A body with syntax errors. The annotated version has an attribute in place of each `//@`.

//@
pub fn incomplete() -> u32 {
    let x = ;
    x.
}

//@
pub fn complete() -> u32 {
    incomplete()
}
