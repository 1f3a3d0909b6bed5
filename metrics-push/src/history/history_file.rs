//! The file with the history of one group. It consists of sections, and the last one has the whole state: an update reads
//! only the end of the file and appends a section. It needs neither a new file nor the earlier runs.
//!
//! ```text
//! metrics-push history 2  size=<of the lines, in bytes>  checksum=<16 hexadecimal digits>
//! …                       the lines of the earlier runs
//! state                   size=…  checksum=…  base=<size of the first section>
//! …                       the lines of a `HistoryState`, and of the runs that were added with it
//! ```
//!
//! If a section is damaged, its runs are lost, and the next update that reads the whole file replaces the file. If the last
//! section is damaged, the totals are lost as well and start again at zero. With the totals of an earlier section, a counter
//! would decrease a little, and Prometheus would take the whole new value for an increase after a restart. A last section that
//! ends within a line is not damaged but incomplete: the process died while it wrote the section, or could not write it, and
//! has not sent its totals. In the first version of the format, a file was one section without a size, with the state before
//! the runs.

use std::{fmt, iter, mem};

use super::history_state::HistoryState;
use super::record::GroupRecord;
use super::run_line::split_runs;
use crate::checksum::fast_checksum_of;
use crate::labels::GroupingKey;
use crate::line_fields::{LineBuilder, split_line};

const MAGIC: &str = "metrics-push history";

/// A change of the format needs a new version, and a file of the old version in the tests.
const VERSION: u32 = 2;

/// The first word of a section with a state.
const STATE: &str = "state";

/// The start of such a section, after the line feed before it. No other line starts with this word, and values have no line
/// feeds.
const STATE_START: &str = "\nstate\t";

/// The size of the end of a file that an update reads. If the last section is larger, because it has many totals, the update
/// reads the whole file.
pub(super) const MAX_END_SIZE: u64 = 16 * 1024;

/// The size of the sections that are appended to a file without runs. With runs, the size of their section is added to it.
const MIN_APPENDED_SIZE: usize = 16 * 1024;

/// No section is appended if the file would become larger.
const MAX_APPENDED_SIZE: usize = 512 * 1024;

/// The content of a file.
#[derive(Debug, PartialEq)]
pub(super) struct HistoryFile {
    pub(super) record: GroupRecord,
    space: FileSpace,
    pub(super) damage: Option<Damage>,
}

/// The parts of a file that an update needs: the state in the last section, and the space after it.
#[derive(Debug, PartialEq)]
pub(super) struct FileEnd {
    pub(super) state: HistoryState,
    pub(super) space: FileSpace,
    /// The lines of all runs, if the whole file was read.
    pub(super) run_lines: Option<String>,
}

/// How much can be appended to a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FileSpace {
    /// The size of the first section.
    base: usize,
    remaining: usize,
}

/// What a damaged file has lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Damage {
    Runs,
    /// The last runs, and the state after them.
    State,
}

impl Damage {
    /// Returns what a file with these sections has lost. A section that was not written completely ends within a line.
    fn find(sections: &[Option<Section<'_>>], text: &str) -> Option<Self> {
        let (last, earlier) = sections.split_last()?;
        if !is_complete(last) && text.ends_with(['\n', '\0']) {
            return Some(Self::State);
        }
        (!earlier.iter().all(is_complete)).then_some(Self::Runs)
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Runs => "some runs of its group are lost",
            Self::State => "the last runs of its group are lost, and its totals start again",
        })
    }
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
        // An invalid byte damages its section only.
        let text = String::from_utf8_lossy(bytes);
        let mut texts = section_texts(&text);
        let (version, first) = texts.next().and_then(Section::read_first).unzip();
        if version > Some(VERSION) {
            return Err(InvalidHistory::Newer);
        }
        let later = texts.map(|text| Section::read(text, VERSION));
        let sections: Vec<_> = iter::once(first).chain(later).collect();
        let damage = Damage::find(&sections, &text);
        let has_space = version == Some(VERSION) && sections.iter().all(is_complete);
        let intact = sections.iter().flatten();
        let last = intact.clone().next_back().ok_or(InvalidHistory::Corrupt)?;
        let mut state = HistoryState::parse(last.state).ok_or(InvalidHistory::Corrupt)?;
        if damage == Some(Damage::State) {
            state.totals.clear();
        }
        let run_lines = intact.map(|section| section.runs).collect();
        let space = FileSpace::new(last.base, bytes.len());
        let space = if has_space { space } else { FileSpace::default() };
        Ok(Self { record: GroupRecord { state, run_lines }, space, damage })
    }

    /// Returns the bytes of a file with this record.
    pub(super) fn encode(record: &GroupRecord) -> Vec<u8> {
        let first = section(&format!("{MAGIC} {VERSION}"), 0, &record.run_lines);
        let state = section(STATE, first.len(), &record.state.to_lines());
        (first + &state).into_bytes()
    }
}

