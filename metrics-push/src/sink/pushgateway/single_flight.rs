//! `SingleFlight`: lets concurrent callers share one query for the groups of a gateway.
//!
//! The query API cannot return a single group, and it takes long to list and parse thousands of groups. If a query is
//! in flight, a caller waits for its response. A response is cached for as long as its query took, because it may
//! already have been that old when it arrived. A response that does not show the group of a caller is followed by a
//! query for the groups of all callers that wait.
//!
//! At the end of an outage, thousands of stored requests are delivered, and each delivery first reads its group. The groups
//! are announced, so that one query asks for all of them. Its response serves each announced group once. For these groups, it
//! expires later than for others: the announcement contains the minimum time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Moment;
use crate::error::Error;
use crate::labels::GroupingKey;
use crate::oneshot::{Receiver, Sender, channel};
use crate::sink::group_states::{GroupState, GroupStates};
use crate::sync::Mutex;

/// How long after an announcement callers may ask.
const ANNOUNCEMENT_TTL: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct SingleFlight(Mutex<Flight>);

#[derive(Debug, Default)]
struct Flight {
    cached: Option<CachedStates>,
    announcement: Option<Announcement>,
    /// The query in flight.
    query: Option<SharedQuery>,
    /// The groups of the callers that wait for the query in flight.
    waiting: BTreeSet<GroupingKey>,
}

/// Groups for which callers will ask.
#[derive(Debug)]
struct Announcement {
    at: Moment,
    /// The minimum time for which a response serves these calls.
    response_ttl: Duration,
    /// Those for which no caller has asked yet. Some stay, because another process has delivered their requests.
    keys: BTreeSet<GroupingKey>,
}

impl Announcement {
    fn is_over(&self) -> bool {
        self.keys.is_empty() || self.at.after(ANNOUNCEMENT_TTL).remaining().is_zero()
    }

    /// Removes a group. Returns the announcement if it contained the group.
    fn take(&mut self, key: &GroupingKey) -> Option<&Self> {
        self.keys.remove(key).then_some(self)
    }
}

/// The last response.
#[derive(Debug)]
struct CachedStates {
    states: Arc<GroupStates>,
    arrived_at: Moment,
    /// The time for which it serves groups that were not announced.
    ttl: Duration,
}

impl CachedStates {
    /// Returns the response to a query that took from `started` until now.
    fn new(states: Arc<GroupStates>, started: Moment) -> Self {
        let arrived_at = Moment::now();
        Self { states, arrived_at, ttl: arrived_at.since(started) }
    }

    /// Returns true if the response is too old for a call. `announcement` is the one that contained the group of the call.
    fn is_expired(&self, announcement: Option<&Announcement>) -> bool {
        let announcement = announcement.filter(|it| self.states.started.is_at_or_after(it.at));
        let ttl = announcement.map_or(self.ttl, |it| self.ttl.max(it.response_ttl));
        self.arrived_at.after(ttl).remaining().is_zero()
    }
}

#[derive(Debug)]
struct SharedQuery {
    deadline: Moment,
    waiters: Vec<Sender<Arc<GroupStates>>>,
}

/// How a caller gets the groups.
enum Role {
    /// The cached response has not expired.
    Cached(Arc<GroupStates>),
    /// A query that times out before this caller's deadline is in flight: the caller waits for its response.
    Follower(Receiver<Arc<GroupStates>>),
    /// A query that may outlast this caller's deadline is in flight: the caller sends a query for itself.
    Independent,
    /// No query is in flight: the caller sends one for these groups.
    Leader(BTreeSet<GroupingKey>),
}

impl SingleFlight {
    /// Returns the group with this key from a query that was sent at `since` or later. `query` lists at least the groups
    /// with the given keys. It is called only if this caller must send a query.
    pub(super) async fn group<F: Future<Output = Result<GroupStates, Error>>>(
        &self,
        key: &GroupingKey,
        since: Option<Moment>,
        deadline: Moment,
        query: impl FnOnce(BTreeSet<GroupingKey>) -> F,
    ) -> Result<Option<GroupState>, Error> {
        let asked = loop {
            match self.join(key, since, deadline) {
                Role::Cached(states) => return Ok(states.get(key).cloned()),
                Role::Follower(receiver) => {
                    // `None` means that the leader has failed. Otherwise the response may not show this group: join again.
                    if let Some(states) = receiver.await
                        && states.is_answer(key, since)
                    {
                        return Ok(states.get(key).cloned());
                    }
                }
                Role::Independent => {
                    let states = query(BTreeSet::from([key.clone()])).await?;
                    return Ok(states.get(key).cloned());
                }
                Role::Leader(asked) => break asked,
            }
        };
        let leader = LeaderGuard(self);
        let started = Moment::now();
        let states = Arc::new(query(asked).await?);
        leader.publish(CachedStates::new(Arc::clone(&states), started));
        Ok(states.get(key).cloned())
    }

