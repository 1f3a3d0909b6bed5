//! `HistoryFile`: the file with the history of one group. A run is appended, so that it needs neither a new file nor a write of
//! all earlier runs.
//!
//! ```text
//! metrics-push history 2  size=<of the lines, in bytes>  checksum=<of the lines, 16 hexadecimal digits>
//! …                       the lines of a `GroupRecord`
//! change                  size=…  checksum=…
//! …                       the lines of a change
//! ```
//!
//! The file ends with its last complete change. Bytes after it are an incomplete change, left by a process that died or by a
//! power loss, and the next update replaces the file. The first version of the format had no changes and no size.

use super::record::GroupRecord;
use crate::checksum::fast_checksum_of;
use crate::line_fields::split_line;

const MAGIC: &str = "metrics-push history";

/// A change of the format needs a new version, and a file of the old version in the tests.
const VERSION: u32 = 2;

/// The first word of a change.
const CHANGE: &str = "change";

/// Changes of this size are appended to a small record. More are appended to a larger one.
const MIN_CHANGES_SIZE: usize = 8 * 1024;

/// Nothing is appended to a larger file.
const MAX_APPENDED_SIZE: usize = 512 * 1024;

/// The content of a file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct HistoryFile {
    pub(super) record: GroupRecord,
    /// The size of the changes that can be appended.
    room: usize,
}

/// Why a file cannot be read as a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InvalidHistory {
    /// The file is truncated or damaged, or it is not a history.
    Corrupt,
    /// A later version wrote it.
    Newer,
}

impl HistoryFile {
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, InvalidHistory> {
        let text = valid_text(bytes);
        let (version, lines, mut rest) = split_record(text).ok_or(InvalidHistory::Corrupt)?;
        if version > VERSION {
            return Err(InvalidHistory::Newer);
        }
        let mut record = GroupRecord::parse(lines).ok_or(InvalidHistory::Corrupt)?;
        let record_size = text.len() - rest.len();
        while let Some((lines, later)) = split_change(rest) {
            record.apply(lines).ok_or(InvalidHistory::Corrupt)?;
            rest = later;
        }
        record.limit_runs();
        let is_complete = rest.is_empty() && text.len() == bytes.len() && version == VERSION;
        let max_size = record_size + record_size.max(MIN_CHANGES_SIZE);
        let room = max_size.min(MAX_APPENDED_SIZE).saturating_sub(bytes.len());
        Ok(Self { record, room: if is_complete { room } else { 0 } })
    }

    /// Returns the bytes of a file with this record.
    pub(super) fn encode(record: &GroupRecord) -> Vec<u8> {
        let lines = record.to_lines();
        format!("{}{lines}", record_header(VERSION, &lines)).into_bytes()
    }

    /// Returns the bytes to append, so that the file has this record; `None` if the file must be replaced.
    pub(super) fn encode_change(&self, record: &GroupRecord) -> Option<Vec<u8>> {
        let lines = record.change_since(&self.record)?;
        let change = format!("{}{lines}", header(CHANGE, VERSION, &lines));
        (change.len() <= self.room).then(|| change.into_bytes())
    }
}

/// Returns the text before the first invalid byte.
fn valid_text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes)
        .or_else(|error| str::from_utf8(&bytes[..error.valid_up_to()]))
        .unwrap_or_default()
}

/// Returns the version, the lines of the record and the text after it; `None` if the record is damaged.
fn split_record(text: &str) -> Option<(u32, &str, &str)> {
    let version = text.strip_prefix(MAGIC)?.strip_prefix(' ')?.split(['\t', '\n']).next()?;
    let version = version.parse().ok()?;
    let (_, lines, rest) = split_section(text, version)?;
    Some((version, lines, rest))
}

/// Returns the lines of a change and the text after it; `None` at the end of the file, or if the change is damaged.
fn split_change(text: &str) -> Option<(&str, &str)> {
    let (word, lines, rest) = split_section(text, VERSION)?;
    (word == CHANGE).then_some((lines, rest))
}

