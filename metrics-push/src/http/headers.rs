//! Validates the request headers that the user configures.

use reqwest::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    TRANSFER_ENCODING,
};

use super::credentials::Secret;
use crate::error::Error;

/// Headers that describe the body. Each request sets them; other values would make the server misread the body.
const RESERVED_HEADERS: [HeaderName; 4] =
    [CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING];

/// The limit of common servers, which reject requests with more headers. A `HeaderMap` panics if it has far more.
const MAX_HEADERS: usize = 100;

/// Checks the headers before the first request.
///
/// # Errors
/// `is_config` if a name or value is invalid, a header is reserved, or there are too many.
pub(crate) fn check_headers(headers: &[(String, Secret)]) -> Result<(), Error> {
    header_map(headers, &[]).map(drop)
}

/// Converts the headers to a `HeaderMap`. `reserved` are further headers that each request sets.
///
/// # Errors
/// Those of [`check_headers`].
pub(super) fn header_map(
    headers: &[(String, Secret)],
    reserved: &[&str],
) -> Result<HeaderMap, Error> {
    if headers.len() > MAX_HEADERS {
        return Err(Error::config(format!("too many headers: {}", headers.len()))
            .remedy(format!("configure at most {MAX_HEADERS}")));
    }
    let mut map = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let header = HeaderName::try_from(name).map_err(|_| {
            Error::config(format!("invalid header name {name:?}"))
                .remedy("use letters, digits and hyphens, as in X-Scope-OrgID")
        })?;
        if RESERVED_HEADERS.contains(&header) || reserved.contains(&header.as_str()) {
            return Err(Error::config(format!("the header {name:?} is set by every push"))
                .remedy("remove it from the configuration"));
        }
        let mut value = HeaderValue::try_from(value.as_str()).map_err(|_| {
            Error::config(format!(
                "invalid value of the header {name:?}: it contains characters that HTTP does not allow"
            ))
            .remedy("remove line breaks and other control characters")
        })?;
        value.set_sensitive(true);
        map.append(header, value);
    }
    Ok(map)
}
