//! Records on disk that a sink is down, so that other processes do not wait for it.
//!
//! The content of the file is the time in milliseconds since the Unix epoch. A record that is expired or in the future counts
//! as absent: the worst result is one more wait.

use std::time::Duration;

use super::Spool;
use super::sink_file::SinkFile;
use crate::clock::Moment;

const FILE: SinkFile =
    SinkFile { folder: "outages", extension: "outage", version: "metrics-push outage 1" };

/// Afterwards, processes use their whole timeout again: a sink that works but is slow does not respond to short attempts.
const OUTAGE_TTL: Duration = Duration::from_secs(600);

impl Spool {
    /// Returns true if a process has recorded not long ago that the sink is down.
    pub(crate) fn is_sink_down(&self, now: Moment) -> bool {
        let recorded_at = FILE.read(self).and_then(|content| content.parse().ok());
        recorded_at
            .and_then(|at| now.unix_millis().checked_sub(at))
            .is_some_and(|age| Duration::from_millis(age) < OUTAGE_TTL)
    }

    /// Records that the sink is down.
    pub(crate) fn record_outage(&self, now: Moment) {
        FILE.write(self, &now.unix_millis().to_string());
    }

    /// Removes the record, because the sink has responded.
    pub(crate) fn remove_outage(&self) {
        FILE.remove(self);
    }
}

/// Returns when the outage of this sink was recorded.
#[cfg(any(test, fuzzing))]
pub(super) fn decode(bytes: &[u8], sink: &str) -> Option<u64> {
    FILE.decode(bytes, sink)?.parse().ok()
}

#[cfg(any(test, fuzzing))]
pub(super) fn encode(sink: &str, recorded_at: u64) -> String {
    FILE.encode(sink, &recorded_at.to_string())
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
        let path = state.0.join(FILE.folder).join(FILE.name(&spool));
        let whole = std::fs::read(&path).unwrap();
        let newer = String::from_utf8(whole.clone()).unwrap().replace("outage 1", "outage 2");
        let out_of_range = format!("{}\nhere\n{}\n", FILE.version, u128::MAX);
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
}
