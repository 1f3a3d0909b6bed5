//! `LocalClock`: the time of a report, and instants as the local time of day.

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

#[derive(Clone, Debug)]
pub(crate) struct LocalClock {
    now: Zoned,
}

impl LocalClock {
    pub(crate) fn system() -> Self {
        Self { now: Zoned::now() }
    }

    /// The clock at a time in Unix seconds, in the zone with this name.
    #[cfg(test)]
    pub(crate) fn at(now: f64, zone: &str) -> Self {
        let zone = TimeZone::get(zone).unwrap();
        Self { now: zoned(now, &zone).unwrap() }
    }

    /// The time in Unix seconds.
    pub(crate) fn now(&self) -> f64 {
        let timestamp = self.now.timestamp();
        #[expect(clippy::cast_precision_loss, reason = "milliseconds fit")]
        let millis = timestamp.as_millisecond() as f64;
        millis / 1e3
    }

    /// The name of the time zone; its offset if it has no name.
    pub(crate) fn zone(&self) -> String {
        let zone = self.now.time_zone();
        zone.iana_name().map_or_else(|| self.offset(), str::to_owned)
    }

    /// The offset from UTC, such as `UTC+1`.
    pub(crate) fn offset(&self) -> String {
        let minutes = self.now.offset().seconds() / 60;
        let (hours, minutes) = (minutes / 60, minutes.unsigned_abs() % 60);
        match (hours, minutes) {
            (0, 0) => "UTC".to_owned(),
            (hours, 0) => format!("UTC{hours:+}"),
            (hours, minutes) => format!("UTC{hours:+}:{minutes:02}"),
        }
    }

    /// The time of day: `02:10`. Another day has its weekday: `Fri 03:00`. More than six days away, it is the date:
    /// `12 Nov`, with the year if it is another one.
    pub(crate) fn moment(&self, unix_seconds: f64) -> String {
        self.format(unix_seconds, |instant| {
            let days =
                self.now.date().until(instant.date()).map_or(i32::MAX, |span| span.get_days());
            match days {
                0 => "%H:%M",
                -6..=6 => "%a %H:%M",
                _ if instant.year() == self.now.year() => "%-d %b",
                _ => "%-d %b %Y",
            }
        })
    }

    /// The date and the time: `Thu 26 Nov 06:10`.
    pub(crate) fn date_and_time(&self, unix_seconds: f64) -> String {
        self.format(unix_seconds, |_| "%a %d %b %H:%M")
    }

    /// The date, the time and the offset for machines: `2026-11-26T06:42:18+01:00`.
    pub(crate) fn rfc3339(&self, unix_seconds: f64) -> String {
        self.format(unix_seconds, |_| "%Y-%m-%dT%H:%M:%S%:z")
    }

    /// Formats an instant with a format of `strftime`.
    pub(crate) fn format(
        &self,
        unix_seconds: f64,
        format: impl FnOnce(&Zoned) -> &'static str,
    ) -> String {
        match zoned(unix_seconds, self.now.time_zone()) {
            Some(instant) => instant.strftime(format(&instant)).to_string(),
            None => "an unknown time".to_owned(),
        }
    }
}

/// `None` for an instant that no calendar has.
fn zoned(unix_seconds: f64, zone: &TimeZone) -> Option<Zoned> {
    if !unix_seconds.is_finite() {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "the cast saturates")]
    let millis = (unix_seconds * 1e3).round() as i64;
    Some(Timestamp::from_millisecond(millis).ok()?.to_zoned(zone.clone()))
}
