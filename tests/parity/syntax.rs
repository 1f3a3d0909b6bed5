//! A body that is being typed. Each line `//@` is an attribute in the annotated version.

//@
pub fn half_typed() -> u32 {
    let x = ;
    x.
}

//@
pub fn whole() -> u32 {
    half_typed()
}
