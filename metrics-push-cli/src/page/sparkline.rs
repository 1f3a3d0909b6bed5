//! `Sparkline`: the durations of the last runs as a line, the newest on the right.

use std::fmt::Write as _;

use crate::humanize::duration;

/// The left and the right end of the line, in pixels.
const LEFT: f64 = 1.0;
const RIGHT: f64 = 71.0;

/// The places of the longest and the shortest duration, in pixels from the top.
const TOP: f64 = 3.0;
const BOTTOM: f64 = 16.0;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sparkline {
    /// The text for screen readers. It ends with the newest duration.
    pub(super) label: String,
    /// The attribute `d` of the path.
    pub(super) data: String,
    /// The place of the newest duration.
    pub(super) last_y: i32,
}

impl Sparkline {
    /// Draws durations in seconds, oldest first. Returns `None` if they are fewer than two.
    pub(super) fn new(durations: &[f64]) -> Option<Self> {
        let [.., _, last] = durations else { return None };
        let shortest = durations.iter().copied().fold(f64::INFINITY, f64::min);
        let longest = durations.iter().copied().fold(0.0, f64::max);
        let points = points(durations, shortest, longest);
        Some(Self {
            label: format!(
                "{} runs, {} to {}, last {}",
                durations.len(),
                duration(shortest),
                duration(longest),
                duration(*last)
            ),
            data: path(&points),
            last_y: points[points.len() - 1].1,
        })
    }
}

/// The places of the durations in whole pixels. Equal durations are in the middle.
fn points(durations: &[f64], shortest: f64, longest: f64) -> Vec<(i32, i32)> {
    let last = durations.len() - 1;
    let point = |(at, duration): (usize, &f64)| {
        let share = match longest - shortest {
            0.0 => 0.5,
            range => (duration - shortest) / range,
        };
        (
            pixel(LEFT + (RIGHT - LEFT) * at as f64 / last as f64),
            pixel(BOTTOM + (TOP - BOTTOM) * share),
        )
    };
    durations.iter().enumerate().map(point).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "rounded and small")]
fn pixel(place: f64) -> i32 {
    place.round() as i32
}

/// Connects points by relative lines, which need fewer characters.
fn path(points: &[(i32, i32)]) -> String {
    let mut data = format!("M{} {}l", points[0].0, points[0].1);
    for pair in points.windows(2) {
        let (x, y) = (pair[1].0 - pair[0].0, pair[1].1 - pair[0].1);
        // Writing to a string does not fail.
        let _ = write!(data, "{x} {y} ");
    }
    data.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_covers_the_range_of_durations() {
        let line = Sparkline::new(&[10.0, 20.0, 15.0]).unwrap();
        assert_eq!(line.data, "M1 16l35 -13 35 7");
        assert_eq!((line.last_y, &*line.label), (10, "3 runs, 10s to 20s, last 15s"));
    }

    #[test]
    fn equal_durations_are_a_line_in_the_middle() {
        assert_eq!(Sparkline::new(&[5.0, 5.0]).unwrap().data, "M1 10l70 0");
    }

    #[test]
    fn one_duration_is_not_a_line() {
        assert_eq!(Sparkline::new(&[5.0]), None);
        assert_eq!(Sparkline::new(&[]), None);
    }
}
