//! The table of HTTP statuses after which a request may be sent again.

use std::ops::RangeInclusive;

use crate::error::Retry;

/// The statuses of temporary failures, with the reason for each. After any other status, sending the same request again
/// would have the same result.
const TEMPORARY: &[(RangeInclusive<u16>, Retry, &str)] = &[
    (408..=408, Retry::Safe, "the request took too long to arrive"),
    (425..=425, Retry::Safe, "the server does not accept requests that may be replays yet"),
    (429..=429, Retry::Safe, "too many requests"),
    // Proxies send 502, 503 and 504 if the response was lost, even if the server processed the request.
    (
        500..=599,
        Retry::MayDuplicate,
        "the server, or a proxy in front of it, has a temporary failure",
    ),
];

/// Returns whether a request may be sent again after a response with this status.
pub(crate) fn retry_policy(status: u16) -> Retry {
    let row = TEMPORARY.iter().find(|(statuses, ..)| statuses.contains(&status));
    row.map_or(Retry::Never, |(_, retry, _)| *retry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_table_has_temporary_failures_only() {
        for status in [408, 425, 429, 500, 501, 502, 503, 504, 599] {
            assert_ne!(retry_policy(status), Retry::Never, "{status}");
        }
        for status in [200, 301, 307, 400, 401, 403, 404, 405, 409, 413, 422, 600] {
            assert_eq!(retry_policy(status), Retry::Never, "{status}");
        }
    }

    #[test]
    fn retry_may_duplicate_only_after_server_errors() {
        for status in [500, 502, 503, 504] {
            assert_eq!(retry_policy(status), Retry::MayDuplicate, "{status}");
        }
        for status in [301, 400, 401, 404, 408, 413, 425, 429] {
            assert_ne!(retry_policy(status), Retry::MayDuplicate, "{status}");
        }
    }
}
