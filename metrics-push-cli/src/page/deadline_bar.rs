//! `DeadlineBar`: the age of the last success, relative to its deadline.

/// The place of the deadline, in pixels.
const DEADLINE: f64 = 105.0;

/// The end of the longest bar. An age beyond it has an arrow.
const END: f64 = 132.0;

/// The lengths of the parts, in whole pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DeadlineBar {
    /// The part up to the deadline, 0 without a success.
    pub(super) elapsed: u32,
    /// The end of the part beyond the deadline.
    pub(super) over: Option<u32>,
    pub(super) has_arrow: bool,
}

impl DeadlineBar {
    /// Draws the age of the last success, `None` without one. Both are in seconds.
    pub(super) fn new(age: Option<f64>, deadline: f64) -> Self {
        let place = DEADLINE * age.unwrap_or(0.0).max(0.0) / deadline.max(1.0);
        Self {
            elapsed: pixel(place.min(DEADLINE)),
            over: (place > DEADLINE).then(|| pixel(place.min(END)).max(pixel(DEADLINE) + 1)),
            has_arrow: place > END,
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and `END`")]
fn pixel(place: f64) -> u32 {
    place.round() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(elapsed: u32, over: Option<u32>, has_arrow: bool) -> DeadlineBar {
        DeadlineBar { elapsed, over, has_arrow }
    }

    #[test]
    fn bar_ends_at_the_age() {
        for (age, expected) in [
            (0.0, bar(0, None, false)),
            (50.0, bar(53, None, false)),
            (100.0, bar(105, None, false)),
            (100.1, bar(105, Some(106), false)),
            (120.0, bar(105, Some(126), false)),
            (126.0, bar(105, Some(132), true)),
            (1e9, bar(105, Some(132), true)),
            (-5.0, bar(0, None, false)),
        ] {
            assert_eq!(DeadlineBar::new(Some(age), 100.0), expected, "{age}");
        }
    }

    #[test]
    fn bar_without_success_is_empty() {
        assert_eq!(DeadlineBar::new(None, 100.0), bar(0, None, false));
    }
}
