//! Headers: those that people add to every request.

use reqwest::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    TRANSFER_ENCODING,
};

use super::Secret;
use crate::error::Error;

/// What says how a body is to be read: another value would make the gateway read something else.
const OWN_HEADERS: [HeaderName; 4] =
    [CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING];

/// Whether these can be sent with every request.
///
/// # Errors
/// `is_config`, if one can't.
pub(crate) fn check_headers(headers: &[(String, Secret)]) -> Result<(), Error> {
    header_map(headers).map(drop)
}

pub(super) fn header_map(headers: &[(String, Secret)]) -> Result<HeaderMap, Error> {
    let mut map = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let header = HeaderName::try_from(name).map_err(|_| {
            Error::config(format!("{name:?} is not the name of an HTTP header"))
                .remedy("use letters, digits and hyphens, as in X-Scope-OrgID")
        })?;
        if OWN_HEADERS.contains(&header) {
            return Err(Error::config(format!("the header {name:?} is set by every push itself"))
                .remedy("leave it out"));
        }
        let mut value = HeaderValue::try_from(value.as_str()).map_err(|_| {
            Error::config(format!(
                "the value of the header {name:?} has characters no header can carry"
            ))
            .remedy("leave out line breaks and other control characters")
        })?;
        value.set_sensitive(true);
        map.append(header, value);
    }
    Ok(map)
}
