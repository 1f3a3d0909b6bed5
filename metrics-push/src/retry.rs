//! Retry: the one table of what is tried again, and how long a server asks to be left alone.

use std::time::{Duration, SystemTime};

/// The longest wait that a server's word is taken for; more is an error of its clock or its configuration.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(3_600);

/// Whether a request may have had its effect, although its answer says that it is to come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    None,
    /// What stands before the server may have lost its answer and not the request: proxies say 502, 503 and 504 then.
    Possible,
}

/// The statuses that say "not now". All others are answers: the same request would get them again.
const TRANSIENT: &[(std::ops::RangeInclusive<u16>, Effect, &str)] = &[
    (408..=408, Effect::None, "the request took too long to arrive"),
    (425..=425, Effect::None, "the server won't take what may be a replay yet"),
    (429..=429, Effect::None, "too many requests"),
    (500..=599, Effect::Possible, "the server, or what stands before it, is in trouble"),
];

/// Whether the same request may be accepted later, by a server that answers with this status.
pub(crate) fn is_transient(status: u16) -> bool {
    TRANSIENT.iter().any(|(statuses, ..)| statuses.contains(&status))
}

/// Whether a request that got this status may have been applied all the same. Only gateways that add up mind.
pub(crate) fn may_have_been_applied(status: u16) -> bool {
    TRANSIENT
        .iter()
        .any(|(statuses, effect, _)| statuses.contains(&status) && *effect == Effect::Possible)
}

/// How long a `Retry-After` header asks to wait: a number of seconds, or a date by the server's own clock, of which
/// `date` is the reading. Never longer than [`LONGEST_WAIT`].
pub(crate) fn retry_after(value: &str, date: Option<&str>, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    let wait = match value.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let until = http_date(value)?;
            // Two clocks differ; the server's own answer says what its clock shows.
            let servers_now = date.and_then(http_date);
            until.duration_since(servers_now.unwrap_or(now)).unwrap_or_default()
        }
    };
    Some(wait.min(LONGEST_WAIT))
}

/// A date from 1970 on, in any of the three forms that a server may use (RFC 9110, section 5.6.7).
fn http_date(text: &str) -> Option<SystemTime> {
    let fields = text.split([' ', ',', '-', ':']).filter(|field| !field.is_empty());
    let (day, month, year, [hour, minute, second]) = match fields.collect::<Vec<_>>()[..] {
        [_, day, month, year, hour, minute, second, "GMT"] => {
            (day, month, year, [hour, minute, second])
        }
        [_, month, day, hour, minute, second, year] => (day, month, year, [hour, minute, second]),
        _ => return None,
    };
    let within = |text: &str, least, most| {
        text.parse::<u64>().ok().filter(|number| (least..=most).contains(number))
    };
    let year = match year.len() {
        // Nobody writes two digits any more, so what century they are of hardly matters.
        2 => within(year, 0, 99).map(|year| if year < 70 { 2000 + year } else { 1900 + year })?,
        _ => within(year, 1970, 9999)?,
    };
    let days = days_since_1970(year, month, within(day, 1, 31)?)?;
    let hours = days * 24 + within(hour, 0, 23)?;
    let seconds = (hours * 60 + within(minute, 0, 59)?) * 60 + within(second, 0, 60)?;
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

fn days_since_1970(year: u64, month: &str, day: u64) -> Option<u64> {
    const MONTHS: [&str; 12] =
        ["Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "Jan", "Feb"];
    /// From 1 March of the year 0 to 1970.
    const DAYS_BEFORE_1970: u64 = 719_468;

    let month = (0..).zip(MONTHS).find(|(_, name)| *name == month)?.0;
    // A year that begins in March has its leap day at its end, and months of 30.6 days on average before that.
    let year = if month < 10 { year } else { year - 1 };
    let leap_days = year / 4 - year / 100 + year / 400;
    Some(year * 365 + leap_days + (153 * month + 2) / 5 + day - 1 - DAYS_BEFORE_1970)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_holds_what_may_pass_and_nothing_else() {
        for status in [408, 425, 429, 500, 501, 502, 503, 504, 599] {
            assert!(is_transient(status), "{status}");
        }
        for status in [200, 301, 307, 400, 401, 403, 404, 405, 409, 413, 422, 600] {
            assert!(!is_transient(status), "{status}");
        }
    }

    #[test]
    fn only_trouble_leaves_open_what_was_done() {
        for status in [500, 502, 503, 504] {
            assert!(may_have_been_applied(status), "{status}");
        }
        for status in [301, 400, 401, 404, 408, 413, 425, 429] {
            assert!(!may_have_been_applied(status), "{status}");
        }
    }

    #[test]
    fn a_wait_comes_in_seconds_or_as_a_date() {
        let now = http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let wait = |value: &str| retry_after(value, None, now).map(|wait| wait.as_secs());
        assert_eq!(wait("120"), Some(120));
        assert_eq!(wait(" 0 "), Some(0));
        assert_eq!(wait("Sun, 06 Nov 1994 08:50:00 GMT"), Some(23));
        assert_eq!(wait("Sunday, 06-Nov-94 08:50:00 GMT"), Some(23));
        assert_eq!(wait("Sun Nov  6 08:50:00 1994"), Some(23));
        assert_eq!(wait("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
        assert_eq!(wait("soon"), None);
        assert_eq!(wait("-5"), None);
    }

    proptest::proptest! {
        #[test]
        fn each_second_is_read_as_it_was_written(seconds in 0..253_402_300_800_u64) {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            proptest::prop_assert_eq!(http_date(&httpdate::fmt_http_date(time)), Some(time));
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 32 Nov 1994 08:49:37 GMT",
            "Sun, 06 Now 1994 08:49:37 GMT",
            "Sun, 06 Nov 1969 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:60:37 GMT",
            "Sun, 06 Nov 1994 08:49:61 GMT",
            "Sun, 06 Nov 18446744073709551615 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994 GMT extra",
        ] {
            assert_eq!(http_date(text), None, "{text}");
        }
    }

    #[test]
    fn a_date_is_read_by_the_servers_own_clock() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let wait = retry_after("Sun, 06 Nov 1994 08:49:47 GMT", Some(date), SystemTime::UNIX_EPOCH);
        assert_eq!(wait, Some(Duration::from_secs(10)));
    }

    #[test]
    fn no_server_can_ask_for_more_than_the_longest_wait() {
        let now = SystemTime::UNIX_EPOCH;
        for value in ["86400", "18446744073709551615", "Fri, 31 Dec 9999 23:59:59 GMT"] {
            assert_eq!(retry_after(value, None, now), Some(LONGEST_WAIT), "{value}");
        }
    }
}
