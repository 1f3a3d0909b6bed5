//! Checks the reader of journals with arbitrary bytes.

use super::line::{Line, parse};

/// Parses a journal. The runs that it contains have the same meaning after they are written again.
///
/// # Panics
/// If the reader is wrong.
pub fn journal(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok(contents) = parse(&text) else { return };
    let mut again = Line::Header(contents.header.clone()).to_text();
    for run in &contents.runs {
        again += &Line::Started(run.id, run.started.clone()).to_text();
        if let Some(finished) = &run.finished {
            again += &Line::Finished(run.id, finished.clone()).to_text();
        }
        if let Some(at) = run.found_at {
            again += &Line::Abandoned(run.id, at).to_text();
        }
    }
    // NaN differs from itself, so the texts are compared.
    let read_again = parse(&again);
    assert_eq!(format!("{read_again:?}"), format!("{:?}", Ok::<_, ()>(contents)));
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::option;
    use proptest::prelude::*;

    use super::super::line::{Finished, Header, Started};
    use super::*;
    use crate::finished_run::{FailedStage, RecordCounts};
    use crate::job::completion::Cause;
    use crate::job::run_metrics::Expectations;
    use crate::job::spec::Extent;
    use crate::job::timing::Timing;
    use crate::labels::GroupingKey;
    use crate::outcome::Outcome;

    /// Durations are written in seconds. Quarters of a second have an exact form.
    fn any_duration() -> impl Strategy<Value = Option<Duration>> {
        option::of((0..1_u64 << 32).prop_map(|quarters| Duration::from_millis(quarters * 250)))
    }

    fn any_timing() -> impl Strategy<Value = Option<Timing<'static>>> {
        let schedule = (".*", ".*").prop_map(|(expression, timezone)| {
            Some(Timing::Schedule { expression: expression.into(), timezone: timezone.into() })
        });
        prop_oneof![schedule, any_duration().prop_map(|interval| interval.map(Timing::Every))]
    }

    fn any_started() -> impl Strategy<Value = Started> {
        let labels = proptest::collection::btree_map("[a-z]{1,3}x", ".+", 0..4);
        let sinks = proptest::collection::vec(".*", 0..3);
        let thresholds = (any::<Option<u32>>(), any::<Option<u32>>());
        let durations = (any_duration(), any_duration(), any_duration());
        let expected = (any_timing(), durations, thresholds, ".*").prop_map(
            |(timing, (grace, max_runtime, heartbeat), thresholds, version)| Expectations {
                timing,
                grace,
                max_runtime,
                heartbeat,
                failure_threshold: thresholds.0,
                recovery_threshold: thresholds.1,
                version: version.into(),
            },
        );
        let extent = prop_oneof![Just(Extent::Task), Just(Extent::Process)];
        (".+", labels, sinks, 0.0..1e12, extent, expected).prop_map(
            |(job, labels, sinks, at, extent, expected): (_, _, _, f64, _, _)| {
                let key = labels
                    .into_iter()
                    .fold(GroupingKey::new(job).unwrap(), |key, (n, v)| key.label(n, v).unwrap());
                let run = format!("{:016x}", at.to_bits());
                Started { run, key, sinks, at, extent, expected }
            },
        )
    }

    fn any_finished() -> impl Strategy<Value = Finished> {
        let outcome = proptest::sample::select(Outcome::ALL.to_vec());
        let cause =
            (outcome, option::of(any::<i32>()), option::of(any::<i32>()), any::<Option<bool>>());
        let records =
            option::of((any::<u64>(), any::<u64>(), any::<u64>()).prop_map(
                |(processed, failed, skipped)| RecordCounts { processed, failed, skipped },
            ));
        let texts = (option::of((".*", any::<bool>())), option::of(".*"));
        (cause, 0.0..1e12, any_duration(), records, texts).prop_map(
            |((outcome, exit_code, signal, core_dumped), at, duration, records, texts)| {
                let (failed_stage, reason) = texts;
                let failed_stage =
                    failed_stage.map(|(name, has_ended)| FailedStage { name, has_ended });
                let cause = Cause { outcome, exit_code, signal, core_dumped };
                Finished { cause, at, duration, records, failed_stage, reason }
            },
        )
    }

    proptest! {
        #[test]
        fn parsed_journal_equals_any_written_run(
            process: u32,
            id: u64,
            boot in ".*",
            supervisor in option::of(".*"),
            started in any_started(),
            finished in option::of(any_finished()),
            found_at in option::of(0.0..1e12),
        ) {
            let header = Header { process, boot, supervisor };
            let mut text = Line::Header(header.clone()).to_text();
            text += &Line::Started(id, started.clone()).to_text();
            text.extend(finished.clone().map(|finished| Line::Finished(id, finished).to_text()));
            text.extend(found_at.map(|at| Line::Abandoned(id, at).to_text()));
            let contents = parse(&text).unwrap();
            prop_assert_eq!(contents.header, header);
            let [run] = &contents.runs[..] else { panic!("{contents:?}", contents = contents.runs) };
            prop_assert_eq!((run.id, &run.started), (id, &started));
            prop_assert_eq!((&run.finished, run.found_at), (&finished, found_at));
        }
    }
}