impl FileEnd {
    /// Decodes the last bytes of a file of this size. Returns `None` if they do not end with a complete section.
    pub(super) fn decode(end: &[u8], file_size: usize) -> Option<Self> {
        let mut starts = end.windows(STATE_START.len());
        let start = starts.rposition(|bytes| bytes == STATE_START.as_bytes())?;
        let section = Section::read(str::from_utf8(&end[start + 1..]).ok()?, VERSION)?;
        let state = HistoryState::parse(section.state)?;
        let space = FileSpace::new(section.base, file_size);
        section.is_complete.then_some(Self { state, space, run_lines: None })
    }

    /// Returns the content of a group without a file.
    pub(super) fn empty(key: GroupingKey) -> Self {
        let run_lines = Some(String::new());
        Self { state: HistoryState::new(key), space: FileSpace::default(), run_lines }
    }
}

impl From<HistoryFile> for FileEnd {
    fn from(file: HistoryFile) -> Self {
        let GroupRecord { state, run_lines } = file.record;
        Self { state, space: file.space, run_lines: Some(run_lines) }
    }
}

impl FileSpace {
    fn new(base: usize, file_size: usize) -> Self {
        let max_size = base.saturating_mul(2).saturating_add(MIN_APPENDED_SIZE);
        Self { base, remaining: max_size.min(MAX_APPENDED_SIZE).saturating_sub(file_size) }
    }

    /// Returns the bytes to append, so that the file has this state and the lines of these runs; `None` if the file must be
    /// replaced.
    pub(super) fn encode(self, state: &HistoryState, run_lines: &str) -> Option<Vec<u8>> {
        let section = section(STATE, self.base, &(state.to_lines() + run_lines));
        (section.len() <= self.remaining).then(|| section.into_bytes())
    }
}

/// An intact section.
#[derive(Clone, Copy, Debug)]
struct Section<'a> {
    /// The lines of the state.
    state: &'a str,
    /// The lines of the runs.
    runs: &'a str,
    base: usize,
    /// No other bytes are between this section and the next one.
    is_complete: bool,
}

impl<'a> Section<'a> {
    /// Reads the first section of a file, and returns it with the version of the format.
    fn read_first(text: &'a str) -> Option<(u32, Self)> {
        let version = text.strip_prefix(MAGIC)?.strip_prefix(' ')?.split(['\t', '\n']).next()?;
        let version = version.parse().ok()?;
        Some((version, Self::read(text, version)?))
    }

    /// Returns `None` if the header or the checksum is wrong.
    fn read(text: &'a str, version: u32) -> Option<Self> {
        let (header, after) = text.split_once('\n')?;
        let (_, fields) = split_line(header);
        let size = if version == 1 { after.len() } else { fields.number("size")? };
        let (lines, rest) = after.split_at_checked(size)?;
        let base = fields.number("base").unwrap_or(0);
        let is_intact = (lines.is_empty() || lines.ends_with('\n'))
            && fields.text("checksum")? == format!("{:016x}", checksum(version, base, lines));
        let (state, runs) = split_runs(lines);
        is_intact.then_some(Self { state, runs, base, is_complete: rest.is_empty() })
    }
}

fn is_complete(section: &Option<Section<'_>>) -> bool {
    section.as_ref().is_some_and(|section| section.is_complete)
}

/// Splits the text of a file into the texts of its sections.
fn section_texts(text: &str) -> impl Iterator<Item = &str> {
    let starts = text.match_indices(STATE_START).map(|(at, _)| at + 1);
    let mut end_of_last = 0;
    starts.chain([text.len()]).map(move |end| &text[mem::replace(&mut end_of_last, end)..end])
}

/// Returns a section with its header. `base` is the size of the first section, and 0 in the first section.
fn section(word: &str, base: usize, lines: &str) -> String {
    let mut header = LineBuilder::default();
    header.word(word);
    header.field("size", lines.len());
    header.field("checksum", format_args!("{:016x}", checksum(VERSION, base, lines)));
    header.optional("base", Some(base).filter(|base| *base > 0));
    header.finish() + lines
}