/// Splits text after its first header and the lines that belong to it. Returns `None` if the header or the checksum is wrong.
fn split_section(text: &str, version: u32) -> Option<(&str, &str, &str)> {
    let (header, after) = text.split_once('\n')?;
    let (word, fields) = split_line(header);
    let size = if version == 1 { after.len() } else { fields.number("size")? };
    let (lines, rest) = after.split_at_checked(size)?;
    let is_intact = fields.text("checksum")? == format!("{:016x}", checksum(version, lines));
    is_intact.then_some((word, lines, rest))
}

fn record_header(version: u32, lines: &str) -> String {
    header(&format!("{MAGIC} {version}"), version, lines)
}

fn header(word: &str, version: u32, lines: &str) -> String {
    format!("{word}\tsize={}\tchecksum={:016x}\n", lines.len(), checksum(version, lines))
}

/// The checksum covers the version, so that a damaged file does not look like one of a later version.
fn checksum(version: u32, lines: &str) -> u64 {
    fast_checksum_of(lines.as_bytes()) ^ u64::from(version)
}

/// Replaces the first line of a file by that of a file of this version.
#[cfg(any(test, fuzzing))]
pub(super) fn with_version(text: &str, version: u32) -> String {
    let lines = text.split_once('\n').map_or("", |(_, lines)| lines);
    format!("{}{lines}", record_header(version, lines))
}

#[cfg(test)]
mod tests {
    use super::super::record::{
        ENDED_AT, MAX_RUNS, MAX_RUNS_SIZE, ending, longest_ending, longest_record, record,
    };
    use super::*;
    use crate::finished_run::FinishedRun;
    use crate::outcome::Outcome;

    /// A file that the first version wrote.
    const VERSION_1: &str = include_str!("version_1.history");
    /// A file of the second version, with a change.
    const VERSION_2: &str = include_str!("version_2.history");

    fn decode(bytes: &[u8]) -> Result<GroupRecord, InvalidHistory> {
        HistoryFile::decode(bytes).map(|file| file.record)
    }

    /// The record with another run.
    fn changed() -> GroupRecord {
        let mut changed = record();
        assert!(changed.add(&ending("3", Outcome::Success), true, ENDED_AT));
        changed
    }

    /// Returns a file with a change, and the size of the record before it.
    fn file_with_change() -> (Vec<u8>, usize) {
        let mut bytes = HistoryFile::encode(&record());
        let size = bytes.len();
        let file = HistoryFile::decode(&bytes).unwrap();
        bytes.extend(file.encode_change(&changed()).unwrap());
        (bytes, size)
    }

    #[test]
    fn decoded_history_equals_the_encoded_one() {
        assert_eq!(decode(&HistoryFile::encode(&record())), Ok(record()));
        let runs: Vec<_> = record().runs().collect();
        assert_eq!(runs[1], ending("2", Outcome::ExitCode).run);
    }

    #[test]
    fn history_of_version_1_is_decoded_and_replaced() {
        let file = HistoryFile::decode(VERSION_1.as_bytes()).unwrap();
        assert_eq!(file.record, record());
        assert_eq!(file.encode_change(&changed()), None);
    }

    #[test]
    fn history_of_version_2_is_decoded() {
        let (bytes, _) = file_with_change();
        assert_eq!(String::from_utf8(bytes).unwrap(), VERSION_2);
        assert_eq!(decode(VERSION_2.as_bytes()), Ok(changed()));
    }

    #[test]
    fn failed_stage_is_decoded_and_old_runs_have_none() {
        let mut changed = decode(VERSION_1.as_bytes()).unwrap();
        assert!(changed.runs().all(|run| run.failed_stage.is_none()));
        let mut failed = ending("3", Outcome::Error);
        failed.run.failed_stage = Some("load\tall".to_owned());
        changed.add(&failed, true, ENDED_AT);
        let decoded = decode(&HistoryFile::encode(&changed)).unwrap();
        assert_eq!(decoded.runs().last(), Some(failed.run));
    }

