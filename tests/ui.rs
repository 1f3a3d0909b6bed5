//! What the compiler says of mistakes in attributes, word by word: a folder per attribute, a file per situation.
//!
//! `TRYBUILD=overwrite cargo test --test ui` writes the messages anew.

#[test]
fn mistakes_are_told_where_they_are_with_the_remedy() {
    trybuild::TestCases::new().compile_fail("ui/*/fail/*.rs");
}
