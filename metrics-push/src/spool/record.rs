//! `Record`: the file format of a spooled request.
//!
//! ```text
//! metrics-push request 2 <checksum of what follows, 32 hex digits>\n
//! <fields, each as its length in bytes, a colon, its bytes and a line feed>
//! ```
//!
//! The fields are the sink's URL without credentials, the reason (`undelivered` or `unconfirmed`; version 1 does not have
//! this field), the verb, the time at which the newest part was created (Unix milliseconds), the job, the number of further
//! labels with the name and value of each, and the number of families with the name and text of each. The decoder distinguishes corrupt records, foreign files and records of newer versions.

use std::fmt::Write as _;
use std::io;

use crate::checksum::checksum_of;
use crate::labels::GroupingKey;
use crate::push_request::{Families, PushRequest, Verb};

/// The extension of the files.
pub(super) const EXTENSION: &str = "request";
/// A larger request is reduced to its outcome.
pub(super) const MAX_RECORD_SIZE: usize = 4 * 1024 * 1024;

/// Enough bytes to distinguish records from foreign files.
pub(super) const MAX_HEAD_SIZE: u64 = 64;

/// The start of the records of all versions.
const MAGIC: &str = "metrics-push request ";
/// A change of the format needs a new version, and a record of the old version in the tests.
pub(super) const VERSION: u32 = 2;

/// The reason why a request is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SpoolReason {
    /// The sink has not accepted it.
    Undelivered,
    /// The sink has accepted it, but a request that arrives late may replace it.
    Unconfirmed,
}

impl SpoolReason {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Undelivered => "undelivered",
            Self::Unconfirmed => "unconfirmed",
        }
    }
}

/// A spooled request and its sink.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Record {
    pub(super) sink: String,
    pub(super) reason: SpoolReason,
    pub(super) request: PushRequest,
    /// The first line. It changes whenever the record changes, because it contains the checksum of the fields.
    pub(super) head: String,
}

/// The reason why a file is not a readable record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DecodeError {
    /// The file is not a record.
    Foreign,
    /// The record was written by a newer version of this crate.
    NewerVersion,
    /// The record is truncated or damaged.
    Corrupt,
}

/// Encodes a request, or only its outcome if the request is too large.
///
/// # Errors
/// If the outcome is too large or missing.
pub(super) fn encode_within_limit(
    sink: &str,
    reason: SpoolReason,
    request: &PushRequest,
) -> io::Result<Vec<u8>> {
    let record = encode(sink, reason, request);
    if record.len() <= MAX_RECORD_SIZE {
        return Ok(record);
    }
    let outcome = request.outcome_only().map(|outcome| encode(sink, reason, &outcome));
    outcome.filter(|record| record.len() <= MAX_RECORD_SIZE).ok_or_else(|| {
        io::Error::other(format!("the request is larger than {MAX_RECORD_SIZE} bytes"))
    })
}

pub(super) fn encode(sink: &str, reason: SpoolReason, request: &PushRequest) -> Vec<u8> {
    let mut fields = String::new();
    push_field(&mut fields, sink);
    push_field(&mut fields, reason.as_str());
    push_field(&mut fields, request.verb().as_str());
    push_field(&mut fields, &request.created_at().to_string());
    push_field(&mut fields, request.key().job());
    push_pairs(&mut fields, &request.key().labels().collect::<Vec<_>>());
    let families = request.families().iter().map(|(name, text)| (name.as_str(), text.as_str()));
    push_pairs(&mut fields, &families.collect::<Vec<_>>());
    format!("{MAGIC}{VERSION} {:032x}\n{fields}", checksum_of(&[fields.as_bytes()])).into_bytes()
}

fn push_pairs(fields: &mut String, pairs: &[(&str, &str)]) {
    push_field(fields, &pairs.len().to_string());
    for (name, value) in pairs {
        push_field(fields, name);
        push_field(fields, value);
    }
}

fn push_field(fields: &mut String, value: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(fields, "{}:{value}", value.len());
}

