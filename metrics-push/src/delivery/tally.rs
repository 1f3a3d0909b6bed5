//! Tally: what a person is told when many outcomes do not arrive at once: a few in full, and the rest as one count per
//! interval. Every line in full goes to `tracing` subscribers all the same.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Moment;
use crate::notice;

/// How many are told in full: as many as one screen has room for, and enough to see what they have in common.
const IN_FULL: u32 = 5;
/// How often the rest is counted up.
const INTERVAL: Duration = Duration::from_secs(10);

/// What became of an outcome that a person should know of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Waits,
    Lost,
    /// It goes, or went, without the program's own metrics.
    Reduced,
}

#[derive(Debug, Default)]
struct Tally {
    /// `None`: all is quiet.
    until: Option<Moment>,
    in_full: u32,
    left_out: Count,
    has_timer: bool,
}

/// What was not told in full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    waiting: u32,
    lost: u32,
    reduced: u32,
}

impl Tally {
    /// Whether the line about this one is told in full. If not, it is counted.
    fn admits(&mut self, now: Moment, fate: Fate) -> bool {
        let is_over = self.until.is_none_or(|until| now.is_at_or_after(until));
        if is_over && self.left_out == Count::default() {
            (self.until, self.in_full) = (Some(now.after(INTERVAL)), 0);
        }
        if self.in_full < IN_FULL {
            self.in_full += 1;
            return true;
        }
        let counted = match fate {
            Fate::Waits => &mut self.left_out.waiting,
            Fate::Lost => &mut self.left_out.lost,
            Fate::Reduced => &mut self.left_out.reduced,
        };
        *counted = counted.saturating_add(1);
        false
    }

    /// The count, if there is anything to tell. As long as there is, nothing more is told in full.
    fn take(&mut self, now: Moment) -> Option<Count> {
        let count = std::mem::take(&mut self.left_out);
        if count == Count::default() {
            return None;
        }
        self.until = Some(now.after(INTERVAL));
        Some(count)
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            (self.waiting, "wait on disk and go with later runs"),
            (self.lost, "are lost"),
            (self.reduced, "went without the program's own metrics"),
        ];
        f.write_str("further outcomes that did not arrive as they should")?;
        for (position, (number, fate)) in parts.iter().filter(|part| part.0 > 0).enumerate() {
            write!(f, "{} {number} {fate}", if position == 0 { ":" } else { "," })?;
        }
        Ok(())
    }
}

static TALLY: Mutex<Tally> = Mutex::new(Tally {
    until: None,
    in_full: 0,
    left_out: Count { waiting: 0, lost: 0, reduced: 0 },
    has_timer: false,
});

fn tally() -> MutexGuard<'static, Tally> {
    TALLY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells a person of an outcome, now or as one of many.
pub(super) fn tell(fate: Fate, line: fmt::Arguments<'_>) {
    // A variable, because the lock is not held while something is written.
    let is_admitted = tally().admits(Moment::now(), fate);
    if is_admitted {
        notice::warn(line);
    } else {
        notice::debug(line);
    }
}

/// How long to wait before [`sum_up`] is called, for the one who is to do it: there is something to sum up, and nobody
/// else was asked.
pub(crate) fn sum_up_after() -> Option<Duration> {
    let mut tally = tally();
    let is_due = !tally.has_timer && tally.left_out != Count::default();
    tally.has_timer |= is_due;
    is_due.then(|| tally.until.map_or(INTERVAL, Moment::remaining))
}

/// The wait is over.
pub(crate) fn sum_up_in_time() {
    tally().has_timer = false;
    sum_up();
}

/// Tells what has been counted, if anything.
pub(crate) fn sum_up() {
    let count = tally().take(Moment::now());
    if let Some(count) = count {
        notice::warn(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_told_in_full_and_the_rest_is_counted() {
        let (mut tally, now) = (Tally::default(), Moment::now());
        let in_full = (0..3_200).filter(|_| tally.admits(now, Fate::Waits)).count();
        assert_eq!(in_full, 5);
        tally.admits(now, Fate::Lost);
        let told = tally.take(now).unwrap().to_string();
        assert!(told.ends_with(": 3195 wait on disk and go with later runs, 1 are lost"), "{told}");
        assert_eq!(tally.take(now), None);
    }

    #[test]
    fn while_it_goes_on_there_is_only_the_count() {
        let (mut tally, mut now) = (Tally::default(), Moment::now());
        while tally.admits(now, Fate::Lost) {}
        for _ in 0..5 {
            assert!(!tally.admits(now.after(INTERVAL / 2), Fate::Lost));
            now = now.after(INTERVAL);
            assert!(!tally.admits(now, Fate::Lost) && tally.take(now).is_some());
        }
    }

    #[test]
    fn after_a_quiet_interval_there_are_full_lines_again() {
        let (mut tally, now) = (Tally::default(), Moment::now());
        while tally.admits(now, Fate::Lost) {}
        assert!(tally.take(now).is_some());
        assert!(!tally.admits(now, Fate::Lost) && tally.take(now).is_some());
        assert!(tally.admits(now.after(INTERVAL), Fate::Lost));
    }
}