/// The checksum covers the version, so that a damaged file does not look like one of a later version, and the base.
fn checksum(version: u32, base: usize, lines: &str) -> u64 {
    fast_checksum_of(lines.as_bytes()) ^ u64::from(version) ^ (base as u64) << 8
}

/// Returns the first line of a file of this version, followed by these lines.
#[cfg(any(test, fuzzing))]
pub(super) fn with_version(version: u32, lines: &str) -> String {
    let (size, checksum) = (lines.len(), checksum(version, 0, lines));
    format!("{MAGIC} {version}\tsize={size}\tchecksum={checksum:016x}\n{lines}")
}

#[cfg(test)]
mod tests {
    use super::super::record::{
        ENDED_AT, MAX_RUNS, MAX_RUNS_SIZE, add, ending, longest_ending, longest_record, record,
    };
    use super::*;
    use crate::finished_run::{FailedStage, FinishedRun};
    use crate::outcome::Outcome;
    use crate::push_request::{RunEnding, Total};

    /// A file that the first version wrote.
    const VERSION_1: &str = include_str!("version_1.history");
    /// A file of the second version, with an appended section.
    const VERSION_2: &str = include_str!("version_2.history");

    fn decode(bytes: &[u8]) -> Result<GroupRecord, InvalidHistory> {
        HistoryFile::decode(bytes).map(|file| file.record)
    }

    fn decode_end(bytes: &[u8]) -> Option<FileEnd> {
        let size = bytes.len().min(usize::try_from(MAX_END_SIZE).unwrap());
        FileEnd::decode(&bytes[bytes.len() - size..], bytes.len())
    }

    /// The content of a file to which nothing can be appended.
    fn full(record: GroupRecord) -> HistoryFile {
        HistoryFile { record, space: FileSpace::default(), damage: None }
    }

    /// The content of a damaged file.
    fn damaged(mut record: GroupRecord, damage: Damage) -> HistoryFile {
        if damage == Damage::State {
            record.state.totals.clear();
        }
        HistoryFile { damage: Some(damage), ..full(record) }
    }

    /// Appends a run to the file and to its record.
    #[track_caller]
    fn append(bytes: &mut Vec<u8>, record: &mut GroupRecord, ending: &RunEnding) {
        let line = add(record, ending);
        let space = decode_end(bytes).unwrap().space;
        bytes.extend(space.encode(&record.state, &line).unwrap());
    }

    /// Returns a file with an appended section, its record, and the size before the section.
    fn appended_file() -> (Vec<u8>, GroupRecord, usize) {
        let mut record = record();
        let mut bytes = HistoryFile::encode(&record);
        let size = bytes.len();
        append(&mut bytes, &mut record, &ending("3", Outcome::Success));
        (bytes, record, size)
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
        assert_eq!(file, full(record()));
        assert_eq!(file.space.encode(&record().state, ""), None);
        assert_eq!(decode_end(VERSION_1.as_bytes()), None);
    }

    #[test]
    fn history_of_version_2_is_decoded() {
        let (bytes, record, _) = appended_file();
        assert_eq!(String::from_utf8(bytes).unwrap(), VERSION_2);
        assert_eq!(decode(VERSION_2.as_bytes()), Ok(record));
    }

    /// The end can start in the middle of a character.
    #[test]
    fn end_of_a_file_has_the_state_of_the_whole_file() {
        let (bytes, ..) = appended_file();
        let whole = HistoryFile::decode(&bytes).unwrap();
        let state_start = VERSION_2.rfind(STATE_START).unwrap();
        for start in 0..bytes.len() {
            let end = FileEnd::decode(&bytes[start..], bytes.len());
            let state = whole.record.state.clone();
            let expected = FileEnd { state, space: whole.space, run_lines: None };
            assert_eq!(end, (start <= state_start).then_some(expected), "{start}");
        }
    }

    #[test]
    fn section_with_many_totals_is_read_from_the_whole_file() {
        let mut record = record();
        let text = "x".repeat(20_000);
        record.state.totals.insert("rows_total".into(), Total { since: 1, text });
        let bytes = HistoryFile::encode(&record);
        assert_eq!(decode_end(&bytes), None);
        assert_eq!(decode(&bytes), Ok(record));
    }

