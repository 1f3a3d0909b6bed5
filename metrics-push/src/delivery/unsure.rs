//! `UnsureRequests`: the requests of a route that may have arrived although their response did not.
//!
//! A sink that hung may apply such a request after one that it has answered, and so replace an outcome. An outcome that
//! one of these requests would change is therefore confirmed: see [`Delivery`](super::Delivery).

use std::collections::VecDeque;

use crate::labels::GroupingKey;
use crate::push_request::PushRequest;

/// The maximum number of requests. The oldest one is forgotten first.
const MAX_REQUESTS: usize = 4_096;

#[derive(Debug, Default)]
pub(super) struct UnsureRequests(VecDeque<PushRequest>);

impl UnsureRequests {
    pub(super) fn record(&mut self, request: PushRequest) {
        if self.0.contains(&request) {
            return;
        }
        if self.0.len() == MAX_REQUESTS {
            self.0.pop_front();
        }
        self.0.push_back(request);
    }

    pub(super) fn has_group(&self, key: &GroupingKey) -> bool {
        self.0.iter().any(|unsure| unsure.key() == key)
    }

    /// Returns true if the sink may still apply a request that changes the effect of `accepted`.
    pub(super) fn may_change(&self, accepted: &PushRequest) -> bool {
        self.0.iter().any(|unsure| unsure.key() == accepted.key() && !unsure.commutes(accepted))
    }

    /// Forgets the requests of a group.
    pub(super) fn forget(&mut self, key: &GroupingKey) {
        self.0.retain(|unsure| unsure.key() != key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push_request::Families;

    fn families(values: &[(&str, u32)]) -> Families {
        values.iter().map(|(name, v)| ((*name).to_owned(), format!("{name} {v}\n"))).collect()
    }

    fn key(name: &str) -> GroupingKey {
        GroupingKey::new(name).unwrap()
    }

    fn add(values: &[(&str, u32)]) -> PushRequest {
        PushRequest::add(key("job"), families(values))
    }

    fn push(values: &[(&str, u32)]) -> PushRequest {
        PushRequest::push(key("job"), families(values))
    }

    #[test]
    fn late_request_with_other_content_may_change_an_outcome() {
        for (late, accepted, may_change) in [
            (add(&[("start", 1)]), push(&[("start", 1), ("end", 2)]), false),
            (add(&[("start", 1)]), add(&[("start", 1), ("end", 2)]), false),
            (add(&[("progress", 1)]), add(&[("progress", 2), ("end", 2)]), true),
            (add(&[("removed", 1)]), push(&[("end", 2)]), true),
            (push(&[("end", 2)]), push(&[("end", 2)]), false),
            (push(&[("end", 1)]), push(&[("end", 2)]), true),
            (push(&[("other", 1)]), add(&[("end", 2)]), true),
            (PushRequest::delete(key("job")), add(&[("end", 2)]), true),
        ] {
            let mut unsure = UnsureRequests::default();
            assert!(!unsure.may_change(&accepted));
            unsure.record(late.clone());
            assert_eq!(unsure.may_change(&accepted), may_change, "{late:?} {accepted:?}");
            unsure.forget(&key("job"));
            assert!(!unsure.may_change(&accepted));
        }
    }

    #[test]
    fn unsure_request_of_another_group_changes_nothing() {
        let mut unsure = UnsureRequests::default();
        unsure.record(PushRequest::delete(key("other")));
        assert!(!unsure.may_change(&push(&[("end", 2)])));
    }

    #[test]
    fn unsure_requests_are_bounded() {
        let mut unsure = UnsureRequests::default();
        for number in 0..=MAX_REQUESTS {
            let request = PushRequest::delete(key(&format!("job_{number}")));
            unsure.record(request.clone());
            unsure.record(request);
        }
        assert_eq!(unsure.0.len(), MAX_REQUESTS);
        assert_eq!(unsure.0[0].key(), &key("job_1"));
    }
}