    /// Announces that [`group`](Self::group) will be called once for each of these keys. Earlier responses do not serve these
    /// calls. A later response serves them for at least `response_ttl`.
    pub(super) fn expect(&self, keys: &[GroupingKey], response_ttl: Duration) {
        let mut flight = self.0.lock();
        flight.cached = None;
        let keys = keys.iter().cloned().collect();
        flight.announcement = Some(Announcement { at: Moment::now(), response_ttl, keys });
    }

    fn join(&self, key: &GroupingKey, since: Option<Moment>, deadline: Moment) -> Role {
        let Flight { cached, announcement, query, waiting } = &mut *self.0.lock();
        *announcement = announcement.take().filter(|it| !it.is_over());
        let announced = announcement.as_mut().and_then(|it| it.take(key));
        match (cached, query) {
            (Some(cached), _)
                if !cached.is_expired(announced) && cached.states.is_answer(key, since) =>
            {
                Role::Cached(Arc::clone(&cached.states))
            }
            (_, Some(query)) if deadline.is_at_or_after(query.deadline) => {
                let (sender, receiver) = channel();
                query.waiters.push(sender);
                waiting.insert(key.clone());
                Role::Follower(receiver)
            }
            (_, Some(_)) => Role::Independent,
            (_, none) => {
                *none = Some(SharedQuery { deadline, waiters: Vec::new() });
                let mut asked = std::mem::take(waiting);
                asked.insert(key.clone());
                asked.extend(announcement.iter().flat_map(|it| it.keys.iter().cloned()));
                Role::Leader(asked)
            }
        }
    }
}

/// Ends the shared query when it is dropped. If no response was published, the followers receive `None`.
struct LeaderGuard<'a>(&'a SingleFlight);

impl LeaderGuard<'_> {
    fn publish(&self, response: CachedStates) {
        let states = Arc::clone(&response.states);
        let query = {
            let mut flight = self.0.0.lock();
            flight.cached = Some(response);
            flight.query.take()
        };
        for sender in query.into_iter().flat_map(|query| query.waiters) {
            sender.send(Arc::clone(&states));
        }
    }
}