    #[test]
    fn file_truncated_in_its_record_is_corrupt() {
        let assert_corrupt = |bytes: &[u8]| {
            assert_eq!(decode(bytes), Err(InvalidHistory::Corrupt), "{} bytes", bytes.len());
        };
        let whole = HistoryFile::encode(&record());
        (0..whole.len()).for_each(|length| assert_corrupt(&whole[..length]));
        // Around the end of each line, because the checksum of each part of a large file takes time.
        let whole = HistoryFile::encode(&longest_record());
        let line_feeds = (0..whole.len()).filter(|at| whole[*at] == b'\n');
        for length in line_feeds.flat_map(|at| [at, at + 1, at + 2]) {
            if length < whole.len() {
                assert_corrupt(&whole[..length]);
            }
        }
    }

    #[test]
    fn history_of_the_longest_runs_is_decoded() {
        let record = longest_record();
        let file = HistoryFile::encode(&record);
        assert!(file.len() < MAX_RUNS_SIZE + 16 * 1024, "{} bytes", file.len());
        let decoded = decode(&file).unwrap();
        assert_eq!(decoded, record);
        let runs: Vec<_> = decoded.runs().collect();
        // A duration is stored in seconds, rounded.
        let without_duration = |run: FinishedRun| FinishedRun { duration: None, ..run };
        let expected: Vec<_> =
            (0..MAX_RUNS).map(|number| without_duration(longest_ending(number).run)).collect();
        assert_eq!(runs.into_iter().map(without_duration).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn record_with_a_flipped_bit_is_corrupt() {
        let whole = HistoryFile::encode(&record());
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&flipped), Err(InvalidHistory::Corrupt), "bit {bit}");
        }
    }

    #[test]
    fn damaged_change_is_ignored_and_the_file_is_replaced() {
        let (whole, record_size) = file_with_change();
        for length in record_size + 1..whole.len() {
            let zeros = [&whole[..length], &vec![0; whole.len() - length]].concat();
            for bytes in [&whole[..length], &zeros] {
                let file = HistoryFile::decode(bytes).unwrap();
                assert_eq!(file, HistoryFile { record: record(), room: 0 }, "{length} bytes");
            }
        }
        for bit in record_size * 8..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let file = HistoryFile::decode(&flipped).unwrap();
            assert_eq!(file, HistoryFile { record: record(), room: 0 }, "bit {bit}");
        }
    }

    #[test]
    fn unknown_lines_and_fields_are_skipped() {
        let text = VERSION_1.replacen("streak\t", "later\tx=1\nstreak\tx=1\t", 1);
        assert_eq!(decode(with_version(&text, VERSION).as_bytes()), Ok(record()));
    }

    /// Each update reads the file that the updates before it have written.
    #[test]
    fn changes_are_appended_until_the_file_is_replaced() {
        let mut written = record();
        let mut bytes = HistoryFile::encode(&written);
        let (mut appended, mut replaced) = (0, 0);
        for number in 0..3 * MAX_RUNS {
            let file = HistoryFile::decode(&bytes).unwrap();
            assert_eq!(file.record, written);
            written.add(&ending(&format!("later {number}"), Outcome::Error), true, ENDED_AT);
            written.set_checked(&format!("http://sink-{}", number % 20), 7);
            if let Some(change) = file.encode_change(&written) {
                bytes.extend(change);
                appended += 1;
            } else {
                bytes = HistoryFile::encode(&written);
                replaced += 1;
            }
        }
        assert!((2..60).contains(&replaced) && appended > 540, "{appended} {replaced}");
    }

    #[test]
    fn change_of_a_run_replaces_the_file() {
        for id in ["1", "2"] {
            let file = HistoryFile::decode(&HistoryFile::encode(&record())).unwrap();
            let mut changed = record();
            assert!(changed.change_run(id, |run| run.attempts = Some(7)));
            assert_eq!(file.encode_change(&changed), None, "{id}");
        }
    }
}
