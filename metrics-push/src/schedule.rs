//! The times of cron expressions.
//!
//! Only this file imports the crates for cron expressions and time zones. The times of an expression are searched on a
//! calendar without time changes, and each is then converted to an instant of the time zone. In this way, a time that does
//! not exist becomes the next one that does, and a time that exists twice becomes the first of the two.

use cronexpr::{Crontab, MakeTimestamp, parse_crontab};
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan as _};

use crate::error::Error;

/// The fields of an expression, each with its values.
const FIELDS: [(&str, &str); 5] = [
    ("minute", "0-59"),
    ("hour", "0-23"),
    ("day of month", "1-31"),
    ("month", "1-12 or JAN-DEC"),
    ("day of week", "0-7 or SUN-SAT"),
];

/// The short forms.
const SHORT_FORMS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// The latest time from which the next one is searched, in the year 9892. Further ones could leave the calendar.
const MAX_UNIX_SECONDS: i64 = 250_000_000_000;

/// Returns the time of an expression that is `count` times after this one, both in Unix seconds. `None` if there is none
/// in the next four years. An empty name of a time zone stands for the time zone of the machine.
///
/// # Errors
/// `is_config` if the expression is invalid or the time zone is unknown.
pub(crate) fn nth_after(
    expression: &str,
    timezone: &str,
    unix_seconds: f64,
    count: u32,
) -> Result<Option<f64>, Error> {
    let schedule = Schedule::parse(expression, timezone)?;
    Ok((0..count).try_fold(unix_seconds, |time, _| schedule.next_after(time)))
}

/// Returns the times of an expression after this one, in order, all in Unix seconds. The command counts missed runs with it.
///
/// # Errors
/// `is_config` if the expression is invalid or the time zone is unknown.
pub fn scheduled_times(
    expression: &str,
    timezone: &str,
    unix_seconds: f64,
) -> Result<impl Iterator<Item = f64> + use<>, Error> {
    let schedule = Schedule::parse(expression, timezone)?;
    let first = schedule.next_after(unix_seconds);
    Ok(std::iter::successors(first, move |last| schedule.next_after(*last)))
}

/// A cron expression in a time zone.
struct Schedule {
    crontab: Crontab,
    zone: TimeZone,
}

impl Schedule {
    fn parse(expression: &str, timezone: &str) -> Result<Self, Error> {
        Ok(Self { crontab: parse_expression(expression)?, zone: find_zone(timezone)? })
    }

    fn next_after(&self, unix_seconds: f64) -> Option<f64> {
        #[expect(clippy::cast_possible_truncation, reason = "saturates")]
        let seconds = unix_seconds.floor() as i64;
        let start = Timestamp::from_second(seconds.min(MAX_UNIX_SECONDS)).ok()?;
        let mut civil = self.zone.to_datetime(start);
        loop {
            civil = self.next_civil(civil)?;
            let instant = self.instant(civil)?;
            // The second of two equal times on the clock is after the start, and the instant of both is not.
            if instant > start {
                #[expect(clippy::cast_precision_loss, reason = "a time in seconds fits")]
                return Some(instant.as_second() as f64);
            }
        }
    }

    /// Returns the next time on the calendar without time changes.
    fn next_civil(&self, civil: DateTime) -> Option<DateTime> {
        let start = TimeZone::UTC.to_timestamp(civil).ok()?;
        self.crontab.find_next(MakeTimestamp(start)).ok().map(|next| next.datetime())
    }

    /// Returns when the clocks of the time zone first show this time or a later one.
    fn instant(&self, civil: DateTime) -> Option<Timestamp> {
        let ambiguous = self.zone.to_ambiguous_timestamp(civil);
        match ambiguous.offset() {
            AmbiguousOffset::Gap { before, .. } => {
                // Without the time change, the clocks would show the time at or after the change.
                let unchanged = before.to_timestamp(civil).ok()?;
                let end = unchanged.checked_add(1.second()).ok()?;
                self.zone.preceding(end).next().map(|change| change.timestamp())
            }
            AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => {
                ambiguous.earlier().ok()
            }
        }
    }
}

/// Checks a cron expression. The command calls it before it runs a job.
///
/// # Errors
/// `is_config` if the expression is invalid.
pub fn check_schedule(expression: &str) -> Result<(), Error> {
    parse_expression(expression).map(drop)
}

fn find_zone(name: &str) -> Result<TimeZone, Error> {
    if name.is_empty() {
        return Ok(TimeZone::system());
    }
    TimeZone::get(name).map_err(|_| {
        Error::config(format!("unknown time zone {name:?}"))
            .remedy("write a name of the time zone database, such as Europe/Berlin or UTC")
    })
}

