//! Compares a spooled request with the group on the gateway and returns the part that is still newer. Without I/O.
//!
//! A spooled request may be older than the group: another process may have pushed, or the gateway may have applied a
//! request whose response was lost. Newer values are not replaced: the time of an event (`batch_job_*_timestamp_seconds`) only
//! increases, and of the other families only those are added that the newer run did not push.

use super::policy::MAX_CLOCK_SKEW;
use crate::clock::Moment;
use crate::exposition::single_value;
use crate::push_request::{LAST_START, PushRequest, Verb, is_event_time, is_outcome_family};
use crate::sink::GroupState;

/// When the last heartbeat or outcome of a group was pushed, by the client's clock.
const PUSHED_AT: &str = "batch_job_pushed_at_timestamp_seconds";

/// The largest age of the last success. A job with a schedule exports it with its successes only.
const SUCCESS_DEADLINE: &str = "batch_job_success_deadline_seconds";

/// The families that a start exports besides its time.
const EXPECTATIONS: [&str; 8] = [
    "batch_job_info",
    SUCCESS_DEADLINE,
    "batch_job_max_runtime_seconds",
    "batch_job_heartbeat_interval_seconds",
    "batch_job_next_run_timestamp_seconds",
    "batch_job_start_grace_seconds",
    "batch_job_failure_threshold",
    "batch_job_recovery_threshold",
];

/// Returns a timestamp of a group. `None` if it is in the future by the gateway's clock and by this one: it was recorded
/// while a clock was wrong, and must not hide the true ones.
pub(crate) fn past_timestamp(group: &GroupState, name: &str, now: Moment) -> Option<f64> {
    let now = group.pushed_at().map_or(now.unix_seconds(), |pushed| pushed.max(now.unix_seconds()));
    group.value(name).filter(|stored| *stored <= now + MAX_CLOCK_SKEW.as_secs_f64())
}

/// Returns the part of a spooled request that is newer than the group; `None` if no part is.
pub(super) fn keep_newer(
    spooled: PushRequest,
    group: &GroupState,
    now: Moment,
) -> Option<PushRequest> {
    let is_superseded = is_superseded(&spooled, group, now);
    let is_behind = |name: &str, text: &str| {
        let stored = past_timestamp(group, name, now);
        is_event_time(name)
            && stored.zip(single_value(text)).is_some_and(|(stored, ours)| ours < stored)
    };
    let has_newer_start =
        spooled.families().get(LAST_START).is_some_and(|text| is_behind(LAST_START, text));
    if !is_superseded && !spooled.families().iter().any(|(name, text)| is_behind(name, text)) {
        return Some(spooled);
    }
    if spooled.verb() == Verb::Delete {
        return None;
    }
    spooled.retain_as_add(|name, text| {
        if is_event_time(name) {
            !is_behind(name, text)
        } else if is_superseded {
            // A family about "the last run" would describe a run that was not the last one.
            let is_valid = !is_outcome_family(name) || name == SUCCESS_DEADLINE;
            is_valid && !group.has_family(name)
        } else {
            !(has_newer_start && EXPECTATIONS.contains(&name))
        }
    })
}

/// Returns true if the group has the outcome of an accepted request, or a later one: no timestamp is missing or older.
pub(super) fn has_outcome_of(accepted: &PushRequest, group: &GroupState) -> bool {
    accepted.families().iter().filter(|(name, _)| is_event_time(name)).all(|(name, text)| {
        let values = group.value(name).zip(single_value(text));
        values.is_some_and(|(stored, ours)| stored >= ours)
    })
}

