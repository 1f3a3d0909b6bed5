//! Parses durations with units, as in environment variables and on the command line.

use std::time::Duration;

use crate::error::Error;

/// Parses a duration such as `10s`, `1500ms`, `1h30m` or `7d`, or a plain number of seconds.
///
/// Environment variables and the command `metrics-push` use this form.
///
/// ```
/// # fn main() -> Result<(), metrics_push::Error> {
/// assert_eq!(metrics_push::parse_duration("1h30m")?.as_secs(), 5_400);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// `is_config` if the text is not a duration, or is zero.
pub fn parse_duration(text: &str) -> Result<Duration, Error> {
    let seconds = match text.trim().parse() {
        Ok(seconds) => Some(seconds),
        Err(_) => sum_of_parts(text.trim()),
    };
    let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration.filter(|duration| !duration.is_zero()).ok_or_else(|| {
        Error::config(format!("invalid duration {text:?}"))
            .remedy("write it as 10s, 1500ms, 2m, 1h30m or 7d")
    })
}

/// Returns the sum of numbers with units, in seconds.
fn sum_of_parts(mut rest: &str) -> Option<f64> {
    let mut total = 0.0;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| c.is_ascii_alphabetic())?);
        let end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        // A negative part would reduce the sum.
        let number = number.trim().parse().ok().filter(|number: &f64| number.is_sign_positive())?;
        total += number * seconds_per(unit)?;
        rest = after;
    }
    Some(total)
}

fn seconds_per(unit: &str) -> Option<f64> {
    Some(match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duration_is_a_sum_of_parts_with_units() {
        for (text, milliseconds) in [
            ("10s", 10_000),
            ("1500ms", 1_500),
            ("2m", 120_000),
            ("0.5", 500),
            (" 1.5 h ", 5_400_000),
            ("1h30m", 5_400_000),
            ("7d", 604_800_000),
        ] {
            let expected = Duration::from_millis(milliseconds);
            assert_eq!(parse_duration(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn invalid_duration_is_an_error_with_an_example() {
        for text in ["", "s", "-1s", "0", "0h", "1 fortnight", "NaN", "inf", "1h30", "1h-5m"] {
            match parse_duration(text) {
                Err(error) => assert!(error.to_string().contains("1h30m"), "{error}"),
                Ok(duration) => panic!("{text:?} is {duration:?}"),
            }
        }
    }
}
