//! `UnsureRequests`: the requests of a route that may have arrived although their response did not.
//!
//! A sink that hung may apply such a request after one that it has answered, and so replace an outcome. An outcome that
//! one of these requests would change is therefore confirmed: see [`Confirmation`](super::confirmation::Confirmation).

use std::collections::{BTreeMap, HashMap};

use crate::labels::GroupingKey;
use crate::push_request::PushRequest;

/// The maximum number of requests. The oldest one is forgotten first.
const MAX_REQUESTS: usize = 4_096;

#[derive(Debug, Default)]
pub(super) struct UnsureRequests {
    groups: HashMap<GroupingKey, Vec<UnsureRequest>>,
    /// The group of each request, in the order of their numbers.
    order: BTreeMap<u64, GroupingKey>,
    next: u64,
}

#[derive(Debug)]
struct UnsureRequest {
    number: u64,
    request: PushRequest,
    sent_by: SentBy,
}

/// The process that has sent an unsure request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SentBy {
    ThisProcess,
    /// An earlier process, which has stored the request on disk as well.
    EarlierProcess,
}

impl UnsureRequests {
    pub(super) fn record(&mut self, request: PushRequest, sent_by: SentBy) {
        let key = request.key().clone();
        let group = self.groups.entry(key.clone()).or_default();
        if group.iter().any(|unsure| unsure.request == request) {
            return;
        }
        let number = self.next;
        self.next += 1;
        group.push(UnsureRequest { number, request, sent_by });
        self.order.insert(number, key);
        if self.order.len() > MAX_REQUESTS {
            self.forget_oldest();
        }
    }

    pub(super) fn has_group(&self, key: &GroupingKey) -> bool {
        self.groups.contains_key(key)
    }

    /// Returns true if the sink may still apply a request that changes the effect of `accepted`.
    pub(super) fn may_change(&self, accepted: &PushRequest) -> bool {
        self.of(accepted.key()).iter().any(|unsure| !unsure.request.commutes(accepted))
    }

    /// Returns true if this process has sent a request of the group.
    pub(super) fn has_own(&self, key: &GroupingKey) -> bool {
        self.of(key).iter().any(|unsure| unsure.sent_by == SentBy::ThisProcess)
    }

    /// Forgets the requests of a group.
    pub(super) fn forget(&mut self, key: &GroupingKey) {
        for unsure in self.groups.remove(key).unwrap_or_default() {
            self.order.remove(&unsure.number);
        }
    }

    fn of(&self, key: &GroupingKey) -> &[UnsureRequest] {
        self.groups.get(key).map_or(&[], Vec::as_slice)
    }

    fn forget_oldest(&mut self) {
        let Some((number, key)) = self.order.pop_first() else { return };
        if let Some(group) = self.groups.get_mut(&key) {
            group.retain(|unsure| unsure.number != number);
            if group.is_empty() {
                self.groups.remove(&key);
            }
        }
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
            unsure.record(late.clone(), SentBy::ThisProcess);
            assert_eq!(unsure.may_change(&accepted), may_change, "{late:?} {accepted:?}");
            unsure.forget(&key("job"));
            assert!(!unsure.may_change(&accepted));
        }
    }

    #[test]
    fn unsure_request_of_another_group_changes_nothing() {
        let mut unsure = UnsureRequests::default();
        unsure.record(PushRequest::delete(key("other")), SentBy::ThisProcess);
        assert!(!unsure.may_change(&push(&[("end", 2)])));
    }

    #[test]
    fn unsure_requests_are_bounded() {
        let mut unsure = UnsureRequests::default();
        for number in 0..=MAX_REQUESTS {
            let request = PushRequest::delete(key(&format!("job_{number}")));
            unsure.record(request.clone(), SentBy::ThisProcess);
            unsure.record(request, SentBy::ThisProcess);
        }
        assert_eq!((unsure.order.len(), unsure.groups.len()), (MAX_REQUESTS, MAX_REQUESTS));
        assert!(!unsure.has_own(&key("job_0")));
        assert!(unsure.has_own(&key("job_1")));
        for number in 0..=MAX_REQUESTS {
            unsure.forget(&key(&format!("job_{number}")));
        }
        assert!(unsure.order.is_empty() && unsure.groups.is_empty());
    }

    #[test]
    fn request_of_an_earlier_process_stays_that_until_this_process_sends_another() {
        let mut unsure = UnsureRequests::default();
        unsure.record(push(&[("end", 1)]), SentBy::EarlierProcess);
        assert!(!unsure.has_own(&key("job")));
        unsure.record(push(&[("end", 2)]), SentBy::ThisProcess);
        unsure.record(push(&[("end", 2)]), SentBy::EarlierProcess);
        assert!(unsure.has_own(&key("job")));
    }
}