/// Decodes a record and checks its checksum.
pub(super) fn decode(bytes: &[u8]) -> Result<Record, DecodeError> {
    let (version, head, fields) = check(bytes)?;
    decode_fields(version, format!("{MAGIC}{head}\n"), fields).ok_or(DecodeError::Corrupt)
}

/// Like [`decode`], but returns only the sink and the grouping key.
pub(super) fn decode_key(bytes: &[u8]) -> Result<(&str, GroupingKey), DecodeError> {
    let (version, _, mut fields) = check(bytes)?;
    let start = RecordStart::decode(version, &mut fields).ok_or(DecodeError::Corrupt)?;
    Ok((start.sink, start.key))
}

/// Checks the checksum of a record. Returns its version, the first line without the magic text, and the fields.
fn check(bytes: &[u8]) -> Result<(u32, &str, Fields<'_>), DecodeError> {
    let after_magic = bytes.strip_prefix(MAGIC.as_bytes()).ok_or_else(|| {
        // A file that ends within the magic text is a truncated record.
        if MAGIC.as_bytes().starts_with(bytes) {
            DecodeError::Corrupt
        } else {
            DecodeError::Foreign
        }
    })?;
    let text = std::str::from_utf8(after_magic).map_err(|_| DecodeError::Corrupt)?;
    let (head, fields) = text.split_once('\n').ok_or(DecodeError::Corrupt)?;
    let (version, stated) = head.split_once(' ').ok_or(DecodeError::Corrupt)?;
    let version = match version.parse::<u32>() {
        Ok(known @ 1..=VERSION) => known,
        Ok(newer) if newer > VERSION => return Err(DecodeError::NewerVersion),
        _ => return Err(DecodeError::Corrupt),
    };
    if stated != format!("{:032x}", checksum_of(&[fields.as_bytes()])) {
        return Err(DecodeError::Corrupt);
    }
    Ok((version, head, Fields(fields)))
}

/// The fields that are not decoded yet.
struct Fields<'a>(&'a str);

impl<'a> Fields<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let colon = self.0.bytes().position(|byte| byte == b':')?;
        let (length, rest) = (self.0[..colon].parse::<usize>().ok()?, &self.0[colon + 1..]);
        let field = rest.get(..length)?;
        self.0 = rest[length..].strip_prefix('\n')?;
        Some(field)
    }

    fn pairs(&mut self) -> Option<impl Iterator<Item = Option<(&'a str, &'a str)>>> {
        let count: usize = self.next()?.parse().ok()?;
        Some((0..count).map(|_| Some((self.next()?, self.next()?))))
    }
}

/// The fields before the families.
struct RecordStart<'a> {
    sink: &'a str,
    reason: SpoolReason,
    verb: Verb,
    created_at: u64,
    key: GroupingKey,
}

impl<'a> RecordStart<'a> {
    fn decode(version: u32, fields: &mut Fields<'a>) -> Option<Self> {
        let sink = fields.next()?;
        let reason = match version {
            1 => SpoolReason::Undelivered,
            _ => decode_reason(fields.next()?)?,
        };
        let verb = Verb::parse(fields.next()?)?;
        let created_at = fields.next()?.parse().ok()?;
        let mut key = GroupingKey::new(fields.next()?).ok()?;
        for pair in fields.pairs()? {
            let (name, value) = pair?;
            key = key.label(name, value).ok()?;
        }
        Some(Self { sink, reason, verb, created_at, key })
    }
}

fn decode_fields(version: u32, head: String, mut fields: Fields<'_>) -> Option<Record> {
    let RecordStart { sink, reason, verb, created_at, key } =
        RecordStart::decode(version, &mut fields)?;
    let mut families = Families::new();
    for pair in fields.pairs()? {
        let (name, text) = pair?;
        families.insert(name.to_owned(), text.to_owned());
    }
    let request = PushRequest::with_created_at(created_at, verb, key, families);
    fields.0.is_empty().then(|| Record { sink: sink.to_owned(), reason, request, head })
}

