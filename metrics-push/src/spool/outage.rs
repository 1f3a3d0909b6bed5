//! Records on disk that a sink is down, so that other processes do not wait for it.
//!
//! There is one small file per sink with three lines: the version, the URL of the sink, and the time in milliseconds since
//! the Unix epoch. A record that is corrupt, expired or in the future counts as absent: the worst result is one more wait.
//! The number of files is fixed. If two sinks have the same file, the last writer wins.

use std::time::Duration;

use super::Spool;
use crate::checksum::checksum_of;
use crate::clock::Moment;
use crate::log;

/// The folder in the state directory.
const FOLDER: &str = "outages";
const VERSION: &str = "metrics-push outage 1";
const MAX_FILES: u128 = 64;
/// A larger file counts as absent.
const MAX_FILE_SIZE: u64 = 4096;
/// Afterwards, processes use their whole timeout again: a sink that works but is slow does not respond to short attempts.
const OUTAGE_TTL: Duration = Duration::from_secs(600);

impl Spool {
    /// Returns true if a process has recorded not long ago that the sink is down.
    pub(crate) fn is_sink_down(&self, now: Moment) -> bool {
        let folder = self.state_dir.existing_folder(FOLDER);
        let bytes =
            folder.and_then(|folder| folder.read(&self.outage_file(), MAX_FILE_SIZE).ok()?);
        bytes
            .and_then(|bytes| decode(&bytes, &self.sink))
            .and_then(|at| now.unix_millis().checked_sub(at))
            .is_some_and(|age| Duration::from_millis(age) < OUTAGE_TTL)
    }

    /// Records that the sink is down.
    pub(crate) fn record_outage(&self, now: Moment) {
        let Some(folder) = self.state_dir.folder(FOLDER) else { return };
        let text = encode(&self.sink, now.unix_millis());
        if let Err(error) = self.disk.replace(&folder, &self.outage_file(), text.as_bytes()) {
            log::debug(format_args!("cannot record that {} is down: {error}", self.sink));
        }
    }

    /// Removes the record, because the sink has responded.
    pub(crate) fn remove_outage(&self) {
        if let Some(folder) = self.state_dir.existing_folder(FOLDER) {
            // A record that cannot be removed expires.
            let _ = self.disk.remove(&folder, &self.outage_file());
        }
    }

    fn outage_file(&self) -> String {
        format!("{:02x}.outage", checksum_of(&[self.sink.as_bytes()]) % MAX_FILES)
    }
}

pub(super) fn encode(sink: &str, recorded_at: u64) -> String {
    format!("{VERSION}\n{sink}\n{recorded_at}\n")
}

/// Returns when the outage of this sink was recorded.
pub(super) fn decode(bytes: &[u8], sink: &str) -> Option<u64> {
    let text = std::str::from_utf8(bytes).ok()?;
    let at = text.strip_prefix(VERSION)?.strip_prefix('\n')?.strip_prefix(sink)?;
    at.strip_prefix('\n')?.strip_suffix('\n')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::tests::TempStateDir;
    use super::*;

    #[test]
    fn outage_is_visible_to_other_processes_until_it_is_removed() {
        let (state, now) = (TempStateDir::new(), Moment::now());
        let (spool, other) = (state.spool_for("here"), state.spool_for("there"));
        assert!(!spool.is_sink_down(now));
        spool.record_outage(now);
        assert!(state.spool_for("here").is_sink_down(now.after(OUTAGE_TTL / 2)));
        assert!(!other.is_sink_down(now));
        state.spool_for("here").remove_outage();
        assert!(!spool.is_sink_down(now));
    }

    #[test]
    fn outage_in_the_future_or_long_ago_counts_as_absent() {
        let (state, now) = (TempStateDir::new(), Moment::now());
        let spool = state.spool_for("here");
        spool.record_outage(now);
        for step in [OUTAGE_TTL, Duration::from_secs(400 * 24 * 3_600)] {
            assert!(!spool.is_sink_down(now.after(step)), "{step:?} later");
            assert!(!spool.is_sink_down(now.with_wall_clock_back(step)), "{step:?} earlier");
        }
    }

    #[test]
    fn corrupt_outage_counts_as_absent() {
        let (state, now) = (TempStateDir::new(), Moment::now());
        let spool = state.spool_for("here");
        spool.record_outage(now);
        let path = state.0.join(FOLDER).join(spool.outage_file());
        let whole = std::fs::read(&path).unwrap();
        let newer = String::from_utf8(whole.clone()).unwrap().replace("outage 1", "outage 2");
        let out_of_range = format!("{VERSION}\nhere\n{}\n", u128::MAX);
        let huge = vec![b'1'; 1 << 20];
        let mut corrupt = vec![newer.into_bytes(), out_of_range.into_bytes(), huge, vec![0xff; 9]];
        corrupt.extend((0..whole.len()).map(|length| whole[..length].to_vec()));
        for bytes in corrupt {
            std::fs::write(&path, &bytes).unwrap();
            assert!(!spool.is_sink_down(now), "{} bytes", bytes.len());
        }
        std::fs::write(&path, whole).unwrap();
        assert!(spool.is_sink_down(now));
    }

    #[test]
    fn number_of_outage_files_is_limited() {
        let state = TempStateDir::new();
        for number in 0..500 {
            state.spool_for(&format!("http://gateway-{number}")).record_outage(Moment::now());
        }
        let files = std::fs::read_dir(state.0.join(FOLDER)).unwrap().count();
        assert!(files as u128 <= MAX_FILES, "{files}");
    }
}
