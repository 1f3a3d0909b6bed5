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

/// The statuses that say "not now". All others are answers: the same parcel would get them again.
const TRANSIENT: &[(std::ops::RangeInclusive<u16>, Effect, &str)] = &[
    (408..=408, Effect::None, "the request took too long to arrive"),
    (425..=425, Effect::None, "the server won't take what may be a replay yet"),
    (429..=429, Effect::None, "too many requests"),
    (500..=599, Effect::Possible, "the server, or what stands before it, is in trouble"),
];

/// Whether the same parcel may be accepted later, by a server that answers with this status.
pub(crate) fn is_transient(status: u16) -> bool {
    TRANSIENT.iter().any(|(statuses, ..)| statuses.contains(&status))
}

/// Whether a parcel that got this status may have been applied all the same. Only gateways that add up mind.
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
            let until = httpdate::parse_http_date(value).ok()?;
            // Two clocks differ; the server's own answer says what its clock shows.
            let servers_now = date.and_then(|date| httpdate::parse_http_date(date).ok());
            until.duration_since(servers_now.unwrap_or(now)).unwrap_or_default()
        }
    };
    Some(wait.min(LONGEST_WAIT))
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
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
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
