//! Compares the compiler's output for invalid attributes with the expected output: one folder per attribute, one file
//! per situation.
//!
//! `TRYBUILD=overwrite cargo test --test ui` overwrites the expected output.

#[test]
fn attribute_errors_name_the_location_and_the_remedy() {
    trybuild::TestCases::new().compile_fail("ui/*/fail/*.rs");
}
