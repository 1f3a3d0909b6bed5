//! Parses a request path into a grouping key, with the error messages of the real gateway.
//!
//! The real gateway decodes a path before it splits it into segments, and it redirects paths with dot segments or double
//! slashes. This file reproduces both, because both have made clients lose pushes.

use std::collections::BTreeMap;

use super::go_base64::{Alphabet, decode_base64};
use super::go_format::lossy;

/// The grouping labels. A value can contain any bytes, because a URL can.
pub(super) type GroupKey = BTreeMap<String, Vec<u8>>;

/// How the job is written in a path: as `/job/<name>` or as `/job@base64/<name>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JobEncoding {
    Plain,
    Base64,
}

const BASE64_SUFFIX: &str = "@base64";

/// Decodes percent-encoding. Returns `None` if it is invalid.
pub(super) fn percent_decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        decoded.push(if byte == b'%' {
            let mut digit = || char::from(*bytes.next()?).to_digit(16);
            u8::try_from(digit()? * 16 + digit()?).ok()?
        } else {
            byte
        });
    }
    Some(decoded)
}

/// Encodes a path for a `Location` header.
pub(super) fn percent_encode(path: &[u8]) -> String {
    let mut encoded = String::new();
    for &byte in path {
        if byte.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// Removes empty segments and resolves dot segments. A trailing slash stays.
pub(super) fn clean(path: &[u8]) -> Vec<u8> {
    let mut segments: Vec<&[u8]> = Vec::new();
    for segment in path.split(|&byte| byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => {
                segments.pop();
            }
            _ => segments.push(segment),
        }
    }
    let mut clean = vec![b'/'];
    clean.extend(segments.join(&b'/'));
    if path.ends_with(b"/") && clean.len() > 1 {
        clean.push(b'/');
    }
    clean
}

/// Parses a grouping key from the segment of the job and the rest of the path, which starts with a slash or is empty.
pub(super) fn grouping_key(
    job: &[u8],
    encoding: JobEncoding,
    labels: &[u8],
) -> Result<GroupKey, String> {
    let job = match encoding {
        JobEncoding::Plain => job.to_vec(),
        // The real message quotes the part that could be decoded, which is usually empty.
        JobEncoding::Base64 => decode_base64(job, Alphabet::Url).map_err(|position| {
            format!("invalid base64 encoding in job name \"\": {}", illegal_base64(position))
        })?,
    };
    let mut key = parse_labels(labels)?;
    if job.is_empty() {
        return Err("job name is required".into());
    }
    // A label named `job` must not replace the job.
    key.insert("job".into(), job);
    Ok(key)
}

fn parse_labels(path: &[u8]) -> Result<GroupKey, String> {
    let Some(inner) = path.get(1..).filter(|inner| !inner.is_empty()) else {
        return Ok(GroupKey::new());
    };
    let components: Vec<&[u8]> = inner.split(|&byte| byte == b'/').collect();
    let (pairs, odd) = components.as_chunks::<2>();
    if !odd.is_empty() {
        return Err(format!("odd number of components in label string {:?}", lossy(path)));
    }
    let mut key = GroupKey::new();
    for [segment, value] in pairs {
        let text = lossy(segment);
        let name = text.strip_suffix(BASE64_SUFFIX).unwrap_or(&text);
        if !is_label_name(name) {
            return Err(format!("improper label name {name:?}"));
        }
        let value = if name.len() < text.len() {
            decode_base64(value, Alphabet::Url).map_err(|position| {
                let value = lossy(value);
                format!(
                    "invalid base64 encoding for label {name}={value:?}: {}",
                    illegal_base64(position)
                )
            })?
        } else {
            value.to_vec()
        };
        key.insert(name.to_owned(), value);
    }
    Ok(key)
}

/// Returns true for letters, digits and underscores that do not start with a digit or two underscores.
pub(super) fn is_label_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with("__")
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn illegal_base64(position: usize) -> String {
    format!("illegal base64 data at input byte {position}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(labels: &str) -> Result<String, String> {
        grouping_key(b"j", JobEncoding::Plain, labels.as_bytes()).map(|key| {
            let pairs = key.iter().map(|(name, value)| format!("{name}={}", lossy(value)));
            pairs.collect::<Vec<_>>().join(",")
        })
    }

    #[test]
    fn grouping_key_uses_last_value_of_repeated_label() {
        assert_eq!(key("").as_deref(), Ok("job=j"));
        assert_eq!(key("/").as_deref(), Ok("job=j"));
        assert_eq!(key("/a/b/a/c").as_deref(), Ok("a=c,job=j"));
        assert_eq!(key("/job/other").as_deref(), Ok("job=j"));
        assert_eq!(key("/a/").as_deref(), Ok("a=,job=j"));
        assert_eq!(key("/a").unwrap_err(), "odd number of components in label string \"/a\"");
        assert_eq!(key("/a/b/").unwrap_err(), "odd number of components in label string \"/a/b/\"");
        for name in ["b-c", "__x", "9a", "é", "foo.bar", "@base64"] {
            assert!(key(&format!("/{name}/v")).unwrap_err().starts_with("improper label name"));
        }
    }

    #[test]
    fn grouping_key_reports_position_of_invalid_base64() {
        assert!(key("/a@base64/*").unwrap_err().ends_with("illegal base64 data at input byte 0"));
    }

    #[test]
    fn clean_resolves_dots_and_double_slashes() {
        for (path, cleaned) in [
            ("/metrics/job/x", "/metrics/job/x"),
            ("//metrics//job/x/", "/metrics/job/x/"),
            ("/metrics/job/./x", "/metrics/job/x"),
            ("/metrics/job/..", "/metrics"),
            ("/../../", "/"),
            ("", "/"),
        ] {
            assert_eq!(lossy(&clean(path.as_bytes())), cleaned, "{path}");
        }
    }

    #[test]
    fn percent_decode_rejects_invalid_escapes() {
        assert_eq!(percent_decode(b"a%2Fb%41+").as_deref(), Some(&b"a/bA+"[..]));
        for invalid in ["%", "%4", "%zz", "a%+1"] {
            assert_eq!(percent_decode(invalid.as_bytes()), None, "{invalid}");
        }
        assert_eq!(percent_encode("/a b/é".as_bytes()), "/a%20b/%C3%A9");
    }
}
