//! `Timeline`: the runs of one job as bars, from their start times and durations.
//!
//! Horizontal places are percentages of the width, vertical places are pixels from the top.

use super::strip::{MarkedRun, encode};
use crate::humanize::duration;
use crate::jobs::RunMark;

/// The place of the duration 0.
const BASE: f64 = 142.0;

/// The height of the longest bar.
const HEIGHT: f64 = 120.0;

/// The widest and the narrowest bar, in percent.
const MAX_WIDTH: f64 = 2.0;
const MIN_WIDTH: f64 = 0.5;

/// The free space on the right, for the labels of the lines, in percent.
const MARGIN: f64 = 8.0;

/// The shortest distance between the labels of two days, in percent.
const MIN_DISTANCE: f64 = 12.0;

/// The distances between two lines, in seconds.
const GRID: [f64; 22] = [
    0.01, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1_800.0,
    3_600.0, 7_200.0, 10_800.0, 21_600.0, 43_200.0, 86_400.0, 172_800.0,
];

/// The maximum number of lines.
const MAX_LINES: f64 = 4.0;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Timeline {
    /// The runs in the format of [`encode`].
    pub(super) runs: String,
    pub(super) bars: Vec<Bar>,
    pub(super) lines: Vec<GridLine>,
    pub(super) days: Vec<Day>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bar {
    pub(super) x: String,
    /// The place of its middle.
    pub(super) middle: String,
    pub(super) width: String,
    pub(super) y: u32,
    pub(super) height: u32,
    pub(super) is_failure: bool,
}

/// A line at a duration.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct GridLine {
    pub(super) y: u32,
    pub(super) label: String,
}

/// The first run of a day.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Day {
    pub(super) x: String,
    pub(super) label: String,
}

impl Timeline {
    /// Draws the runs up to `now`. `runs` is ordered by start time. `day` returns the day of a time in Unix seconds.
    /// Returns `None` for fewer than two runs.
    pub(super) fn new(runs: &[MarkedRun], now: f64, day: impl Fn(f64) -> String) -> Option<Self> {
        let [_, _, ..] = runs else { return None };
        let first = runs.iter().map(|run| run.start).fold(f64::INFINITY, f64::min);
        let last = runs.iter().map(|run| run.start).fold(now, f64::max);
        let longest = runs.iter().filter_map(|run| run.duration).fold(0.0, f64::max);
        let step = grid_step(longest);
        let scale = Scale {
            first,
            span: (last - first).max(1.0),
            full: (longest / step).ceil().max(1.0) * step,
            width: bar_width(runs.len()),
        };
        Some(Self {
            bars: runs.iter().map(|run| scale.bar(run)).collect(),
            lines: scale.lines(step),
            days: scale.days(runs, day),
            runs: encode(runs),
        })
    }
}

/// Leaves a gap between the bars of runs at equal distances.
fn bar_width(runs: usize) -> f64 {
    (60.0 / runs as f64).clamp(MIN_WIDTH, MAX_WIDTH)
}

/// The distance between lines, so that few lines cover the longest duration.
fn grid_step(longest: f64) -> f64 {
    let fits = |step: &&f64| longest <= **step * MAX_LINES;
    GRID.iter().find(fits).copied().unwrap_or(longest / MAX_LINES)
}

struct Scale {
    first: f64,
    span: f64,
    /// The duration at the top.
    full: f64,
    width: f64,
}

impl Scale {
    fn x(&self, start: f64) -> f64 {
        (start - self.first) / self.span * (100.0 - MARGIN - self.width)
    }

    fn y(&self, duration: f64) -> u32 {
        pixel(BASE - HEIGHT * duration / self.full)
    }

    /// A run without a duration has a bar of full height.
    fn bar(&self, run: &MarkedRun) -> Bar {
        let y = self.y(run.duration.unwrap_or(self.full)).min(pixel(BASE) - 2);
        Bar {
            x: percent(self.x(run.start)),
            middle: percent(self.x(run.start) + self.width / 2.0),
            width: percent(self.width),
            y,
            height: pixel(BASE) - y,
            is_failure: matches!(run.mark, RunMark::Failure | RunMark::NoEnd),
        }
    }

