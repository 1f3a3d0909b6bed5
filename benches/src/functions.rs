//! The functions that the benches of compile time annotate.

/// A small function, typical of jobs: an early return, a loop, borrowed arguments.
const FUNCTION: &str = "ATTRIBUTES
pub ASYNC fn total_NUMBER(text: &str, limit: u64) -> Result<u64, std::num::ParseIntError> {
    let mut total = 0u64;
    for line in text.lines().skip(NUMBER) {
        let amount: u64 = line.trim().parse()?;
        if amount > limit {
            return Ok(total);
        }
        total += amount;
    }
    Ok(total.min(LIMIT))
}
";

/// Returns the source of the function `total_<number>`. Its body contains `limit`, an expression that may use the parameter
/// of this name.
#[must_use]
pub fn function(number: usize, is_async: bool, attributes: &str, limit: &str) -> String {
    FUNCTION
        .replace("ATTRIBUTES", attributes)
        .replace("ASYNC ", if is_async { "async " } else { "" })
        .replace("NUMBER", &number.to_string())
        .replace("LIMIT", limit)
}
