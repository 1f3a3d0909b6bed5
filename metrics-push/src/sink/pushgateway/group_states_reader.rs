//! `GroupStatesReader`: reads the states of groups from a listing.
//!
//! A job must stay small, and a gateway may store more than fits into its memory. Only the names of all families and the
//! values of those about runs are read. If not all groups fit, only those that were asked for are stored.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::listing::{Listing, Visitor};
use super::query_api::{grouping_key, invalid_response, parse_labels, parse_single_value};
use crate::clock::Moment;
use crate::error::Error;
use crate::labels::GroupingKey;
use crate::push_request::is_outcome_family;
use crate::sink::group_states::{GroupState, GroupStates, PUSH_TIME};

/// The maximum size of a value that is read: of the labels of a group, or of a family about runs.
const MAX_VALUE_SIZE: usize = 64 * 1024;

/// The maximum size of all groups in memory, and of one group that is being read.
const MAX_STATES_SIZE: usize = 4 * 1024 * 1024;

/// The approximate size of an entry without its name.
const ENTRY_SIZE: usize = 64;

/// Collects the groups of a listing.
#[derive(Debug)]
pub(super) struct GroupStatesReader {
    states: GroupStates,
    size: usize,
    labels: Option<BTreeMap<String, String>>,
    state: GroupState,
    state_size: usize,
}

impl GroupStatesReader {
    pub(super) fn listing(asked: BTreeSet<GroupingKey>) -> Listing<Self> {
        let started = Moment::now();
        let states = GroupStates { started, asked, is_complete: true, groups: HashMap::new() };
        let (state, labels) = (GroupState::default(), None);
        Listing::new(Self { states, size: 0, labels, state, state_size: 0 })
    }

    pub(super) fn into_states(self) -> GroupStates {
        self.states
    }

    /// Drops the groups that were not asked for.
    fn shrink(&mut self) {
        let asked = &self.states.asked;
        self.states.groups.retain(|key, _| asked.contains(key));
        self.states.is_complete = false;
    }
}

impl Visitor for GroupStatesReader {
    fn max_size(&self, name: &str) -> usize {
        let is_read = name == "labels" || name == PUSH_TIME || is_outcome_family(name);
        if is_read { MAX_VALUE_SIZE } else { 0 }
    }

    fn member(&mut self, name: String, value: &[u8]) -> Result<(), Error> {
        self.state_size += name.len() + ENTRY_SIZE;
        if self.state_size > MAX_STATES_SIZE {
            return Err(invalid_response());
        }
        if name == "labels"
            && let Some(labels) = parse_labels(value)
        {
            self.labels = Some(labels);
        } else if name != "last_push_successful" {
            self.state.values.insert(name, parse_single_value(value));
        }
        Ok(())
    }

    fn end_group(&mut self) -> Result<(), Error> {
        let (state, size) = (std::mem::take(&mut self.state), std::mem::take(&mut self.state_size));
        let Some(key) = self.labels.take().and_then(|labels| grouping_key(&labels)) else {
            return Ok(());
        };
        if self.states.asked.contains(&key) {
            self.states.groups.insert(key, state);
        } else if self.states.is_complete {
            self.size += size;
            self.states.groups.insert(key, state);
            if self.size > MAX_STATES_SIZE {
                self.shrink();
            }
        }
        Ok(())
    }
}

