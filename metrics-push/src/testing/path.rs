//! Paths: how a request's target becomes a grouping key, and what is wrong with it if it doesn't.
//!
//! The real gateway decodes a path before it looks at its segments and resolves dots and doubled
//! slashes by a redirect; both are reproduced here, because both have swallowed pushes.

use std::collections::BTreeMap;

use super::go_format::lossy;

/// The grouping labels; values may be any bytes, as they may in a URL.
pub(super) type Key = BTreeMap<String, Vec<u8>>;

const BASE64_SUFFIX: &str = "@base64";

/// Decodes percent-encoding; `None` if it is broken.
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

/// A path for a `Location` header.
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

/// The path without empty segments and dots; a slash at the end stays.
pub(super) fn clean(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    for segment in path.split(|&byte| byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => {
                kept.pop();
            }
            _ => kept.push(segment),
        }
    }
    let mut clean = vec![b'/'];
    clean.extend(kept.join(&b'/'));
    if path.ends_with(b"/") && clean.len() > 1 {
        clean.push(b'/');
    }
    clean
}

/// The grouping key of a push: the job's segment and everything after it, with its leading slash.
pub(super) fn grouping_key(job: &[u8], is_base64: bool, labels: &[u8]) -> Result<Key, String> {
    let job = if is_base64 {
        // The real text quotes what could be decoded, which for most mistakes is nothing.
        decode_base64(job, Alphabet::Url).map_err(|position| {
            format!("invalid base64 encoding in job name \"\": {}", illegal(position))
        })?
    } else {
        job.to_vec()
    };
    let mut key = labels_of(labels)?;
    if job.is_empty() {
        return Err("job name is required".into());
    }
    // The job in its own place wins over one among the labels.
    key.insert("job".into(), job);
    Ok(key)
}

fn labels_of(path: &[u8]) -> Result<Key, String> {
    let Some(inner) = path.get(1..).filter(|inner| !inner.is_empty()) else {
        return Ok(Key::new());
    };
    let components: Vec<&[u8]> = inner.split(|&byte| byte == b'/').collect();
    let (pairs, odd) = components.as_chunks::<2>();
    if !odd.is_empty() {
        return Err(format!("odd number of components in label string {:?}", lossy(path)));
    }
    let mut key = Key::new();
    for [name, value] in pairs {
        let text = lossy(name);
        let plain = text.strip_suffix(BASE64_SUFFIX).unwrap_or(&text);
        if !is_label_name(plain) {
            return Err(format!("improper label name {plain:?}"));
        }
        let value = if plain.len() < text.len() {
            decode_base64(value, Alphabet::Url).map_err(|position| {
                let value = lossy(value);
                format!(
                    "invalid base64 encoding for label {plain}={value:?}: {}",
                    illegal(position)
                )
            })?
        } else {
            value.to_vec()
        };
        key.insert(plain.to_owned(), value);
    }
    Ok(key)
}

/// Letters, digits and underscores, not starting with a digit or two underscores.
pub(super) fn is_label_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with("__")
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn illegal(position: usize) -> String {
    format!("illegal base64 data at input byte {position}")
}

/// The two alphabets of base64: labels use the one that is safe in URLs, credentials the other.
#[derive(Clone, Copy)]
pub(super) enum Alphabet {
    Url,
    Standard,
}

impl Alphabet {
    fn value(self, byte: u8) -> Option<u32> {
        let last = match self {
            Self::Url => [b'-', b'_'],
            Self::Standard => [b'+', b'/'],
        };
        Some(u32::from(match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            _ if byte == last[0] => 62,
            _ if byte == last[1] => 63,
            _ => return None,
        }))
    }
}

/// Decodes base64 with or without padding, or says which byte is wrong.
///
/// Line breaks are skipped and left-over bits ignored, as the real gateway does.
pub(super) fn decode_base64(text: &[u8], alphabet: Alphabet) -> Result<Vec<u8>, usize> {
    let length = text.iter().rposition(|&byte| byte != b'=').map_or(0, |last| last + 1);
    let mut decoded = Vec::new();
    let (mut bits, mut digits) = (0_u32, 0_usize);
    for (position, &byte) in text[..length].iter().enumerate() {
        if matches!(byte, b'\r' | b'\n') {
            continue;
        }
        bits = bits << 6 | alphabet.value(byte).ok_or(position)?;
        digits += 1;
        if digits % 4 != 1 {
            let unused = [0, 0, 4, 2][digits % 4];
            decoded.push((bits >> unused).to_le_bytes()[0]);
        }
    }
    if digits % 4 == 1 { Err(length - 1) } else { Ok(decoded) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(labels: &str) -> Result<String, String> {
        grouping_key(b"j", false, labels.as_bytes()).map(|key| {
            let pairs = key.iter().map(|(name, value)| format!("{name}={}", lossy(value)));
            pairs.collect::<Vec<_>>().join(",")
        })
    }

    #[test]
    fn labels_come_in_pairs_and_the_last_of_a_name_wins() {
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
    fn base64_needs_no_padding_and_no_clean_end() {
        let decode = |text: &str| decode_base64(text.as_bytes(), Alphabet::Url);
        for text in ["YS9i", "YS9i====", "YS\n9i"] {
            assert_eq!(decode(text).as_deref(), Ok(&b"a/b"[..]), "{text}");
        }
        assert_eq!(decode("Lg=="), decode("Lg"));
        assert_eq!(decode("Lh").as_deref(), Ok(&b"."[..]));
        assert_eq!(decode("="), Ok(Vec::new()));
        assert_eq!(decode("_-8").as_deref(), Ok(&[0xFF, 0xEF][..]));
        assert_eq!(decode("/+8"), Err(0));
        assert_eq!(decode("YS9ib"), Err(4));
        assert_eq!(decode_base64(b"/+8=", Alphabet::Standard).as_deref(), Ok(&[0xFF, 0xEF][..]));
        assert!(key("/a@base64/*").unwrap_err().ends_with("illegal base64 data at input byte 0"));
    }

    #[test]
    fn dots_and_doubled_slashes_are_resolved_and_a_last_slash_stays() {
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
    fn broken_percent_encoding_is_noticed() {
        assert_eq!(percent_decode(b"a%2Fb%41+").as_deref(), Some(&b"a/bA+"[..]));
        for broken in ["%", "%4", "%zz", "a%+1"] {
            assert_eq!(percent_decode(broken.as_bytes()), None, "{broken}");
        }
        assert_eq!(percent_encode("/a b/é".as_bytes()), "/a%20b/%C3%A9");
    }
}