fn decode_reason(word: &str) -> Option<SpoolReason> {
    [SpoolReason::Undelivered, SpoolReason::Unconfirmed].into_iter().find(|it| it.as_str() == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> PushRequest {
        let key = GroupingKey::new("a/b\n").unwrap().label("shard", "é:7").unwrap();
        let families = [("a", "# TYPE a gauge\na 1\n"), ("b", "b{x=\"\\n\"} 2\n")]
            .map(|(n, t)| (n.into(), t.into()));
        PushRequest::with_created_at(1_700_000_000_123, Verb::Push, key, families.into())
    }

    fn encoded() -> Vec<u8> {
        encode("http://gateway:9091", SpoolReason::Unconfirmed, &request())
    }

    const VERSION_2: &str = "metrics-push request 2 7f9279088b0a9b9e03fef732c8405525\n\
        19:http://gateway:9091\n11:unconfirmed\n4:push\n13:1700000000123\n4:a/b\n\n1:1\n5:shard\n4:é:7\n\
        1:2\n1:a\n19:# TYPE a gauge\na 1\n\n1:b\n12:b{x=\"\\n\"} 2\n\n";

    /// A record that the first release wrote.
    const VERSION_1: &str = "metrics-push request 1 5e80a306a2b90fd28542ed5187a885f3\n\
        19:http://gateway:9091\n4:push\n13:1700000000123\n4:a/b\n\n1:1\n5:shard\n4:é:7\n1:2\n\
        1:a\n19:# TYPE a gauge\na 1\n\n1:b\n12:b{x=\"\\n\"} 2\n\n";

    #[test]
    fn decoded_record_equals_the_encoded_request() {
        for verb in [Verb::Push, Verb::Add, Verb::Delete] {
            let request = PushRequest::with_created_at(
                7,
                verb,
                request().key().clone(),
                request().families().clone(),
            );
            for reason in [SpoolReason::Undelivered, SpoolReason::Unconfirmed] {
                let bytes = encode("http://gateway:9091", reason, &request);
                let key = request.key().clone();
                assert_eq!(decode_key(&bytes), Ok(("http://gateway:9091", key)));
                let record = decode(&bytes).unwrap();
                assert_eq!((&*record.sink, record.reason), ("http://gateway:9091", reason));
                assert_eq!(record.request, request);
            }
        }
    }

    #[test]
    fn record_of_version_1_is_decoded() {
        let record = decode(VERSION_1.as_bytes()).unwrap();
        assert_eq!((record.request, record.reason), (request(), SpoolReason::Undelivered));
        assert_eq!(decode_key(VERSION_1.as_bytes()).unwrap().1, *request().key());
    }

    #[test]
    fn record_of_version_2_is_decoded() {
        assert_eq!(String::from_utf8(encoded()).unwrap(), VERSION_2);
        let record = decode(VERSION_2.as_bytes()).unwrap();
        assert_eq!((record.request, record.reason), (request(), SpoolReason::Unconfirmed));
    }

    #[test]
    fn record_truncated_at_any_byte_is_corrupt() {
        let whole = encoded();
        for length in 0..whole.len() {
            assert_eq!(decode(&whole[..length]), Err(DecodeError::Corrupt), "{length} bytes");
            assert_eq!(decode_key(&whole[..length]), Err(DecodeError::Corrupt), "{length} bytes");
        }
    }

    #[test]
    fn record_with_a_flipped_bit_is_not_decoded() {
        let whole = encoded();
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&flipped).is_err() && decode_key(&flipped).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn record_with_extra_fields_is_corrupt() {
        let text = String::from_utf8(encoded()).unwrap();
        let fields = format!("{}1:x\n", text.split_once('\n').unwrap().1);
        let longer =
            format!("{MAGIC}{VERSION} {:032x}\n{fields}", checksum_of(&[fields.as_bytes()]));
        assert_eq!(decode(longer.as_bytes()), Err(DecodeError::Corrupt));
    }

    #[test]
    fn decode_distinguishes_foreign_files_and_newer_records() {
        assert_eq!(decode(b"notes of a user"), Err(DecodeError::Foreign));
        let newer = format!("{MAGIC}{} later", VERSION + 1);
        assert_eq!(decode(newer.as_bytes()), Err(DecodeError::Corrupt));
        assert_eq!(decode((newer + "\nany").as_bytes()), Err(DecodeError::NewerVersion));
    }
}
