//! Numbers and quoted text as the real gateway reads and prints them.
//!
//! It is written in Go, and its number syntax is not Rust's: what is accepted and how a value is
//! printed differs in the corners, which is where clients get hurt.

/// Reads a sample value, a quantile or a bucket bound; `None` is what the gateway refuses.
pub(super) fn parse_float(text: &str) -> Option<f64> {
    // Rust takes a signed NaN and rounds what is too large to infinity; the gateway does neither.
    let unsigned = text.trim_start_matches(['+', '-']);
    if unsigned.len() < text.len() && unsigned.eq_ignore_ascii_case("nan") {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    let overflowed =
        value.is_infinite() && unsigned.starts_with(|c: char| !c.is_ascii_alphabetic());
    (!overflowed).then_some(value)
}

/// A float as the query API prints it: the shortest digits, with an exponent from a million upwards.
pub(super) fn print_float(value: f64) -> String {
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

/// A float as the text format has it: as above, and zero has no sign.
pub(super) fn print_sample(value: f64) -> String {
    if value == 0.0 { "0".into() } else { print_float(value) }
}

/// A count that arrived as a float.
///
/// Nobody should send a negative or endless count; the gateway's machine instruction turns
/// those it can't hold into the largest power of two.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "that is the rule")]
pub(super) fn count_of(value: f64) -> u64 {
    const UNHOLDABLE: u64 = 1 << 63;
    const LIMIT: f64 = 18_446_744_073_709_551_616.0;
    if (0.0..LIMIT).contains(&value) {
        value as u64
    } else if (-(LIMIT / 2.0)..0.0).contains(&value) {
        (value as i64).cast_unsigned()
    } else {
        UNHOLDABLE
    }
}

/// Bytes as text, one replacement character for each byte that is not UTF-8.
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
    fn numbers_are_read_as_strictly_as_the_gateway_reads_them() {
        for (text, value) in [
            ("1", 1.0),
            ("+1.", 1.0),
            (".5", 0.5),
            ("-1e-3", -0.001),
            ("Inf", f64::INFINITY),
            ("-infinity", f64::NEG_INFINITY),
        ] {
            assert_eq!(parse_float(text), Some(value), "{text}");
        }
        assert!(parse_float("nAn").is_some_and(f64::is_nan));
        for text in ["", ".", "e5", "+nan", "-NaN", "1e999", "-1e999", "1_0", "0x1p3", "1\r", "1,5"]
        {
            assert_eq!(parse_float(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_are_printed_as_the_gateway_prints_them() {
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
            assert_eq!(print_float(value), text);
        }
        assert_eq!(print_sample(-0.0), "0");
    }

    #[test]
    fn impossible_counts_become_what_the_gateway_makes_of_them() {
        assert_eq!(count_of(3.7), 3);
        assert_eq!(count_of(-1.0), u64::MAX);
        for impossible in [f64::NAN, f64::INFINITY, 1e30, -1e30] {
            assert_eq!(count_of(impossible), 1 << 63);
        }
    }
}
