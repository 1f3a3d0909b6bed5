//! The schedule of a job in words.

use super::job::Job;
use crate::humanize::{count, duration};

const WEEKDAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

impl Job {
    /// The schedule in words, with its time zone: `every day at 01:00 Europe/Berlin`. A cron expression without usual words
    /// stays as it is. `None` if the job declares neither a schedule nor an interval.
    pub(crate) fn schedule_text(&self) -> Option<String> {
        let Some((expression, timezone)) = self.facts.schedule() else {
            return self.facts.interval().map(|interval| format!("every {}", duration(interval)));
        };
        let text = describe(expression).unwrap_or_else(|| expression.to_owned());
        Some(format!("{text} {timezone}").trim_end().to_owned())
    }
}

/// Describes a cron expression; `None` for one that takes more than a few words.
fn describe(expression: &str) -> Option<String> {
    let expression = match expression {
        "@hourly" => "0 * * * *",
        "@daily" | "@midnight" => "0 0 * * *",
        "@weekly" => "0 0 * * 0",
        "@monthly" => "0 0 1 * *",
        other => other,
    };
    let fields: Vec<&str> = expression.split_whitespace().collect();
    let [minute, hour, day, month, weekday] = fields[..] else { return None };
    if [day, month, weekday] == ["*"; 3] && (hour == "*" || hour.contains('/')) {
        return within_a_day(minute, hour);
    }
    let at = format!("at {:02}:{:02}", number(hour)?, number(minute)?);
    match (day, month, weekday) {
        ("*", "*", "*") => Some(format!("every day {at}")),
        ("*", "*", "1-5" | "MON-FRI") => Some(format!("Monday to Friday {at}")),
        ("*", "*", weekday) => Some(format!("every {} {at}", weekday_name(weekday)?)),
        (day, "*", "*") => Some(format!("on day {} of every month {at}", number(day)?)),
        _ => None,
    }
}

/// Describes a job that runs several times a day, at equal distances.
fn within_a_day(minute: &str, hour: &str) -> Option<String> {
    match (minute, hour) {
        ("*", "*") => Some("every minute".to_owned()),
        (minute, "*") if minute.contains('/') => every(minute, 60, "minute"),
        (minute, "*") => Some(format!("every hour at minute {}", number(minute)?)),
        (minute, hour) => {
            Some(format!("{} at minute {}", every(hour, 24, "hour")?, number(minute)?))
        }
    }
}

/// Describes the field `*/n`. A number that does not divide the whole leaves a shorter distance at its end.
fn every(field: &str, whole: usize, unit: &str) -> Option<String> {
    let step = number(field.strip_prefix("*/")?)?;
    (step > 0 && whole.is_multiple_of(step)).then(|| format!("every {}", count(step, unit)))
}

fn number(field: &str) -> Option<usize> {
    field.parse().ok()
}

fn weekday_name(field: &str) -> Option<&'static str> {
    let is_named = |day: &&&str| day[..3].eq_ignore_ascii_case(field);
    match number(field) {
        Some(number) => WEEKDAYS.get(number % 7).copied(),
        None => WEEKDAYS.iter().find(is_named).copied(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_schedules_have_words() {
        for (expression, expected) in [
            ("0 1 * * *", Some("every day at 01:00")),
            ("@daily", Some("every day at 00:00")),
            ("5 13 * * 1-5", Some("Monday to Friday at 13:05")),
            ("0 3 * * sun", Some("every Sunday at 03:00")),
            ("0 3 * * 7", Some("every Sunday at 03:00")),
            ("30 4 1 * *", Some("on day 1 of every month at 04:30")),
            ("* * * * *", Some("every minute")),
            ("*/15 * * * *", Some("every 15 minutes")),
            ("10 * * * *", Some("every hour at minute 10")),
            ("10 */2 * * *", Some("every 2 hours at minute 10")),
            ("*/7 * * * *", None),
            ("*/0 * * * *", None),
            ("0 3,15 * * *", None),
            ("0 3 1 1 *", None),
            ("0 3 1 * 1", None),
            ("0 3 * * 1,3", None),
            ("@yearly", None),
            ("", None),
        ] {
            assert_eq!(describe(expression).as_deref(), expected, "{expression}");
        }
    }
}
