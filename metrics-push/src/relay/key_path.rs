//! Reads a grouping key from its path, which is the key of a message.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use percent_encoding::percent_decode_str;

use crate::labels::{GroupingKey, JOB};

/// Parses what [`GroupingKey::url_path`] returns; `None` if the text is not such a path.
pub(super) fn key_of_path(path: &str) -> Option<GroupingKey> {
    let mut segments = path.strip_prefix("/metrics/")?.split('/');
    let mut next_pair = || -> Option<(&str, String)> {
        let (name, value) = (segments.next()?, segments.next()?);
        Some(match name.strip_suffix("@base64") {
            Some(name) => (name, String::from_utf8(URL_SAFE.decode(value).ok()?).ok()?),
            None => (name, percent_decode_str(value).decode_utf8().ok()?.into_owned()),
        })
    };
    let (JOB, job) = next_pair()? else { return None };
    let mut key = GroupingKey::new(job).ok()?;
    while let Some((name, value)) = next_pair() {
        key = key.label(name, value).ok()?;
    }
    (key.url_path() == path).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_of_a_key_is_read_as_this_key() {
        for value in ["eu", "a/b", ".", "..", "é b", "%2F", "base64", "a+b", "=", "x@base64"] {
            let key = GroupingKey::new(value).unwrap().label("region", value).unwrap();
            assert_eq!(key_of_path(&key.url_path()), Some(key));
        }
        for path in [
            "",
            "/metrics",
            "/metrics/",
            "/metrics/job",
            "/metrics/job/",
            "/metrics/job/a/b",
            "/metrics/job@base64/!",
        ] {
            assert_eq!(key_of_path(path), None, "{path}");
        }
    }
}
