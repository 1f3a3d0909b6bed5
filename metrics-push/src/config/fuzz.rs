//! Checks the readers of variables and durations with arbitrary bytes.

use std::ffi::OsString;
use std::time::Duration;

use super::{Config, parse_duration};

/// Reads a duration. A duration in milliseconds has the same value after it is written and read again.
///
/// # Panics
/// If the reader is wrong.
pub fn duration(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok(duration) = parse_duration(&text) else { return };
    assert!(!duration.is_zero());
    let millis =
        u64::try_from(duration.as_millis()).ok().filter(|millis| (1..1 << 50).contains(millis));
    if let Some(millis) = millis {
        let again = parse_duration(&format!("{millis}ms"));
        let difference = again.ok().map(|again| again.abs_diff(Duration::from_millis(millis)));
        assert!(difference < Some(Duration::from_millis(1)), "{text:?}: {difference:?}");
    }
}

/// Reads the variables from lines of `NAME=value`.
///
/// # Panics
/// If the reader is wrong.
pub fn variables(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let pairs: Vec<_> = text.lines().filter_map(|line| line.split_once('=')).collect();
    let look_up = |name: &str| {
        let found =
            pairs.iter().find(|(own, _)| *own == name || format!("METRICS_PUSH_{own}") == name);
        found.map(|(_, value)| OsString::from(value))
    };
    let (config, _) = Config::from_variables(look_up);
    let _ = (config.grouping_key("job"), format!("{config:?}"));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_written_duration_is_read(millis in 1_u64..1 << 50) {
            let duration = Duration::from_millis(millis);
            let (hours, rest) = (millis / 3_600_000, millis % 3_600_000);
            for text in [format!("{millis}ms"), format!("{hours}h{rest}ms"), duration.as_secs_f64().to_string()] {
                let difference = parse_duration(&text).unwrap().abs_diff(duration);
                prop_assert!(difference < Duration::from_millis(1), "{}: {:?}", text, difference);
            }
        }
    }
}
