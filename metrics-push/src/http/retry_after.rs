//! Parses the `Retry-After` header, in which a server asks clients to wait, and the `Date` header.

use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};

/// Longer waits are reduced to this time. They result from a wrong clock or a misconfigured server.
pub(super) const MAX_RETRY_AFTER: Duration = Duration::from_secs(3_600);

/// Returns the time for which the server asks clients to wait. The header contains a number of seconds or a date. A
/// date is compared with the `Date` header, because the clocks of client and server may differ. If there is no `Date`
/// header, it is compared with `now`.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = text(headers, RETRY_AFTER)?;
    let wait = match value.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let until = httpdate::parse_http_date(value).ok()?;
            until.duration_since(date(headers).unwrap_or(now)).unwrap_or_default()
        }
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

/// Returns the time of the server's clock.
pub(super) fn date(headers: &HeaderMap) -> Option<SystemTime> {
    httpdate::parse_http_date(text(headers, DATE)?).ok()
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    const DATE_1994: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn wait(value: &str, date: Option<&str>, now: SystemTime) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_str(value).unwrap());
        if let Some(date) = date {
            headers.insert(DATE, HeaderValue::from_str(date).unwrap());
        }
        retry_after(&headers, now)
    }

    #[test]
    fn retry_after_accepts_seconds_and_dates() {
        let now = httpdate::parse_http_date(DATE_1994).unwrap();
        let wait = |value: &str| wait(value, None, now).map(|wait| wait.as_secs());
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
    fn retry_after_ignores_invalid_dates() {
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
            assert_eq!(wait(text, None, SystemTime::UNIX_EPOCH), None, "{text}");
        }
    }

    #[test]
    fn retry_after_date_is_compared_with_the_servers_clock() {
        let value = "Sun, 06 Nov 1994 08:49:47 GMT";
        let wait = wait(value, Some(DATE_1994), SystemTime::UNIX_EPOCH);
        assert_eq!(wait, Some(Duration::from_secs(10)));
    }

    #[test]
    fn retry_after_is_limited() {
        let now = SystemTime::UNIX_EPOCH;
        for value in ["86400", "18446744073709551615", "Fri, 31 Dec 9999 23:59:59 GMT"] {
            assert_eq!(wait(value, None, now), Some(MAX_RETRY_AFTER), "{value}");
        }
    }
}
