//! Decodes base64 as the Go gateway does.
//!
//! Implemented by hand, because the `base64` crate cannot be configured to follow Go: Go skips line breaks, ignores leftover
//! bits, and reports the position of the first invalid byte, which the gateway's error message contains.

/// The alphabets of base64: grouping labels use `Url`, credentials use `Standard`.
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

/// Decodes base64 with or without padding. The error is the position of the invalid byte.
///
/// Line breaks and leftover bits are ignored, as in the real gateway.
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

    #[test]
    fn decode_base64_ignores_padding_and_leftover_bits() {
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
    }
}
