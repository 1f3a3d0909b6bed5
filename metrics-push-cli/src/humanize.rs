//! Formats durations, times, numbers and messages for people.

use std::time::{SystemTime, UNIX_EPOCH};

use metrics_push::format_timestamp;

/// Formats a duration with at most two units: `7ms`, `1.2s`, `3m20s`, `2h`, `3d4h`.
pub(crate) fn duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return "?".to_owned();
    }
    let seconds = seconds.abs();
    if seconds < 0.9995 {
        return format!("{:.0}ms", seconds * 1e3);
    }
    if seconds < 9.95 {
        return format!("{seconds:.1}s").replace(".0s", "s");
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "rounded and not negative; the cast saturates"
    )]
    let whole = seconds.round() as u64;
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

/// Writes a number of things: `1 group`, `2 groups`.
pub(crate) fn count(number: usize, one: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        _ => format!("{number} {one}s"),
    }
}

/// Writes a time in Unix seconds and how long ago it is: `3d4h ago (2025-11-22T10:15:00Z)`.
pub(crate) fn time(unix_seconds: f64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let age = now.as_secs_f64() - unix_seconds;
    let distance = if age < 0.0 { "ahead" } else { "ago" };
    format!("{} {distance} ({})", duration(age), format_timestamp(unix_seconds))
}

/// Adds a capital letter and a full stop.
pub(crate) fn sentence(fragment: &str) -> String {
    let mut characters = fragment.chars();
    let Some(first) = characters.next() else { return String::new() };
    let end = if fragment.ends_with(['.', '!', '?']) { "" } else { "." };
    first.to_uppercase().chain(characters).chain(end.chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duration_has_at_most_two_units() {
        for (seconds, expected) in [
            (0.0, "0ms"),
            (0.007_16, "7ms"),
            (0.9999, "1s"),
            (1.234, "1.2s"),
            (9.96, "10s"),
            (59.7, "1m"),
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
    fn count_has_the_right_plural() {
        assert_eq!(
            [0, 1, 2].map(|number| count(number, "group")),
            ["0 groups", "1 group", "2 groups"]
        );
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
