//! `SingleFlight`: lets concurrent callers share one query for all groups of a gateway.
//!
//! The query API cannot return a single group, and it takes long to list and parse thousands of groups. If a query is
//! in flight, a caller waits for its response. A response is cached for as long as its query took, because it may
//! already have been that old when it arrived.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::query_api::StoredGroup;
use crate::clock::Moment;
use crate::error::Error;
use crate::labels::GroupingKey;
use crate::oneshot::{Receiver, Sender, channel};
use crate::sync::Mutex;

type Groups = Arc<BTreeMap<GroupingKey, StoredGroup>>;

#[derive(Debug, Default)]
pub(super) struct SingleFlight(Mutex<Flight>);

#[derive(Debug, Default)]
struct Flight {
    /// The last response, and the moment at which it expires.
    cached: Option<(Moment, Groups)>,
    /// The query in flight.
    query: Option<SharedQuery>,
}

#[derive(Debug)]
struct SharedQuery {
    deadline: Moment,
    waiters: Vec<Sender<Groups>>,
}

/// How a caller gets the groups.
enum Role {
    /// The cached response has not expired.
    Cached(Groups),
    /// A query that times out before this caller's deadline is in flight: the caller waits for its response.
    Follower(Receiver<Groups>),
    /// A query that may outlast this caller's deadline is in flight: the caller sends a query for itself.
    Independent,
    /// No query is in flight: the caller sends one for itself and its followers.
    Leader,
}

impl SingleFlight {
    /// Returns the group with this key. `query` lists all groups. It is polled only if this caller must send a query.
    pub(super) async fn group(
        &self,
        key: &GroupingKey,
        deadline: Moment,
        query: impl Future<Output = Result<Vec<StoredGroup>, Error>>,
    ) -> Result<Option<StoredGroup>, Error> {
        Ok(self.groups(deadline, query).await?.get(key).cloned())
    }

    async fn groups(
        &self,
        deadline: Moment,
        query: impl Future<Output = Result<Vec<StoredGroup>, Error>>,
    ) -> Result<Groups, Error> {
        loop {
            match self.join(deadline) {
                Role::Cached(groups) => return Ok(groups),
                Role::Follower(receiver) => {
                    // `None` means that the leader has failed: join again.
                    if let Some(groups) = receiver.await {
                        return Ok(groups);
                    }
                }
                Role::Independent => return query.await.map(index),
                Role::Leader => break,
            }
        }
        let leader = LeaderGuard(self);
        let started = Moment::now();
        let groups = index(query.await?);
        let now = Moment::now();
        leader.publish(now.after(now.since(started)), &groups);
        Ok(groups)
    }

    fn join(&self, deadline: Moment) -> Role {
        let Flight { cached, query } = &mut *self.0.lock();
        match (cached, query) {
            (Some((expires_at, groups)), _) if !expires_at.remaining().is_zero() => {
                Role::Cached(Arc::clone(groups))
            }
            (_, Some(query)) if deadline.is_at_or_after(query.deadline) => {
                let (sender, receiver) = channel();
                query.waiters.push(sender);
                Role::Follower(receiver)
            }
            (_, Some(_)) => Role::Independent,
            (_, none) => {
                *none = Some(SharedQuery { deadline, waiters: Vec::new() });
                Role::Leader
            }
        }
    }
}

fn index(groups: Vec<StoredGroup>) -> Groups {
    Arc::new(groups.into_iter().filter_map(|group| Some((group.grouping_key()?, group))).collect())
}

/// Ends the shared query when it is dropped. If no response was published, the followers receive `None`.
struct LeaderGuard<'a>(&'a SingleFlight);

impl LeaderGuard<'_> {
    fn publish(&self, expires_at: Moment, groups: &Groups) {
        let query = {
            let mut flight = self.0.0.lock();
            flight.cached = Some((expires_at, Arc::clone(groups)));
            flight.query.take()
        };
        for sender in query.into_iter().flat_map(|query| query.waiters) {
            sender.send(Arc::clone(groups));
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
    use std::pin::{Pin, pin};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll, Waker};

    use super::super::query_api::parse_groups;
    use super::*;
    use crate::error::Kind;

    fn parsed_groups() -> Vec<StoredGroup> {
        let text = r#"{"data":[{"labels":{"job":"a","instance":""},"last_push_successful":true},
            {"labels":{"job":"a","shard":"1"},"last_push_successful":true}]}"#;
        parse_groups(text).unwrap()
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
        Moment::now().after(std::time::Duration::from_secs(60))
    }

    fn key(shard: &str) -> GroupingKey {
        GroupingKey::new("a").unwrap().label("shard", shard).unwrap()
    }

    #[test]
    fn single_flight_shares_one_query() {
        let flight = SingleFlight::default();
        let (answered, queries) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let query = || async {
            queries.fetch_add(1, Ordering::Relaxed);
            at_least(&answered, 1).await;
            Ok(parsed_groups())
        };
        let (one, missing, empty) = (key("1"), key("2"), GroupingKey::new("a").unwrap());
        let mut first = pin!(flight.group(&one, in_a_minute(), query()));
        let mut second = pin!(flight.group(&missing, in_a_minute(), query()));
        let mut third = pin!(flight.group(&empty, in_a_minute(), query()));
        assert!(poll(first.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
        assert!(poll(third.as_mut()).is_pending());
        answered.store(1, Ordering::Relaxed);
        let labels = |poll: Poll<Result<Option<StoredGroup>, Error>>| match poll {
            Poll::Ready(group) => group.unwrap().map(|group| group.labels.len()),
            Poll::Pending => panic!("the response did not arrive"),
        };
        assert_eq!(labels(poll(first)), Some(2));
        assert_eq!(labels(poll(second)), None);
        assert_eq!(labels(poll(third)), Some(2), "an empty label is the same as no label");
        assert_eq!(queries.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn follower_sends_a_query_if_the_leader_fails() {
        let flight = SingleFlight::default();
        let (answered, queries) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let query = || async {
            let number = queries.fetch_add(1, Ordering::Relaxed);
            at_least(&answered, number + 1).await;
            if number == 0 { Err(Error::new(Kind::Timeout, "late")) } else { Ok(parsed_groups()) }
        };
        let one = key("1");
        let mut first = pin!(flight.group(&one, in_a_minute(), query()));
        let mut second = pin!(flight.group(&one, in_a_minute(), query()));
        assert!(poll(first.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
        answered.store(2, Ordering::Relaxed);
        assert!(matches!(poll(first), Poll::Ready(Err(_))));
        assert!(matches!(poll(second), Poll::Ready(Ok(Some(_)))));
        assert_eq!(queries.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn caller_with_an_earlier_deadline_sends_its_own_query() {
        let (flight, one) = (SingleFlight::default(), key("1"));
        let mut first = pin!(flight.group(&one, in_a_minute(), std::future::pending()));
        assert!(poll(first.as_mut()).is_pending());
        let second = pin!(flight.group(&one, Moment::now(), async { Ok(parsed_groups()) }));
        assert!(matches!(poll(second), Poll::Ready(Ok(Some(_)))));
    }

    #[test]
    fn dropped_leader_leaves_no_query_behind() {
        let (flight, one) = (SingleFlight::default(), key("1"));
        {
            let mut first = pin!(flight.group(&one, in_a_minute(), std::future::pending()));
            assert!(poll(first.as_mut()).is_pending());
        }
        let second = pin!(flight.group(&one, in_a_minute(), async { Ok(parsed_groups()) }));
        assert!(matches!(poll(second), Poll::Ready(Ok(Some(_)))));
    }
}
