//! `RetainedTimes`: the newest times of runs that a relay has read, by group.
//!
//! Each message contains the times of earlier runs, because a compacted topic stores only the last message of a group. The
//! relay delivers those that it has not read before, so that a gateway is asked for its own times once per group.

use std::collections::HashMap;

use crate::exposition::single_value;
use crate::labels::GroupingKey;
use crate::push_request::{PushRequest, RETAINED_FAMILIES, Verb};

/// The maximum number of groups. Beyond it, all are forgotten, which costs queries.
const MAX_KNOWN_GROUPS: usize = 65_536;

type Times = [Option<f64>; RETAINED_FAMILIES.len()];

#[derive(Debug, Default)]
pub(super) struct RetainedTimes {
    groups: HashMap<GroupingKey, Times>,
}

impl RetainedTimes {
    /// Records the times of a request, and removes those of earlier runs that were read before.
    pub(super) fn remove_known(&mut self, request: &mut PushRequest) {
        if request.verb() == Verb::Delete {
            return self.forget(request.key());
        }
        if self.groups.len() >= MAX_KNOWN_GROUPS && !self.groups.contains_key(request.key()) {
            self.clear();
        }
        let known = self.groups.entry(request.key().clone()).or_default();
        let mut retained = request.take_retained();
        for (name, known) in RETAINED_FAMILIES.iter().zip(known) {
            let time = |text: &String| single_value(text);
            let earlier = retained.get(*name).and_then(time);
            if earlier <= *known {
                retained.remove(*name);
            }
            let own = request.families().get(*name).and_then(time);
            *known = [*known, earlier, own].into_iter().flatten().reduce(f64::max);
        }
        request.set_retained(retained);
    }

    /// Forgets the times of a group, because they were not delivered.
    pub(super) fn forget(&mut self, key: &GroupingKey) {
        self.groups.remove(key);
    }

    pub(super) fn clear(&mut self) {
        self.groups.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push_request::{Families, LAST_FAILURE, LAST_SUCCESS};

    fn families(times: &[(&str, f64)]) -> Families {
        times.iter().map(|(name, at)| ((*name).to_owned(), format!("{name} {at}\n"))).collect()
    }

    #[test]
    fn times_that_were_read_before_are_removed() {
        let mut known = RetainedTimes::default();
        let key = GroupingKey::new("job").unwrap();
        let mut left = |own: &[(&str, f64)], earlier: &[(&str, f64)]| {
            let mut request = PushRequest::add(key.clone(), families(own));
            request.set_retained(families(earlier));
            known.remove_known(&mut request);
            request.take_retained()
        };
        let earlier = [(LAST_SUCCESS, 1.0)];
        assert_eq!(left(&[(LAST_FAILURE, 2.0)], &earlier), families(&earlier));
        assert_eq!(left(&[(LAST_FAILURE, 3.0)], &earlier), families(&[]));
        let both = [(LAST_SUCCESS, 1.5), (LAST_FAILURE, 3.0)];
        assert_eq!(left(&[], &both), families(&both[..1]));
        known.forget(&key);
        let mut request = PushRequest::delete(key.clone());
        known.remove_known(&mut request);
        assert!(known.groups.is_empty());
    }
}