    fn lines(&self, step: f64) -> Vec<GridLine> {
        let durations = (1..).map(|count| f64::from(count) * step);
        let durations = durations.take_while(|it| *it <= self.full + step / 2.0);
        durations.map(|it| GridLine { y: self.y(it), label: duration(it) }).collect()
    }

    fn days(&self, runs: &[MarkedRun], day: impl Fn(f64) -> String) -> Vec<Day> {
        let mut days: Vec<Day> = Vec::new();
        let mut previous = day(self.first);
        let mut free = 0.0;
        for run in &runs[1..] {
            let (label, x) = (day(run.start), self.x(run.start));
            if label != previous && x >= free && x <= 100.0 - MARGIN {
                days.push(Day { x: percent(x), label: label.clone() });
                free = x + MIN_DISTANCE;
            }
            previous = label;
        }
        days
    }
}

fn percent(share: f64) -> String {
    format!("{share:.1}%")
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 0 and the height; the cast saturates"
)]
fn pixel(place: f64) -> u32 {
    place.round() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: f64 = 3_600.0;

    fn run(hour: f64, duration: f64, mark: RunMark) -> MarkedRun {
        let outcome = if mark == RunMark::Success { "success" } else { "error" };
        MarkedRun {
            mark,
            start: hour * HOUR,
            duration: Some(duration),
            outcome: outcome.to_owned(),
            failure: None,
        }
    }

    fn day(seconds: f64) -> String {
        format!("day {}", (seconds / 86_400.0).floor())
    }

    #[test]
    fn bars_have_the_places_of_their_times() {
        let runs = [
            run(0.0, 90.0, RunMark::Success),
            run(20.0, 150.0, RunMark::Failure),
            run(40.0, 0.0, RunMark::Success),
        ];
        let line = Timeline::new(&runs, 50.0 * HOUR, day).unwrap();
        let bars: Vec<_> =
            line.bars.iter().map(|bar| (&*bar.x, bar.y, bar.height, bar.is_failure)).collect();
        assert_eq!(
            bars,
            [("0.0%", 82, 60, false), ("36.0%", 42, 100, true), ("72.0%", 140, 2, false)]
        );
        let lines: Vec<_> = line.lines.iter().map(|line| (line.y, &*line.label)).collect();
        assert_eq!(lines, [(102, "1m"), (62, "2m"), (22, "3m")]);
        assert_eq!(line.days, [Day { x: "72.0%".to_owned(), label: "day 1".to_owned() }]);
    }

    #[test]
    fn runs_without_duration_and_at_one_time_have_bars() {
        let mut runs = vec![run(1.0, 0.0, RunMark::Success); 3];
        runs[2].duration = None;
        let line = Timeline::new(&runs, 0.0, day).unwrap();
        assert_eq!((line.bars[0].height, line.bars[2].height), (2, 120));
        assert!(Timeline::new(&runs[..1], 0.0, day).is_none());
    }

    #[test]
    fn runs_that_overlap_have_bars_within_the_drawing() {
        let starts = [20.0, 0.0, 50.0, 40.0].map(|hour| run(hour, 90.0, RunMark::Success));
        let line = Timeline::new(&starts, 45.0 * HOUR, day).unwrap();
        let places: Vec<_> = line.bars.iter().map(|bar| &*bar.x).collect();
        assert_eq!(places, ["36.0%", "0.0%", "90.0%", "72.0%"]);
    }

    #[test]
    fn lines_are_few_for_every_duration() {
        for longest in [0.0, 0.004, 0.7, 3.0, 59.0, 3_601.0, 1e5, 1e9] {
            let runs = [run(0.0, longest, RunMark::Success), run(1.0, longest, RunMark::Success)];
            let line = Timeline::new(&runs, HOUR, day).unwrap();
            assert!((1..=4).contains(&line.lines.len()), "{longest}: {:?}", line.lines);
        }
    }
}
