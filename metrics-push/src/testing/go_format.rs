//! Formats numbers and text as the Go gateway does.
//!
//! Implemented by hand, because the rules of Go and Rust differ in edge cases: when a float has an exponent, how a float becomes
//! an integer, and how many replacement characters invalid UTF-8 becomes.

/// Formats a float as the query API does: the shortest digits, with an exponent below 0.0001 and from a million upwards.
pub(super) fn format_float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.into();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>().unwrap_or(0) {
        -4..6 => format!("{value}"),
        exponent => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
    }
}

/// Formats a float as the text format does: like [`format_float`], but zero has no sign.
pub(super) fn format_sample(value: f64) -> String {
    if value == 0.0 { "0".into() } else { format_float(value) }
}

/// Converts a count that was sent as a float.
///
/// A count between -2^63 and 0 wraps around. `NaN` and all other counts out of range become 2^63, which is what the
/// conversion instruction of x86-64 returns.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the gateway truncates too"
)]
pub(super) fn float_to_count(value: f64) -> u64 {
    const OUT_OF_RANGE: u64 = 1 << 63;
    const LIMIT: f64 = 18_446_744_073_709_551_616.0;
    if (0.0..LIMIT).contains(&value) {
        value as u64
    } else if (-(LIMIT / 2.0)..0.0).contains(&value) {
        (value as i64).cast_unsigned()
    } else {
        OUT_OF_RANGE
    }
}

/// Converts bytes to text, with one replacement character for each byte that is not valid UTF-8.
pub(super) fn lossy(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn format_float_matches_go() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (999_999.0, "999999"),
            (1_000_000.0, "1e+06"),
            (123_456_789.0, "1.23456789e+08"),
            (0.0001, "0.0001"),
            (0.000_012_5, "1.25e-05"),
            (1e100, "1e+100"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(format_float(value), text);
        }
        assert_eq!(format_sample(-0.0), "0");
    }

    #[test]
    fn float_to_count_matches_go_when_out_of_range() {
        assert_eq!(float_to_count(3.7), 3);
        assert_eq!(float_to_count(-1.0), u64::MAX);
        for out_of_range in [f64::NAN, f64::INFINITY, 1e30, -1e30] {
            assert_eq!(float_to_count(out_of_range), 1 << 63);
        }
    }
}
