//! Report: what is said of a run whose process died, given what the gateway holds of its job.
//!
//! What the gateway has been told is not told again, and nothing that is newer moves back.

use super::Outcome;
use super::ending::Ending;
use super::entry::Known;
use super::facts::{self, Progress};
use crate::labels::GroupingKey;
use crate::metrics::Snapshot;
use crate::push_request::{Families, encode};
use crate::sink::pushgateway::StoredGroup;

/// What a group says of the runs before.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Held {
    start: Option<f64>,
    /// The run that started then has ended.
    is_over: bool,
    success: Option<f64>,
    failure: Option<f64>,
    abandoned: Option<f64>,
}

impl Held {
    /// What these groups say of the one with this key.
    pub(super) fn of(groups: &[StoredGroup], key: &GroupingKey) -> Self {
        let Some(group) = groups.iter().find(|group| group.has_key(key)) else {
            return Self::default();
        };
        let value = |name: &str| group.value(name, &[]);
        let holds = |outcome: Outcome| {
            group.value(facts::OUTCOME, &[("outcome", outcome.as_str())]) > Some(0.0)
        };
        Self {
            start: value(facts::LAST_START),
            is_over: Outcome::ALL.into_iter().any(holds),
            success: value(facts::LAST_SUCCESS),
            failure: value(facts::LAST_FAILURE),
            abandoned: value(facts::LAST_ABANDONED),
        }
    }
}

/// What is to be said of a run that was `found`; nothing, if all is known. `is_outdated`: others know of a newer run.
pub(super) fn of(run: &Known, found: f64, is_outdated: bool, held: Option<&Held>) -> Families {
    let started = run.opened.started;
    if held.is_some_and(|held| held.start == Some(started) && held.is_over) {
        return Families::default();
    }
    let ending = match &run.ended {
        Some(ended) => {
            Ending { duration: ended.duration, ..Ending::at(ended.cause, started, ended.at) }
        }
        None => Ending::at(Outcome::Abandoned.into(), started, found),
    };
    let is_outdated = is_outdated || held.is_some_and(|held| held.start > Some(started));
    let mut said = encode(&match (is_outdated, held) {
        (false, _) => facts::at_end(&run.opened.expected, &Progress::default(), &ending),
        (true, held) => what_stays(&ending, held.is_some()),
    });
    let held = held.copied().unwrap_or_default();
    for (name, instant) in [
        (facts::LAST_SUCCESS, held.success),
        (facts::LAST_FAILURE, held.failure),
        (facts::LAST_ABANDONED, held.abandoned),
    ] {
        if instant >= Some(ending.ended) {
            said.remove(name);
        }
    }
    said
}

/// What is worth knowing of a run once there is a newer one. Who does not know what the gateway holds may move a success or
/// a failure back; that a run was abandoned, nobody else says.
fn what_stays(ending: &Ending, is_known: bool) -> Snapshot {
    let mut snapshot = Snapshot::default();
    match ending.cause.outcome {
        Outcome::Abandoned => facts::abandoned(&mut snapshot, ending),
        Outcome::Success if is_known => facts::success(&mut snapshot, ending),
        Outcome::Success | Outcome::Skipped => {}
        _ if is_known => facts::failure(&mut snapshot, ending),
        _ => {}
    }
    snapshot
}

#[cfg(test)]
mod tests {
    use super::super::entry::{Ended, Opened};
    use super::super::facts::Expectations;
    use super::super::{Extent, Job};
    use super::*;

    /// A run that started at 10 and, unless it is open, ended like this at 11.
    fn run(outcome: Option<Outcome>) -> Known {
        let opened = Opened {
            key: GroupingKey::new("job").unwrap(),
            sinks: Vec::new(),
            started: 10.0,
            extent: Extent::Process,
            expected: Expectations::of(&Job::new("job")),
        };
        let ended = |outcome: Outcome| Ended { cause: outcome.into(), at: 11.0, duration: None };
        Known { id: 0, opened, ended: outcome.map(ended), found: None }
    }

    fn said(run: &Known, is_outdated: bool, held: Option<Held>) -> Vec<String> {
        of(run, 20.0, is_outdated, held.as_ref()).into_keys().collect()
    }

    #[test]
    fn what_the_gateway_knows_is_not_said_again() {
        let held = Held { start: Some(10.0), is_over: true, ..Held::default() };
        for ended in [None, Some(Outcome::Success), Some(Outcome::Error)] {
            assert_eq!(said(&run(ended), false, Some(held)), Vec::<String>::new());
            let open = Held { is_over: false, ..held };
            assert!(said(&run(ended), false, Some(open)).contains(&facts::OUTCOME.to_owned()));
            let others = Held { start: Some(9.0), ..held };
            assert!(said(&run(ended), false, Some(others)).contains(&facts::OUTCOME.to_owned()));
        }
    }

    #[test]
    fn an_instant_that_is_older_than_the_one_that_is_held_is_left_out() {
        for (outcome, name) in
            [(Outcome::Success, facts::LAST_SUCCESS), (Outcome::Error, facts::LAST_FAILURE)]
        {
            for (instant, is_said) in [(10.5, true), (11.0, false), (11.5, false)] {
                let (success, failure) = (Some(instant), Some(instant));
                // An earlier start than this run's: it is the newest, and yet did not end last.
                let held = Held { start: Some(9.0), success, failure, ..Held::default() };
                let said = said(&run(Some(outcome)), false, Some(held));
                assert_eq!(said.contains(&name.to_owned()), is_said, "{outcome} {instant}");
                assert!(said.contains(&facts::OUTCOME.to_owned()));
            }
        }
        let held = Held { abandoned: Some(20.5), failure: Some(20.5), ..Held::default() };
        let said = said(&run(None), false, Some(held));
        assert!(!said.contains(&facts::LAST_ABANDONED.to_owned()), "{said:?}");
        assert!(!said.contains(&facts::LAST_FAILURE.to_owned()), "{said:?}");
    }

    #[test]
    fn of_an_outdated_run_only_its_own_instant_is_said() {
        let newer = Held { start: Some(12.0), is_over: true, ..Held::default() };
        for (ended, name) in [
            (None, Some(facts::LAST_ABANDONED)),
            (Some(Outcome::Success), Some(facts::LAST_SUCCESS)),
            (Some(Outcome::Panic), Some(facts::LAST_FAILURE)),
            (Some(Outcome::Skipped), None),
        ] {
            let expected: Vec<_> = name.map(str::to_owned).into_iter().collect();
            assert_eq!(said(&run(ended), false, Some(newer)), expected, "{ended:?}");
        }
        // A gateway that does not say what it holds may hold anything.
        assert_eq!(said(&run(None), true, None), [facts::LAST_ABANDONED]);
        assert_eq!(said(&run(Some(Outcome::Success)), true, None), Vec::<String>::new());
    }
}