/// Returns true if the group was pushed to after the request was created.
fn is_superseded(spooled: &PushRequest, group: &GroupState, now: Moment) -> bool {
    let pushed_at = spooled.families().get(PUSHED_AT).and_then(|text| single_value(text));
    match (pushed_at, past_timestamp(group, PUSHED_AT, now)) {
        (Some(ours), Some(stored)) => stored > ours,
        // Metrics that do not belong to a run have only the push time of the gateway's clock.
        _ => group.pushed_at().is_some_and(|pushed_at| {
            #[expect(clippy::cast_precision_loss, reason = "a time in milliseconds fits")]
            let created_at = spooled.created_at() as f64 / 1_000.0;
            pushed_at > created_at
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::labels::GroupingKey;
    use crate::push_request::Families;
    use crate::sink::pushgateway::parse_states;

    const SUCCESS: &str = "batch_job_last_success_timestamp_seconds";
    const FAILURE: &str = "batch_job_last_failure_timestamp_seconds";
    const FLAG: &str = "batch_job_last_run_success";

    fn request(verb: Verb, created_at: u64, families: &[(&str, f64)]) -> PushRequest {
        let families: Families = families
            .iter()
            .map(|(name, value)| {
                ((*name).to_owned(), format!("# TYPE {name} gauge\n{name} {value}\n"))
            })
            .collect();
        PushRequest::with_created_at(
            created_at * 1_000,
            verb,
            GroupingKey::new("job").unwrap(),
            families,
        )
    }

    fn group(families: &[(&str, f64)]) -> GroupState {
        let entries: BTreeMap<_, _> = families.iter().copied().collect();
        let entries = entries.iter().map(|(name, value)| {
            format!(
                r#","{name}":{{"type":"GAUGE","metrics":[{{"labels":{{"job":"job"}},"value":"{value}"}}]}}"#
            )
        });
        let text = format!(
            r#"{{"data":[{{"labels":{{"job":"job"}},"last_push_successful":true{}}}]}}"#,
            entries.collect::<String>()
        );
        parse_states(&text).unwrap().get(&GroupingKey::new("job").unwrap()).unwrap().clone()
    }

    fn keep_newer(spooled: PushRequest, group: &GroupState) -> Option<PushRequest> {
        super::keep_newer(spooled, group, Moment::now())
    }

    fn names(request: &PushRequest) -> Vec<&str> {
        request.families().keys().map(String::as_str).collect()
    }

    #[test]
    fn newer_request_is_not_changed() {
        let spooled = request(Verb::Push, 20, &[(PUSHED_AT, 20.0), (SUCCESS, 20.0), (FLAG, 1.0)]);
        let group = group(&[(PUSHED_AT, 10.0), (FAILURE, 10.0), (FLAG, 0.0)]);
        assert_eq!(keep_newer(spooled.clone(), &group), Some(spooled));
    }

    #[test]
    fn success_does_not_move_a_later_success_back() {
        let spooled = request(Verb::Push, 10, &[(PUSHED_AT, 10.0), (SUCCESS, 10.0), (FLAG, 1.0)]);
        let group = group(&[(PUSHED_AT, 20.0), (SUCCESS, 20.0), (FLAG, 1.0)]);
        assert_eq!(keep_newer(spooled, &group), None);
    }

    #[test]
    fn success_before_a_failure_stays_the_last_success() {
        let spooled = request(Verb::Push, 10, &[(PUSHED_AT, 10.0), (SUCCESS, 10.0), (FLAG, 1.0)]);
        let group = group(&[(PUSHED_AT, 20.0), (SUCCESS, 5.0), (FAILURE, 20.0), (FLAG, 0.0)]);
        let newer = keep_newer(spooled, &group).unwrap();
        assert_eq!((newer.verb(), names(&newer)), (Verb::Add, vec![SUCCESS]));
    }

    #[test]
    fn failure_before_a_success_stays_the_last_failure() {
        let spooled = request(Verb::Add, 10, &[(PUSHED_AT, 10.0), (FAILURE, 10.0), (FLAG, 0.0)]);
        let group = group(&[(PUSHED_AT, 20.0), (SUCCESS, 20.0), (FLAG, 1.0)]);
        assert_eq!(names(&keep_newer(spooled, &group).unwrap()), [FAILURE]);
    }

    #[test]
    fn timestamp_in_the_future_does_not_hide_a_later_run() {
        let now = Moment::now().unix_seconds();
        let future = now + 400.0 * 86_400.0;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time fits")]
        let created_at = now as u64 - 60;
        let spooled = request(
            Verb::Add,
            created_at,
            &[(PUSHED_AT, now - 60.0), (FAILURE, now - 60.0), (FLAG, 0.0)],
        );
        let stored =
            group(&[("push_time_seconds", now - 90.0), (PUSHED_AT, future), (FAILURE, future)]);
        assert_eq!(keep_newer(spooled.clone(), &stored), Some(spooled.clone()));
        // The clock of this machine may be behind that of the gateway.
        let stored =
            group(&[("push_time_seconds", future), (PUSHED_AT, future), (FAILURE, future)]);
        assert_eq!(keep_newer(spooled, &stored), None);
    }

    #[test]
    fn merged_request_does_not_hide_a_push_in_between() {
        // Created at 10 and merged at 30, while another process pushed at 20.
        let spooled =
            request(Verb::Push, 30, &[(PUSHED_AT, 30.0), (SUCCESS, 10.0), (FAILURE, 30.0)]);
        let group = group(&[(PUSHED_AT, 20.0), (SUCCESS, 20.0)]);
        let newer = keep_newer(spooled, &group).unwrap();
        assert_eq!((newer.verb(), names(&newer)), (Verb::Add, vec![FAILURE, PUSHED_AT]));
    }

    #[test]
    fn late_success_does_not_move_the_next_run_back_and_brings_its_deadline() {
        const NEXT_RUN: &str = "batch_job_next_run_timestamp_seconds";
        let late = [(PUSHED_AT, 10.0), (SUCCESS, 10.0), (NEXT_RUN, 15.0), (SUCCESS_DEADLINE, 9.0)];
        let spooled = request(Verb::Push, 10, &late);
        let future = Moment::now().unix_seconds() + 86_400.0;
        let failed = [(PUSHED_AT, 20.0), (FAILURE, 20.0), (NEXT_RUN, future)];
        let newer = keep_newer(spooled.clone(), &group(&failed)).unwrap();
        assert_eq!(names(&newer), [SUCCESS, SUCCESS_DEADLINE]);
        // The group has the deadline of another success.
        let failed = group(&[&failed[..], &[(SUCCESS_DEADLINE, 8.0)]].concat());
        assert_eq!(names(&keep_newer(spooled, &failed).unwrap()), [SUCCESS]);
    }

    #[test]
    fn earlier_next_run_of_a_newer_request_is_not_left_out() {
        let next_run = |at| ("batch_job_next_run_timestamp_seconds", at);
        let spooled = request(Verb::Add, 20, &[(PUSHED_AT, 20.0), next_run(30.0)]);
        let group = group(&[(PUSHED_AT, 10.0), next_run(40.0)]);
        assert_eq!(keep_newer(spooled.clone(), &group), Some(spooled));
    }

    #[test]
    fn outcome_before_a_newer_start_leaves_what_the_start_exports() {
        let spooled = [(LAST_START, 9.0), (PUSHED_AT, 10.0), (FLAG, 0.0), (EXPECTATIONS[2], 60.0)];
        let group = group(&[(LAST_START, 11.0), (PUSHED_AT, 5.0), (EXPECTATIONS[2], 90.0)]);
        let newer = keep_newer(request(Verb::Add, 10, &spooled), &group).unwrap();
        assert_eq!(names(&newer), [FLAG, PUSHED_AT]);
    }

    #[test]
    fn group_with_an_older_or_missing_timestamp_lacks_the_outcome() {
        let accepted = request(Verb::Add, 20, &[(PUSHED_AT, 20.0), (FAILURE, 20.0), (FLAG, 0.0)]);
        for (stored, has_outcome) in [
            (&[(PUSHED_AT, 20.0), (FAILURE, 20.0), (FLAG, 0.0)][..], true),
            // A newer run succeeded.
            (&[(PUSHED_AT, 21.0), (FAILURE, 20.0), (SUCCESS, 21.0), (FLAG, 1.0)], true),
            (&[(PUSHED_AT, 19.0), (FAILURE, 20.0), (FLAG, 0.0)], false),
            (&[(PUSHED_AT, 21.0)], false),
            (&[], false),
        ] {
            assert_eq!(has_outcome_of(&accepted, &group(stored)), has_outcome, "{stored:?}");
        }
    }

    #[test]
    fn other_metrics_are_compared_by_the_gateway_s_clock() {
        let spooled =
            |created_at| request(Verb::Push, created_at, &[("rows", 1.0), ("bytes", 2.0)]);
        let group = group(&[("push_time_seconds", 15.0), ("rows", 3.0)]);
        assert_eq!(keep_newer(spooled(20), &group), Some(spooled(20)));
        assert_eq!(names(&keep_newer(spooled(10), &group).unwrap()), ["bytes"]);
    }

    #[test]
    fn delete_is_dropped_if_the_group_was_pushed_to_since() {
        let group = group(&[("push_time_seconds", 15.0), ("rows", 3.0)]);
        assert_eq!(keep_newer(request(Verb::Delete, 10, &[]), &group), None);
        assert!(keep_newer(request(Verb::Delete, 20, &[]), &group).is_some());
    }
}
