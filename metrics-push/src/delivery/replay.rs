//! Replay: what an old parcel may still change in a group that has moved on without it. Pure.
//!
//! A parcel that waited may be older than what the gateway holds: another process has pushed meanwhile, or the gateway
//! has applied what it seemed to have lost. What is newer stays. An instant (`batch_job_*_timestamp_seconds`) only
//! moves forward; the other families of a newer run are left as they are, and what it did not push is added.

use crate::parcel::{Parcel, Verb, tells_outcome};
use crate::sink::listing::StoredGroup;

/// When what a group holds was made, by its client's clock.
const MADE: &str = "batch_job_pushed_at_timestamp_seconds";

/// What is left of a parcel that has waited; `None`, if the group has all of it, or newer.
pub(super) fn what_is_news(waited: Parcel, group: &StoredGroup) -> Option<Parcel> {
    let has_moved_on = has_moved_on(&waited, group);
    let is_behind = |name: &str, text: &str| {
        let stored = group.value(name, &[]);
        is_instant(name) && stored.zip(value(text)).is_some_and(|(stored, ours)| ours < stored)
    };
    if !has_moved_on && !waited.families().iter().any(|(name, text)| is_behind(name, text)) {
        return Some(waited);
    }
    if waited.verb() == Verb::Delete {
        return None;
    }
    waited.adding_only(|name, text| {
        if is_instant(name) {
            !is_behind(name, text)
        } else if has_moved_on {
            // What tells of "the last run" would tell of one that was not the last.
            !tells_outcome(name) && !group.families.contains_key(name)
        } else {
            true
        }
    })
}

fn has_moved_on(waited: &Parcel, group: &StoredGroup) -> bool {
    match (waited.families().get(MADE).and_then(|text| value(text)), group.value(MADE, &[])) {
        (Some(ours), Some(stored)) => stored > ours,
        // Nobody's clock but the gateway's tells of metrics that are not a run's.
        _ => group.pushed_at().is_some_and(|pushed_at| {
            #[expect(clippy::cast_precision_loss, reason = "a time in milliseconds fits")]
            let made = waited.made() as f64 / 1_000.0;
            pushed_at > made
        }),
    }
}

fn is_instant(name: &str) -> bool {
    tells_outcome(name) && name.ends_with("_timestamp_seconds")
}

/// The value of a family with one sample.
pub(super) fn value(text: &str) -> Option<f64> {
    text.trim_end().rsplit(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::labels::GroupingKey;
    use crate::parcel::Families;
    use crate::sink::listing;

    const SUCCESS: &str = "batch_job_last_success_timestamp_seconds";
    const FAILURE: &str = "batch_job_last_failure_timestamp_seconds";
    const FLAG: &str = "batch_job_last_run_success";

    fn parcel(verb: Verb, made: u64, families: &[(&str, f64)]) -> Parcel {
        let families: Families = families
            .iter()
            .map(|(name, value)| {
                ((*name).to_owned(), format!("# TYPE {name} gauge\n{name} {value}\n"))
            })
            .collect();
        Parcel::made_at(made * 1_000, verb, GroupingKey::new("job").unwrap(), families)
    }

    fn group(families: &[(&str, f64)]) -> StoredGroup {
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
        listing::parse(&text).unwrap().remove(0)
    }

    fn names(parcel: &Parcel) -> Vec<&str> {
        parcel.families().keys().map(String::as_str).collect()
    }

    #[test]
    fn what_is_newer_than_the_group_goes_as_it_is() {
        let waited = parcel(Verb::Push, 20, &[(MADE, 20.0), (SUCCESS, 20.0), (FLAG, 1.0)]);
        let group = group(&[(MADE, 10.0), (FAILURE, 10.0), (FLAG, 0.0)]);
        assert_eq!(what_is_news(waited.clone(), &group), Some(waited));
    }

    #[test]
    fn a_success_never_moves_back_a_later_one() {
        let waited = parcel(Verb::Push, 10, &[(MADE, 10.0), (SUCCESS, 10.0), (FLAG, 1.0)]);
        let group = group(&[(MADE, 20.0), (SUCCESS, 20.0), (FLAG, 1.0)]);
        assert_eq!(what_is_news(waited, &group), None);
    }

    #[test]
    fn a_success_before_a_failure_is_still_the_last_success() {
        let waited = parcel(Verb::Push, 10, &[(MADE, 10.0), (SUCCESS, 10.0), (FLAG, 1.0)]);
        let group = group(&[(MADE, 20.0), (SUCCESS, 5.0), (FAILURE, 20.0), (FLAG, 0.0)]);
        let news = what_is_news(waited, &group).unwrap();
        assert_eq!((news.verb(), names(&news)), (Verb::Add, vec![SUCCESS]));
    }

    #[test]
    fn a_failure_before_a_success_is_still_the_last_failure() {
        let waited = parcel(Verb::Add, 10, &[(MADE, 10.0), (FAILURE, 10.0), (FLAG, 0.0)]);
        let group = group(&[(MADE, 20.0), (SUCCESS, 20.0), (FLAG, 1.0)]);
        assert_eq!(names(&what_is_news(waited, &group).unwrap()), [FAILURE]);
    }

    #[test]
    fn a_merged_parcel_does_not_hide_what_came_between() {
        // Made at 10 and added to at 30, while another process pushed at 20.
        let waited = parcel(Verb::Push, 30, &[(MADE, 30.0), (SUCCESS, 10.0), (FAILURE, 30.0)]);
        let group = group(&[(MADE, 20.0), (SUCCESS, 20.0)]);
        let news = what_is_news(waited, &group).unwrap();
        assert_eq!((news.verb(), names(&news)), (Verb::Add, vec![FAILURE, MADE]));
    }

    #[test]
    fn metrics_that_are_not_a_runs_go_by_the_gateways_clock() {
        let waited = |made| parcel(Verb::Push, made, &[("rows", 1.0), ("bytes", 2.0)]);
        let group = group(&[("push_time_seconds", 15.0), ("rows", 3.0)]);
        assert_eq!(what_is_news(waited(20), &group), Some(waited(20)));
        assert_eq!(names(&what_is_news(waited(10), &group).unwrap()), ["bytes"]);
    }

    #[test]
    fn a_group_that_has_moved_on_is_not_deleted() {
        let group = group(&[("push_time_seconds", 15.0), ("rows", 3.0)]);
        assert_eq!(what_is_news(parcel(Verb::Delete, 10, &[]), &group), None);
        assert!(what_is_news(parcel(Verb::Delete, 20, &[]), &group).is_some());
    }
}
