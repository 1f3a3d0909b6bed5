//! Type errors and name errors. The annotated version has an attribute in place of each `//@`.

pub struct Failure;

//@
pub fn wrong_type() -> u32 {
    "text"
}

//@
pub fn wrong_early_type(early: bool) -> u32 {
    if early {
        return "text";
    }
    1
}

//@
pub async fn wrong_type_async() -> u32 {
    "text"
}

//@
pub fn wrong_unit() {
    1
}

//@
pub async fn wrong_unit_async() {
    1
}

//@
pub fn trailing_semicolon() -> i32 {
    1;
}

//@
pub async fn trailing_semicolon_async() -> i32 {
    1;
}

//@
pub fn wrong_error(text: &str) -> Result<u32, Failure> {
    Ok(text.parse::<u32>()?)
}

//@
pub async fn wrong_error_async(text: &str) -> Result<u32, Failure> {
    Ok(text.parse::<u32>()?)
}

//@
pub fn question_mark_without_result(text: &str) -> u32 {
    text.parse::<u32>()?
}

//@
pub async fn question_mark_without_result_async(text: &str) -> u32 {
    text.parse::<u32>()?
}

//@
pub fn unknown_method(text: &str) -> usize {
    text.length()
}

//@
pub fn missing_trait() -> impl Iterator<Item = u32> {
    3_u32
}

//@
pub fn unknown_function() -> u32 {
    unknown_method()
}

//@
pub fn undefined_label() -> u32 {
    break 'outer;
    1
}