/// Parses a whole response.
#[cfg(test)]
pub(crate) fn parse_states(text: &str) -> Result<GroupStates, Error> {
    let mut listing = GroupStatesReader::listing(BTreeSet::new());
    let _ = listing.read(text.as_bytes());
    listing.finish().map(GroupStatesReader::into_states)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(job: &str) -> GroupingKey {
        GroupingKey::new(job).unwrap()
    }

    fn group(job: &str) -> String {
        format!(
            r#"{{"batch_job_info":{{"type":"GAUGE","metrics":[
                {{"labels":{{"job":"{job}","version":"1"}},"value":"1"}},
                {{"labels":{{"job":"{job}","version":"2"}},"value":"1"}}]}},
            "batch_job_pushed_at_timestamp_seconds":{{"type":"GAUGE","metrics":[
                {{"labels":{{"job":"{job}"}},"value":"1.5e9"}}]}},
            "labels":{{"instance":"","job":"{job}"}},"last_push_successful":true,
            "push_time_seconds":{{"type":"GAUGE","metrics":[{{"labels":{{"job":"{job}"}},"value":"7"}}]}},
            "rows":{{"type":"GAUGE","metrics":[{{"labels":{{"job":"{job}"}},"value":"8"}}]}}}}"#
        )
    }

    fn read(asked: &[&str], parts: impl Iterator<Item = String>) -> Result<GroupStates, Error> {
        let mut listing = GroupStatesReader::listing(asked.iter().map(|job| key(job)).collect());
        for part in parts {
            if listing.read(part.as_bytes()).is_break() {
                break;
            }
        }
        listing.finish().map(GroupStatesReader::into_states)
    }

    #[test]
    fn state_has_all_names_and_the_single_values_of_runs() {
        let states = parse_states(&format!(r#"{{"data":[{}]}}"#, group("a"))).unwrap();
        let state = states.get(&key("a")).unwrap();
        assert_eq!(state.value("batch_job_pushed_at_timestamp_seconds"), Some(1.5e9));
        assert_eq!((state.pushed_at(), state.has_no_accepted_push()), (Some(7.0), false));
        for (name, has_family) in [("rows", true), ("batch_job_info", true), ("labels", false)] {
            assert_eq!((state.has_family(name), state.value(name)), (has_family, None), "{name}");
        }
        assert!(states.is_answer(&key("b"), None) && states.get(&key("b")).is_none());
    }

    #[test]
    fn states_beyond_the_limit_contain_only_the_requested_groups() {
        const GROUPS: usize = 20_000;
        let start = std::iter::once(r#"{"data":["#.to_owned());
        let groups = (0..GROUPS).map(|number| {
            let end = if number + 1 == GROUPS { "]}" } else { "," };
            format!("{}{end}", group(&format!("job_{number}")))
        });
        let asked = ["job_0", "job_19999", "missing"];
        let states = read(&asked, start.chain(groups)).unwrap();
        assert_eq!(states.groups.len(), 2);
        for job in asked {
            assert!(states.is_answer(&key(job), None), "{job}");
        }
        assert!(states.get(&key("missing")).is_none());
        assert!(!states.is_answer(&key("job_1"), None));
    }

    #[test]
    fn states_of_an_earlier_query_are_not_an_answer() {
        let before = Moment::now();
        let states = parse_states(r#"{"data":[]}"#).unwrap();
        assert!(states.is_answer(&key("a"), Some(before)));
        let later = Moment::now().after(std::time::Duration::from_secs(1));
        assert!(!states.is_answer(&key("a"), Some(later)));
    }

    #[test]
    fn endless_response_ends_within_the_bound() {
        let endless = |start: &str, item: &str| {
            let items = std::iter::repeat_n(item.repeat(10_000), 1_000);
            let response = std::iter::once(start.to_owned()).chain(items);
            let mut listing = GroupStatesReader::listing(BTreeSet::from([key("a")]));
            for part in response {
                if listing.read(part.as_bytes()).is_break() {
                    break;
                }
            }
            listing
        };
        for (start, item) in [
            (r#"{"data":["#, "0,"),
            (r#"{"data":["#, "[[],"),
            (r#"{"data":[{"#, r#""x":0,"#),
            ("", "["),
            ("", "<p>"),
        ] {
            assert!(endless(start, item).finish().is_err(), "{start}{item}");
        }
        let empty = endless(r#"{"data":["#, "{},");
        assert!(empty.finish().is_err(), "the list is incomplete");
    }
}
