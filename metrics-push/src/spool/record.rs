//! Record: a request on disk, as text and lengths.
//!
//! ```text
//! metrics-push request 1 <checksum of what follows, 32 hex digits>\n
//! <fields, each as its length in bytes, a colon, its bytes and a line feed>
//! ```
//!
//! The fields: the sink's URL without credentials, the verb, when its newest part was made (Unix milliseconds), the
//! job, the number of further labels and name and value of each, the number of families and name and text of each.
//! What was torn or changed is told apart from what never was a record of ours, and from a newer version's.

use std::fmt::Write as _;

use crate::labels::GroupingKey;
use crate::push_request::{Families, PushRequest, Verb};

/// What every version's records begin with.
const MAGIC: &str = "metrics-push request ";
/// A change of the format is a new number here, and an old record more among the tests.
const VERSION: u32 = 1;

/// A request that waits, and the sink it waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) sink: String,
    pub(super) request: PushRequest,
    /// Tells this record from any other that may take its place.
    pub(super) checksum: u128,
}

/// Why a file can't be read as a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It is none of ours: not to be touched.
    Foreign,
    /// A newer version wrote it, and will read it.
    Newer,
    /// It was one of ours, and is broken.
    Torn,
}

pub(super) fn encode(sink: &str, request: &PushRequest) -> Vec<u8> {
    let mut fields = String::new();
    push_field(&mut fields, sink);
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

pub(super) fn decode(bytes: &[u8]) -> Result<Record, Unreadable> {
    let after_magic = bytes.strip_prefix(MAGIC.as_bytes()).ok_or_else(|| {
        // What was cut off within these words can only have been ours.
        if MAGIC.as_bytes().starts_with(bytes) { Unreadable::Torn } else { Unreadable::Foreign }
    })?;
    let text = std::str::from_utf8(after_magic).map_err(|_| Unreadable::Torn)?;
    let (head, fields) = text.split_once('\n').ok_or(Unreadable::Torn)?;
    let (version, stated) = head.split_once(' ').ok_or(Unreadable::Torn)?;
    match version.parse::<u32>() {
        Ok(VERSION) => {}
        Ok(newer) if newer > VERSION => return Err(Unreadable::Newer),
        _ => return Err(Unreadable::Torn),
    }
    let checksum = checksum_of(&[fields.as_bytes()]);
    if stated != format!("{checksum:032x}") {
        return Err(Unreadable::Torn);
    }
    let (sink, request) = read(&mut Fields(fields)).ok_or(Unreadable::Torn)?;
    Ok(Record { sink, request, checksum })
}

/// What is left to read.
struct Fields<'a>(&'a str);

impl<'a> Fields<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let (length, rest) = self.0.split_once(':')?;
        let length: usize = length.parse().ok()?;
        let field = rest.get(..length)?;
        self.0 = rest[length..].strip_prefix('\n')?;
        Some(field)
    }

    fn pairs(&mut self) -> Option<Vec<(&'a str, &'a str)>> {
        let count: usize = self.next()?.parse().ok()?;
        (0..count).map(|_| Some((self.next()?, self.next()?))).collect()
    }
}

fn read(fields: &mut Fields<'_>) -> Option<(String, PushRequest)> {
    let sink = fields.next()?.to_owned();
    let verb = match fields.next()? {
        "push" => Verb::Push,
        "add" => Verb::Add,
        "delete" => Verb::Delete,
        _ => return None,
    };
    let made = fields.next()?.parse().ok()?;
    let mut key = GroupingKey::new(fields.next()?).ok()?;
    for (name, value) in fields.pairs()? {
        key = key.label(name, value).ok()?;
    }
    let families: Families =
        fields.pairs()?.into_iter().map(|(n, text)| (n.to_owned(), text.to_owned())).collect();
    fields.0.is_empty().then(|| (sink, PushRequest::with_created_at(made, verb, key, families)))
}

/// FNV-1a with 128 bits: the same on every machine and in every version, and any single changed byte changes it.
pub(super) fn checksum_of(parts: &[&[u8]]) -> u128 {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let bytes = parts.iter().flat_map(|part| part.iter());
    bytes.fold(OFFSET, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(PRIME))
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
        encode("http://gateway:9091", &request())
    }

    /// A record of version 1, as it was first written.
    const VERSION_1: &str = "metrics-push request 1 5e80a306a2b90fd28542ed5187a885f3\n\
        19:http://gateway:9091\n4:push\n13:1700000000123\n4:a/b\n\n1:1\n5:shard\n4:é:7\n1:2\n\
        1:a\n19:# TYPE a gauge\na 1\n\n1:b\n12:b{x=\"\\n\"} 2\n\n";

    #[test]
    fn what_is_written_is_read() {
        for verb in [Verb::Push, Verb::Add, Verb::Delete] {
            let request = PushRequest::with_created_at(
                7,
                verb,
                request().key().clone(),
                request().families().clone(),
            );
            let record = decode(&encode("http://gateway:9091", &request)).unwrap();
            assert_eq!((record.sink.as_str(), &record.request), ("http://gateway:9091", &request));
        }
    }

    #[test]
    fn records_of_version_1_are_still_read() {
        assert_eq!(String::from_utf8(encoded()).unwrap(), VERSION_1);
        assert_eq!(decode(VERSION_1.as_bytes()).unwrap().request, request());
    }

    #[test]
    fn a_record_cut_at_any_byte_is_torn() {
        let whole = encoded();
        for length in 0..whole.len() {
            assert_eq!(decode(&whole[..length]), Err(Unreadable::Torn), "{length} bytes");
        }
    }

    #[test]
    fn a_record_with_any_bit_flipped_is_never_read() {
        let whole = encoded();
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&flipped).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn nothing_may_follow_the_last_field() {
        let text = String::from_utf8(encoded()).unwrap();
        let fields = format!("{}1:x\n", text.split_once('\n').unwrap().1);
        let longer =
            format!("{MAGIC}{VERSION} {:032x}\n{fields}", checksum_of(&[fields.as_bytes()]));
        assert_eq!(decode(longer.as_bytes()), Err(Unreadable::Torn));
    }

    #[test]
    fn foreign_files_and_newer_records_are_told_apart() {
        assert_eq!(decode(b"notes of a person"), Err(Unreadable::Foreign));
        assert_eq!(decode(b"metrics-push request 2 later"), Err(Unreadable::Torn));
        assert_eq!(decode(b"metrics-push request 2 later\nwhatever"), Err(Unreadable::Newer));
    }
}