fn parse_expression(expression: &str) -> Result<Crontab, Error> {
    let short_form = SHORT_FORMS.iter().find(|(name, _)| *name == expression.trim());
    let text = short_form.map_or(expression, |(_, fields)| fields);
    let fields: Vec<_> = text.split_ascii_whitespace().collect();
    let fields: [&str; 5] = fields.try_into().map_err(|_| {
        invalid(expression, "expected five fields or a short form")
            .remedy("write for example \"0 3 * * 1-5\" or \"@daily\"")
    })?;
    parse_fields(fields).ok_or_else(|| {
        let is_invalid = |&position: &usize| {
            let mut alone = ["*"; 5];
            alone[position] = fields[position];
            parse_fields(alone).is_none()
        };
        let position = (0..FIELDS.len()).find(is_invalid).unwrap_or_default();
        let ((name, values), field) = (FIELDS[position], fields[position]);
        invalid(expression, &format!("invalid {name} {field:?}"))
            .remedy(format!("use {values}, in lists, ranges and steps such as 1,3, 1-5 and */2"))
    })
}

fn invalid(expression: &str, cause: &str) -> Error {
    Error::config(format!("invalid schedule {expression:?}: {cause}"))
}

/// Parses the fields that every cron supports. The crate also supports `L`, `W`, `#` and `H`, which most schedulers do not.
fn parse_fields(fields: [&str; 5]) -> Option<Crontab> {
    let has_extension = |field: &str| {
        let mut words = field.split(|character: char| !character.is_ascii_alphabetic());
        field.contains('#') || words.any(|word| !word.is_empty() && word.len() != 3)
    };
    if fields.into_iter().any(has_extension) {
        return None;
    }
    parse_crontab(&format!("{} UTC", fields.join(" "))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Converts a time such as `2026-03-29T02:30:00+01:00` to Unix seconds.
    #[expect(clippy::cast_precision_loss, reason = "a time in seconds fits")]
    fn seconds(text: &str) -> f64 {
        text.parse::<Timestamp>().unwrap_or_else(|error| panic!("{text}: {error}")).as_second()
            as f64
    }

    #[track_caller]
    fn assert_times(expression: &str, timezone: &str, start: &str, expected: &[&str]) {
        let schedule = Schedule::parse(expression, timezone).unwrap();
        let mut time = seconds(start);
        for text in expected {
            time = schedule.next_after(time).unwrap();
            let next = Timestamp::from_second(time as i64).unwrap();
            assert_eq!(
                time,
                seconds(text),
                "{expression} {timezone}: expected {text}, found {next}"
            );
        }
    }

    #[test]
    fn time_that_does_not_exist_runs_at_the_next_one() {
        // The clocks go from 02:00 to 03:00, in Lord Howe to 02:30.
        for (timezone, start, next, after) in [
            (
                "Europe/Berlin",
                "2026-03-28T12:00+01:00",
                "2026-03-29T03:00+02:00",
                "2026-03-30T02:15+02:00",
            ),
            (
                "America/New_York",
                "2026-03-07T12:00-05:00",
                "2026-03-08T03:00-04:00",
                "2026-03-09T02:15-04:00",
            ),
            (
                "Australia/Lord_Howe",
                "2026-10-03T12:00+10:30",
                "2026-10-04T02:30+11:00",
                "2026-10-05T02:15+11:00",
            ),
        ] {
            assert_times("15 2 * * *", timezone, start, &[next, after]);
            // The first and the last minute that do not exist.
            assert_times("0 2 * * *", timezone, start, &[next]);
            assert_times("29 2 * * *", timezone, start, &[next]);
        }
        assert_times(
            "59 1 * * *",
            "Europe/Berlin",
            "2026-03-28T12:00+01:00",
            &["2026-03-29T01:59+01:00"],
        );
        assert_times(
            "0 3 * * *",
            "Europe/Berlin",
            "2026-03-28T12:00+01:00",
            &["2026-03-29T03:00+02:00"],
        );
        assert_times(
            "45 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-03T12:00+10:30",
            &["2026-10-04T02:45+11:00"],
        );
        // Both times become the same instant.
        assert_times(
            "0,30 2,3 * * *",
            "Europe/Berlin",
            "2026-03-29T01:00+01:00",
            &["2026-03-29T03:00+02:00", "2026-03-29T03:30+02:00", "2026-03-30T02:00+02:00"],
        );
    }

    #[test]
    fn time_that_exists_twice_runs_once() {
        // The clocks go back from 03:00 to 02:00, in New York from 02:00 to 01:00, in Lord Howe from 02:00 to 01:30.
        for (expression, timezone, start, next, after) in [
            (
                "30 2 * * *",
                "Europe/Berlin",
                "2026-10-24T12:00+02:00",
                "2026-10-25T02:30+02:00",
                "2026-10-26T02:30+01:00",
            ),
            (
                "30 1 * * *",
                "America/New_York",
                "2026-10-31T12:00-04:00",
                "2026-11-01T01:30-04:00",
                "2026-11-02T01:30-05:00",
            ),
            (
                "45 1 * * *",
                "Australia/Lord_Howe",
                "2026-04-04T12:00+11:00",
                "2026-04-05T01:45+11:00",
                "2026-04-06T01:45+10:30",
            ),
        ] {
            assert_times(expression, timezone, start, &[next, after]);
        }
        // A start during the repeated hour, before and after the same time on the clock.
        for start in ["2026-10-25T02:31+02:00", "2026-10-25T02:10+01:00", "2026-10-25T02:40+01:00"]
        {
            assert_times("30 2 * * *", "Europe/Berlin", start, &["2026-10-26T02:30+01:00"]);
        }
        assert_times(
            "*/30 * * * *",
            "Europe/Berlin",
            "2026-10-25T01:40+02:00",
            &["2026-10-25T02:00+02:00", "2026-10-25T02:30+02:00", "2026-10-25T03:00+01:00"],
        );
    }

    #[test]
    fn schedule_follows_the_calendar() {
        // 2028 is a leap year, and the first of January 2026 is a Thursday.
        assert_times(
            "0 0 29 2 *",
            "UTC",
            "2025-01-01T00:00Z",
            &["2028-02-29T00:00Z", "2032-02-29T00:00Z"],
        );
        assert_times(
            "0 3 * * 1-5",
            "UTC",
            "2026-01-01T12:00Z",
            &["2026-01-02T03:00Z", "2026-01-05T03:00Z"],
        );
        assert_times(
            "0 0 31 * *",
            "UTC",
            "2026-01-01T00:00Z",
            &["2026-01-31T00:00Z", "2026-03-31T00:00Z"],
        );
        // With a day of the month and a day of the week, one of both is enough.
        assert_times(
            "0 0 13 * FRI",
            "UTC",
            "2026-01-01T00:00Z",
            &["2026-01-02T00:00Z", "2026-01-09T00:00Z", "2026-01-13T00:00Z"],
        );
        assert_times(
            "0 0 * * 0,7",
            "UTC",
            "2026-01-01T00:00Z",
            &["2026-01-04T00:00Z", "2026-01-11T00:00Z"],
        );
        assert_times(
            "10 */2 * * *",
            "UTC",
            "2026-01-01T23:00Z",
            &["2026-01-02T00:10Z", "2026-01-02T02:10Z"],
        );
    }

    #[test]
    fn short_forms_stand_for_expressions() {
        for (expression, next) in [
            ("@hourly", "2026-05-06T08:00Z"),
            ("@daily", "2026-05-07T00:00Z"),
            ("@midnight", "2026-05-07T00:00Z"),
            ("@weekly", "2026-05-10T00:00Z"),
            ("@monthly", "2026-06-01T00:00Z"),
            ("@yearly", "2027-01-01T00:00Z"),
            (" @annually ", "2027-01-01T00:00Z"),
        ] {
            assert_times(expression, "UTC", "2026-05-06T07:08Z", &[next]);
        }
    }

    #[test]
    fn next_time_is_after_the_start() {
        let schedule = Schedule::parse("0 3 * * *", "UTC").unwrap();
        let three = seconds("2026-05-06T03:00Z");
        assert_eq!(schedule.next_after(three - 0.25), Some(three));
        for start in [three, three + 0.25] {
            assert_eq!(schedule.next_after(start), Some(three + 86_400.0));
        }
    }

    #[test]
    fn time_out_of_the_calendar_has_no_next_one() {
        let schedule = Schedule::parse("* * * * *", "Europe/Berlin").unwrap();
        for start in [f64::MIN, -1e15, -3.8e11] {
            assert_eq!(schedule.next_after(start), None, "{start}");
        }
        for start in [f64::MAX, f64::INFINITY, f64::NAN, 253_402_300_799.0] {
            assert!(schedule.next_after(start).is_some(), "{start}");
        }
        assert_eq!(Schedule::parse("0 0 31 2 *", "UTC").unwrap().next_after(0.0), None);
    }

    #[test]
    fn invalid_expression_is_an_error_that_names_the_field() {
        for (expression, field) in [
            ("60 * * * *", "minute \"60\""),
            ("0 24 * * *", "hour \"24\""),
            ("0 0 0 * *", "day of month \"0\""),
            ("0 0 L * *", "day of month \"L\""),
            ("0 0 * JANUARY *", "month \"JANUARY\""),
            ("0 0 * * 8", "day of week \"8\""),
            ("0 0 * * 5#3", "day of week \"5#3\""),
            ("0 0 * *", "five fields"),
            ("0 0 3 * * *", "five fields"),
            ("@reboot", "five fields"),
            ("", "five fields"),
        ] {
            let error = Schedule::parse(expression, "UTC").err().unwrap();
            assert!(error.is_config() && error.to_string().contains(field), "{error}");
        }
    }

    #[test]
    fn unknown_time_zone_is_an_error() {
        for name in ["Europe/Berlni", "../../etc/passwd", "+02:00", "\0"] {
            let error = Schedule::parse("@daily", name).err().unwrap();
            assert!(error.to_string().contains("unknown time zone"), "{error}");
        }
        assert!(Schedule::parse("@daily", "").is_ok());
    }

    /// Compares with another implementation, for random expressions and times in ten years.
    mod reference {
        use chrono::{DateTime, TimeZone as _};
        use chrono_tz::Tz;
        use croner::Cron;
        use proptest::prelude::*;

        use super::*;

        /// 2026-01-01 to 2036-01-01, in Unix seconds.
        const TEN_YEARS: std::ops::Range<i64> = 1_767_225_600..2_082_758_400;

        /// The number of times that are compared for each expression.
        const TIMES: usize = 10;

        fn any_item(min: u32, max: u32) -> impl Strategy<Value = String> {
            let range =
                (min..=max, min..=max).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b)));
            let stepped =
                (range.clone(), 1..=max).prop_map(|(range, step)| format!("{range}/{step}"));
            prop_oneof![(min..=max).prop_map(|value| value.to_string()), range, stepped]
        }

        fn any_field(min: u32, max: u32) -> impl Strategy<Value = String> {
            proptest::collection::vec(any_item(min, max), 1..4).prop_map(|items| items.join(","))
        }

        /// A field that often does not restrict the time.
        fn any_day(min: u32, max: u32) -> impl Strategy<Value = String> {
            prop_oneof![Just("*".to_owned()), any_field(min, max)]
        }

        fn assert_equal(expression: &str, zone: Tz, start: i64) -> Result<(), TestCaseError> {
            let schedule = Schedule::parse(expression, zone.name()).unwrap();
            let cron: Cron = expression.parse().unwrap();
            let mut time: DateTime<Tz> = zone.timestamp_opt(start, 0).unwrap();
            for _ in 0..TIMES {
                let Some(next) = schedule.next_after(time.timestamp() as f64) else { break };
                time = cron.find_next_occurrence(&time, false).unwrap();
                prop_assert_eq!(next as i64, time.timestamp(), "{} {}", expression, time);
            }
            Ok(())
        }

        proptest! {
            #![proptest_config(ProptestConfig::with_cases(500))]

            #[test]
            fn times_of_any_expression_equal_those_of_another_implementation(
                minute in any_field(0, 59),
                hour in any_field(0, 23),
                day in any_day(1, 31),
                month in any_day(1, 12),
                weekday in any_day(0, 7),
                start in TEN_YEARS,
            ) {
                let expression = format!("{minute} {hour} {day} {month} {weekday}");
                assert_equal(&expression, Tz::UTC, start)?;
            }

            // In the night of a time change, the other implementation treats several times per day in another way.
            #[test]
            fn times_of_a_daily_run_equal_those_of_another_implementation(
                minute in 0..60,
                hour in 0..4,
                day in any_day(1, 31),
                weekday in any_day(0, 7),
                zone in prop_oneof![
                    Just(Tz::Europe__Berlin),
                    Just(Tz::America__New_York),
                    Just(Tz::Australia__Lord_Howe),
                ],
                start in TEN_YEARS,
            ) {
                assert_equal(&format!("{minute} {hour} {day} * {weekday}"), zone, start)?;
            }

            #[test]
            fn times_near_a_time_change_equal_those_of_another_implementation(
                minute in 0..60,
                hour in 0..4,
                year in 2026..2036,
                days in 0..8,
                (zone, month) in prop_oneof![
                    Just((Tz::Europe__Berlin, 3)),
                    Just((Tz::Europe__Berlin, 10)),
                    Just((Tz::America__New_York, 3)),
                    Just((Tz::America__New_York, 11)),
                    Just((Tz::Australia__Lord_Howe, 4)),
                    Just((Tz::Australia__Lord_Howe, 10)),
                ],
            ) {
                // Berlin changes its clocks in the last week of the month, the others do in the first two weeks.
                let day = if zone == Tz::Europe__Berlin { 23 } else { 1 } + days;
                let start = zone.with_ymd_and_hms(year, month, day as u32, 12, 0, 0).unwrap();
                assert_equal(&format!("{minute} {hour} * * *"), zone, start.timestamp())?;
            }
        }
    }
}
