//! `parse_float`: reads numbers of the text format by the rules of Go, in which Prometheus and the Pushgateway are written.

/// Parses a sample value, a quantile or a bucket bound. Returns `None` for text that the gateway rejects.
pub(crate) fn parse_float(text: &str) -> Option<f64> {
    // Rust accepts a signed NaN, and rounds a number that is too large to infinity. Go rejects both.
    let unsigned = text.trim_start_matches(['+', '-']);
    if unsigned.len() < text.len() && unsigned.eq_ignore_ascii_case("nan") {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    let is_overflow = value.is_infinite() && is_number_in_digits(text);
    (!is_overflow).then_some(value)
}

/// Returns true for a number that is written in digits and is too large for a float.
pub(crate) fn is_out_of_range(text: &str) -> bool {
    is_number_in_digits(text) && text.parse::<f64>().is_ok_and(f64::is_infinite)
}

fn is_number_in_digits(text: &str) -> bool {
    text.trim_start_matches(['+', '-']).starts_with(|c: char| !c.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_float_accepts_what_go_accepts() {
        for (text, value) in [
            ("1", 1.0),
            ("+1.", 1.0),
            (".5", 0.5),
            ("-1e-3", -0.001),
            ("1e-999", 0.0),
            ("Inf", f64::INFINITY),
            ("+inf", f64::INFINITY),
            ("-infinity", f64::NEG_INFINITY),
        ] {
            assert_eq!(parse_float(text), Some(value), "{text}");
        }
        assert!(parse_float("nAn").is_some_and(f64::is_nan));
        for text in [
            "", ".", "e5", "+nan", "-NaN", "1e999", "-1e999", "1_0", "0x1p3", "0x10", "1\r", "1,5",
            "++1", "+-nan", "1e", "١",
        ] {
            assert_eq!(parse_float(text), None, "{text}");
        }
        for (text, is_too_large) in
            [("1e999", true), ("-1e999", true), ("Inf", false), ("x", false)]
        {
            assert_eq!(is_out_of_range(text), is_too_large, "{text}");
        }
    }
}