    #[test]
    fn failed_stage_is_decoded_and_old_runs_have_none() {
        let mut changed = decode(VERSION_1.as_bytes()).unwrap();
        assert!(changed.runs().all(|run| run.failed_stage.is_none()));
        let mut failed = ending("3", Outcome::Error);
        failed.run.failed_stage =
            Some(FailedStage { name: "load\tall".to_owned(), has_ended: false });
        add(&mut changed, &failed);
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
    fn record_with_a_flipped_bit_is_corrupt_or_has_no_runs() {
        let whole = HistoryFile::encode(&record());
        let state_start = str::from_utf8(&whole).unwrap().find(STATE_START).unwrap();
        let without_runs = GroupRecord { run_lines: String::new(), ..record() };
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let in_runs =
                (bit / 8 < state_start).then(|| damaged(without_runs.clone(), Damage::Runs));
            let expected = in_runs.ok_or(InvalidHistory::Corrupt);
            assert_eq!(HistoryFile::decode(&flipped), expected, "bit {bit}");
        }
    }

    /// Decodes a file whose last section cannot be read. Nothing can be appended to it.
    #[track_caller]
    fn decode_without_last_section(bytes: &[u8]) -> HistoryFile {
        assert_eq!(decode_end(bytes), None);
        HistoryFile::decode(bytes).unwrap()
    }

    #[test]
    fn incomplete_last_section_costs_nothing_before_it() {
        let (whole, _, size) = appended_file();
        for length in (size + 1..whole.len()).filter(|length| whole[length - 1] != b'\n') {
            let file = decode_without_last_section(&whole[..length]);
            assert_eq!(file, full(record()), "{length} bytes");
        }
    }

    #[test]
    fn damaged_last_section_costs_the_totals() {
        let (whole, _, size) = appended_file();
        let expected = damaged(record(), Damage::State);
        for length in size + 1..whole.len() {
            let zeros = [&whole[..length], &vec![0; whole.len() - length]].concat();
            assert_eq!(decode_without_last_section(&zeros), expected, "{length} bytes");
        }
        // Without the line feed at its end, the last section counts as incomplete.
        for bit in size * 8..(whole.len() - 1) * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode_without_last_section(&flipped), expected, "bit {bit}");
        }
    }

    #[test]
    fn damaged_earlier_section_costs_its_runs() {
        let (mut whole, mut record, size) = appended_file();
        let (base, before) = (VERSION_2.find(STATE_START).unwrap(), whole.len());
        append(&mut whole, &mut record, &ending("4", Outcome::Success));
        // The line feed before the last section is a part of its start.
        for bit in 0..(before - 1) * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let file = HistoryFile::decode(&flipped).unwrap();
            let ids: Vec<_> = file.record.runs().map(|run| run.id).collect();
            let expected: &[&str] = match bit / 8 {
                at if at <= base => &["3", "4"],
                // The first state has no runs.
                at if at < size - 1 => &["1", "2", "3", "4"],
                _ => &["1", "2", "4"],
            };
            assert_eq!(ids, expected, "bit {bit}");
            let state = record.state.clone();
            let run_lines = file.record.run_lines.clone();
            let expected = damaged(GroupRecord { state, run_lines }, Damage::Runs);
            assert_eq!(file, expected, "bit {bit}");
        }
    }

    #[test]
    fn unknown_lines_and_fields_are_skipped() {
        let (_, lines) = VERSION_1.split_once('\n').unwrap();
        let lines = lines.replacen("streak\t", "later\tx=1\nstreak\tx=1\t", 1);
        assert_eq!(decode(with_version(1, &lines).as_bytes()), Ok(record()));
    }

    /// Each update reads the file that the updates before it have written.
    #[test]
    fn sections_are_appended_until_the_file_is_replaced() {
        let mut record = record();
        let mut bytes = HistoryFile::encode(&record);
        let (mut appended, mut replaced) = (0, 0);
        for number in 0..3 * MAX_RUNS {
            let end = decode_end(&bytes).unwrap();
            assert_eq!(end.state, record.state);
            let line = add(&mut record, &ending(&format!("later {number}"), Outcome::Error));
            record.state.set_checked(&format!("http://sink-{}", number % 20), 7);
            if let Some(section) = end.space.encode(&record.state, &line) {
                bytes.extend(section);
                appended += 1;
            } else {
                let written = decode(&bytes).unwrap().run_lines;
                assert_eq!(record.run_lines, written + &line);
                record.remove_old_runs(ENDED_AT);
                bytes = HistoryFile::encode(&record);
                replaced += 1;
            }
        }
        assert!((2..60).contains(&replaced) && appended > 540, "{appended} {replaced}");
    }
}
