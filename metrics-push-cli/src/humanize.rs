//! Formats durations, times, numbers and messages for people.

use std::time::{SystemTime, UNIX_EPOCH};

use metrics_push::format_timestamp;

/// Formats a duration with at most two units, cut off: `7ms`, `48s`, `3m20s`, `6h29m`, `3d4h`.
pub(crate) fn duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return "?".to_owned();
    }
    if seconds.abs() < 1.0 {
        return format!("{:.0}ms", (seconds.abs() * 1e3).floor());
    }
    let whole = whole(seconds);
    let two = |large: u64, unit: &str, small: u64, part: &str| match small {
        0 => format!("{large}{unit}"),
        _ => format!("{large}{unit}{small}{part}"),
    };
    match whole {
        ..60 => format!("{whole}s"),
        60..3_600 => two(whole / 60, "m", whole % 60, "s"),
        3_600..86_400 => two(whole / 3_600, "h", whole % 3_600 / 60, "m"),
        _ => two(whole / 86_400, "d", whole % 86_400 / 3_600, "h"),
    }
}

/// Formats an age or a wait: like [`duration`], in whole seconds, and from 10 to 59 minutes in minutes only.
pub(crate) fn age(seconds: f64) -> String {
    if seconds.abs() < 1.0 {
        return "0s".to_owned();
    }
    match whole(seconds) {
        whole @ 600..3_600 if seconds.is_finite() => format!("{}m", whole / 60),
        _ => duration(seconds),
    }
}

/// Whole seconds, without the sign. Adds what a subtraction of two Unix times in milliseconds can lose.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "not negative; the cast saturates"
)]
fn whole(seconds: f64) -> u64 {
    (seconds.abs() + 1e-6) as u64
}

/// Writes a number of things: `1 group`, `2 groups`.
pub(crate) fn count(number: usize, one: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        _ => format!("{number} {one}s"),
    }
}

/// Writes a value and its unit: `1 record`, `48,210 records`.
pub(crate) fn quantity(value: f64, one: &str) -> String {
    let plural = if value == 1.0 { "" } else { "s" };
    format!("{} {one}{plural}", number(value))
}

/// Writes a value. Commas separate the thousands of a whole number.
pub(crate) fn number(value: f64) -> String {
    let text = value.to_string();
    if value.fract() == 0.0 { grouped(&text) } else { text }
}

/// Adds commas between the thousands of a whole number.
fn grouped(digits: &str) -> String {
    let (sign, digits) = digits.split_at(digits.find(|c: char| c.is_ascii_digit()).unwrap_or(0));
    let mut grouped = sign.to_owned();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Writes a time in Unix seconds and how long ago it is: `3d4h ago (2025-11-22T10:15:00Z)`.
pub(crate) fn time(at: f64) -> String {
    let age = unix_seconds(SystemTime::now()) - at;
    let distance = if age < 0.0 { "ahead" } else { "ago" };
    format!("{} {distance} ({})", duration(age), format_timestamp(at))
}

/// Returns an instant in Unix seconds; 0 for one before 1970.
pub(crate) fn unix_seconds(instant: SystemTime) -> f64 {
    instant.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Adds a capital letter and a full stop.
pub(crate) fn sentence(fragment: &str) -> String {
    let is_complete = fragment.is_empty() || fragment.ends_with(['.', '!', '?']);
    capitalized(fragment) + if is_complete { "" } else { "." }
}

/// Adds a capital letter.
pub(crate) fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(characters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duration_has_at_most_two_units() {
        for (seconds, expected) in [
            (0.0, "0ms"),
            (0.007_96, "7ms"),
            (0.9999, "999ms"),
            (1.987, "1s"),
            (59.7, "59s"),
            (60.0, "1m"),
            (-80.0, "1m20s"),
            (872.0, "14m32s"),
            (200.0, "3m20s"),
            (7_200.0, "2h"),
            (7_290.0, "2h1m"),
            (172_800.0, "2d"),
            (273_700.0, "3d4h"),
            (f64::NAN, "?"),
        ] {
            assert_eq!(duration(seconds), expected, "{seconds}");
        }
    }

    #[test]
    fn age_of_many_minutes_has_no_seconds() {
        for (seconds, expected) in [
            (0.4, "0s"),
            (1.9, "1s"),
            (599.0, "9m59s"),
            (640.0, "10m"),
            (3_599.0, "59m"),
            (3_700.0, "1h1m"),
            (f64::INFINITY, "?"),
        ] {
            assert_eq!(age(seconds), expected, "{seconds}");
        }
    }

    #[test]
    fn count_has_the_right_plural() {
        assert_eq!(
            [0, 1, 2].map(|number| count(number, "group")),
            ["0 groups", "1 group", "2 groups"]
        );
    }

    #[test]
    fn number_has_commas_between_thousands() {
        for (value, expected) in [
            (0.0, "0"),
            (999.0, "999"),
            (48_210.0, "48,210"),
            (-1_000_000.0, "-1,000,000"),
            (1_234.5, "1234.5"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(number(value), expected);
        }
    }

    #[test]
    fn time_has_age_and_date() {
        assert!(time(0.0).ends_with(" ago (1970-01-01T00:00:00Z)"), "{}", time(0.0));
        assert!(time(1e10).ends_with(" ahead (2286-11-20T17:46:40Z)"), "{}", time(1e10));
        assert_eq!(time(f64::NAN), "? ago (NaN)");
    }

    #[test]
    fn sentence_completes_a_fragment() {
        assert_eq!(sentence("the job name is empty"), "The job name is empty.");
        assert_eq!(sentence("Done."), "Done.");
        assert_eq!(sentence("\"x\" is not a duration"), "\"x\" is not a duration.");
        assert_eq!(sentence(""), "");
    }
}