impl Drop for LeaderGuard<'_> {
    fn drop(&mut self) {
        let query = self.0.0.lock().query.take();
        // Dropping the senders wakes the followers, so it happens outside the lock.
        drop(query);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::pin::{Pin, pin};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll, Waker};

    use super::super::group_states_reader::parse_states;
    use super::*;
    use crate::error::Kind;

    const TTL: Duration = Duration::from_secs(60);

    fn parsed_groups() -> GroupStates {
        let text = r#"{"data":[{"labels":{"job":"a","instance":""},"last_push_successful":true},
            {"labels":{"job":"a","shard":"1"},"last_push_successful":true,"rows":{}}]}"#;
        parse_states(text).unwrap()
    }

    fn poll<T>(future: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    /// Returns as soon as `count` is at least `min`.
    async fn at_least(count: &AtomicUsize, min: usize) {
        std::future::poll_fn(|_| {
            if count.load(Ordering::Relaxed) >= min { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    fn in_a_minute() -> Moment {
        Moment::now().after(Duration::from_secs(60))
    }

    fn key(shard: &str) -> GroupingKey {
        GroupingKey::new("a").unwrap().label("shard", shard).unwrap()
    }

    #[test]
    fn single_flight_shares_one_query() {
        let flight = SingleFlight::default();
        let (answered, queries) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let query = |_| async {
            queries.fetch_add(1, Ordering::Relaxed);
            at_least(&answered, 1).await;
            Ok(parsed_groups())
        };
        let (one, missing, empty) = (key("1"), key("2"), GroupingKey::new("a").unwrap());
        let mut first = pin!(flight.group(&one, None, in_a_minute(), query));
        let mut second = pin!(flight.group(&missing, None, in_a_minute(), query));
        let mut third = pin!(flight.group(&empty, None, in_a_minute(), query));
        assert!(poll(first.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
        assert!(poll(third.as_mut()).is_pending());
        answered.store(1, Ordering::Relaxed);
        let has_rows = |poll: Poll<Result<Option<GroupState>, Error>>| match poll {
            Poll::Ready(group) => group.unwrap().map(|group| group.has_family("rows")),
            Poll::Pending => panic!("the response did not arrive"),
        };
        assert_eq!(has_rows(poll(first)), Some(true));
        assert_eq!(has_rows(poll(second)), None);
        assert_eq!(has_rows(poll(third)), Some(false), "an empty label is the same as no label");
        assert_eq!(queries.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn announced_groups_share_one_query() {
        let (flight, sent) = (SingleFlight::default(), std::cell::RefCell::new(Vec::new()));
        let query = |asked: BTreeSet<GroupingKey>| {
            sent.borrow_mut().push(asked.clone());
            // The response has only the groups that were asked for, and its query took no time.
            let started = Moment::now();
            let groups = HashMap::default();
            async move { Ok(GroupStates { started, asked, is_complete: false, groups }) }
        };
        let ask = |key: &GroupingKey| {
            let answer = poll(pin!(flight.group(key, None, in_a_minute(), query)));
            assert!(matches!(answer, Poll::Ready(Ok(None))));
        };
        let keys = ["1", "2", "3"].map(key);
        flight.expect(&keys, TTL);
        keys.iter().for_each(ask);
        assert_eq!(*sent.borrow(), [BTreeSet::from(keys.clone())]);
        // The second call for a group sends a query, because the response has expired for it.
        expire(&flight);
        ask(&keys[1]);
        assert_eq!(sent.borrow().last(), Some(&BTreeSet::from([key("2")])));
        // So does the first call after another announcement.
        flight.expect(&keys, TTL);
        ask(&keys[0]);
        assert_eq!(sent.borrow().len(), 3);
    }

    /// Makes the cached response expire for groups that were not announced.
    fn expire(flight: &SingleFlight) {
        flight.0.lock().cached.as_mut().unwrap().ttl = Duration::ZERO;
    }

    #[test]
    fn query_sent_before_an_announcement_does_not_serve_it() {
        let flight = SingleFlight::default();
        let (answered, queries) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let query = |_| async {
            let states = parsed_groups();
            at_least(&answered, queries.fetch_add(1, Ordering::Relaxed) + 1).await;
            Ok(states)
        };
        let one = key("1");
        let mut first = pin!(flight.group(&one, None, in_a_minute(), query));
        assert!(poll(first.as_mut()).is_pending());
        flight.expect(std::slice::from_ref(&one), TTL);
        answered.store(2, Ordering::Relaxed);
        assert!(poll(first).is_ready());
        expire(&flight);
        assert!(poll(pin!(flight.group(&one, None, in_a_minute(), query))).is_ready());
        assert_eq!(queries.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn follower_sends_a_query_if_the_leader_fails() {
        let flight = SingleFlight::default();
        let (answered, queries) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let query = |_| async {
            let number = queries.fetch_add(1, Ordering::Relaxed);
            at_least(&answered, number + 1).await;
            if number == 0 { Err(Error::new(Kind::Timeout, "late")) } else { Ok(parsed_groups()) }
        };
        let one = key("1");
        let mut first = pin!(flight.group(&one, None, in_a_minute(), query));
        let mut second = pin!(flight.group(&one, None, in_a_minute(), query));
        assert!(poll(first.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
        answered.store(2, Ordering::Relaxed);
        assert!(matches!(poll(first), Poll::Ready(Err(_))));
        assert!(matches!(poll(second), Poll::Ready(Ok(Some(_)))));
        assert_eq!(queries.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn caller_with_an_earlier_deadline_sends_its_own_query() {
        let (flight, one) = (SingleFlight::default(), key("1"));
        let mut first = pin!(flight.group(&one, None, in_a_minute(), |_| std::future::pending()));
        assert!(poll(first.as_mut()).is_pending());
        let second =
            pin!(flight.group(&one, None, Moment::now(), |_| async { Ok(parsed_groups()) }));
        assert!(matches!(poll(second), Poll::Ready(Ok(Some(_)))));
    }

    #[test]
    fn dropped_leader_leaves_no_query_behind() {
        let (flight, one) = (SingleFlight::default(), key("1"));
        {
            let mut first =
                pin!(flight.group(&one, None, in_a_minute(), |_| std::future::pending()));
            assert!(poll(first.as_mut()).is_pending());
        }
        let second =
            pin!(flight.group(&one, None, in_a_minute(), |_| async { Ok(parsed_groups()) }));
        assert!(matches!(poll(second), Poll::Ready(Ok(Some(_)))));
    }

    #[test]
    fn caller_that_needs_a_later_response_waits_for_the_next_query() {
        let (flight, answered) = (SingleFlight::default(), AtomicUsize::new(0));
        let sent = std::cell::RefCell::new(Vec::new());
        let query = |asked: BTreeSet<GroupingKey>| {
            let number = sent.borrow().len();
            sent.borrow_mut().push(asked);
            let (states, answered) = (parsed_groups(), &answered);
            async move {
                at_least(answered, number + 1).await;
                Ok(states)
            }
        };
        let [one, two, empty] = [key("1"), key("2"), GroupingKey::new("a").unwrap()];
        let mut first = pin!(flight.group(&one, None, in_a_minute(), query));
        assert!(poll(first.as_mut()).is_pending());
        let later = Some(Moment::now().after(Duration::from_nanos(1)));
        let mut second = pin!(flight.group(&two, later, in_a_minute(), query));
        let mut third = pin!(flight.group(&empty, later, in_a_minute(), query));
        assert!(poll(second.as_mut()).is_pending() && poll(third.as_mut()).is_pending());
        answered.store(1, Ordering::Relaxed);
        assert!(matches!(poll(first), Poll::Ready(Ok(Some(_)))));
        assert!(poll(second.as_mut()).is_pending() && poll(third.as_mut()).is_pending());
        answered.store(2, Ordering::Relaxed);
        assert!(matches!(poll(second), Poll::Ready(Ok(None))));
        assert!(matches!(poll(third), Poll::Ready(Ok(Some(_)))));
        let asked = [vec![one.clone()], vec![two.clone(), empty.clone()]];
        assert_eq!(
            *sent.borrow(),
            asked.map(BTreeSet::from_iter),
            "one query serves all callers that wait"
        );
    }
}
