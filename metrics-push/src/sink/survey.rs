//! Survey: what a gateway holds, asked once for many who want to know of one group each.
//!
//! The query API knows no single group, and what it says of thousands takes long to make and to read. So whoever asks
//! while somebody else does waits for that answer, and an answer is used for as long again as it took to get: it was that
//! old when it came.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::listing::StoredGroup;
use crate::clock::Moment;
use crate::error::Error;
use crate::labels::{GroupingKey, JOB};
use crate::oneshot::{Receiver, Sender, channel};

/// All groups, by their labels.
type Groups = Arc<BTreeMap<BTreeMap<String, String>, StoredGroup>>;

#[derive(Debug, Default)]
pub(super) struct Survey(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// What the last one found, and until when that counts.
    found: Option<(Moment, Groups)>,
    /// The one that is under way.
    under_way: Option<UnderWay>,
}

#[derive(Debug)]
struct UnderWay {
    /// It is over by then.
    until: Moment,
    waiting: Vec<Sender<Groups>>,
}

/// What whoever asks has to do.
enum Turn {
    Known(Groups),
    Awaited(Receiver<Groups>),
    /// Asks for itself.
    Alone,
    /// Asks for all who come meanwhile.
    ForAll,
}

impl Survey {
    /// The group with this key, by the last answer, the one that is awaited, or else by asking, which is over by then.
    pub(super) async fn look_up(
        &self,
        key: &GroupingKey,
        until: Moment,
        ask: impl Future<Output = Result<Vec<StoredGroup>, Error>>,
    ) -> Result<Option<StoredGroup>, Error> {
        let groups = self.groups(until, ask).await?;
        let own = std::iter::once((JOB, key.job())).chain(key.labels());
        let own: BTreeMap<_, _> = own.map(|(name, value)| (name.into(), value.into())).collect();
        Ok(groups.get(&own).cloned())
    }

    async fn groups(
        &self,
        until: Moment,
        ask: impl Future<Output = Result<Vec<StoredGroup>, Error>>,
    ) -> Result<Groups, Error> {
        loop {
            match self.turn(until) {
                Turn::Known(groups) => return Ok(groups),
                Turn::Awaited(answer) => {
                    // Without one, whoever was asking has failed.
                    if let Some(groups) = answer.await {
                        return Ok(groups);
                    }
                }
                Turn::Alone => return ask.await.map(index),
                Turn::ForAll => break,
            }
        }
        let asking = Asking(self);
        let started = Moment::now();
        let groups = index(ask.await?);
        let now = Moment::now();
        asking.answer(now.after(now.since(started)), &groups);
        Ok(groups)
    }

    fn turn(&self, until: Moment) -> Turn {
        let State { found, under_way } = &mut *self.lock();
        match (found, under_way) {
            (Some((until, groups)), _) if !until.remaining().is_zero() => {
                Turn::Known(Arc::clone(groups))
            }
            (_, Some(other)) if until.is_at_or_after(other.until) => {
                let (sender, answer) = channel();
                other.waiting.push(sender);
                Turn::Awaited(answer)
            }
            // It may come too late for this one.
            (_, Some(_)) => Turn::Alone,
            (_, none) => {
                *none = Some(UnderWay { until, waiting: Vec::new() });
                Turn::ForAll
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code of others runs under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn index(groups: Vec<StoredGroup>) -> Groups {
    Arc::new(groups.into_iter().map(by_labels).collect())
}

/// The gateway keeps labels whose value is empty, although they mean nothing.
fn by_labels(group: StoredGroup) -> (BTreeMap<String, String>, StoredGroup) {
    let labels = group.labels.iter().filter(|(_, value)| !value.is_empty());
    (labels.map(|(name, value)| (name.clone(), value.clone())).collect(), group)
}

/// One that is under way. Dropped without an answer, it tells those who wait that there will be none.
struct Asking<'a>(&'a Survey);

impl Asking<'_> {
    fn answer(&self, until: Moment, groups: &Groups) {
        let mut state = self.0.lock();
        state.found = Some((until, Arc::clone(groups)));
        let over = state.under_way.take();
        drop(state);
        for sender in over.into_iter().flat_map(|over| over.waiting) {
            sender.send(Arc::clone(groups));
        }
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        let over = self.0.lock().under_way.take();
        // Outside the lock: those who wait are woken by it.
        drop(over);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::error::Kind;
    use crate::sink::listing;

    fn listed() -> Vec<StoredGroup> {
        let text = r#"{"data":[{"labels":{"job":"a","instance":""},"last_push_successful":true},
            {"labels":{"job":"a","shard":"1"},"last_push_successful":true}]}"#;
        listing::parse(text).unwrap()
    }

    fn poll<T>(future: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    /// A question that is answered when the number of its turn is reached.
    async fn after(turn: &AtomicUsize, number: usize) {
        std::future::poll_fn(|_| {
            let is_reached = turn.load(Ordering::Relaxed) >= number;
            if is_reached { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    fn soon() -> Moment {
        Moment::now().after(std::time::Duration::from_secs(60))
    }

    fn key(shard: &str) -> GroupingKey {
        GroupingKey::new("a").unwrap().label("shard", shard).unwrap()
    }

    #[test]
    fn those_who_ask_meanwhile_are_answered_with_the_first() {
        let (survey, turn, asked) = (Survey::default(), AtomicUsize::new(0), AtomicUsize::new(0));
        let ask = || async {
            asked.fetch_add(1, Ordering::Relaxed);
            after(&turn, 1).await;
            Ok(listed())
        };
        let (one, missing, empty) = (key("1"), key("2"), GroupingKey::new("a").unwrap());
        let mut first = pin!(survey.look_up(&one, soon(), ask()));
        let mut second = pin!(survey.look_up(&missing, soon(), ask()));
        let mut third = pin!(survey.look_up(&empty, soon(), ask()));
        assert!(poll(first.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
        assert!(poll(third.as_mut()).is_pending());
        turn.store(1, Ordering::Relaxed);
        let found = |poll: Poll<Result<Option<StoredGroup>, Error>>| match poll {
            Poll::Ready(found) => found.unwrap().map(|group| group.labels.len()),
            Poll::Pending => panic!("it is not answered"),
        };
        assert_eq!(found(poll(first)), Some(2));
        assert_eq!(found(poll(second)), None);
        assert_eq!(found(poll(third)), Some(2), "an empty label is none");
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn whoever_waited_for_one_that_failed_asks_again() {
        let (survey, turn, asked) = (Survey::default(), AtomicUsize::new(0), AtomicUsize::new(0));
        let ask = || async {
            let number = asked.fetch_add(1, Ordering::Relaxed);
            after(&turn, number + 1).await;
            if number == 0 { Err(Error::new(Kind::Timeout, "late")) } else { Ok(listed()) }
        };
        let one = key("1");
        let mut first = pin!(survey.look_up(&one, soon(), ask()));
        let mut second = pin!(survey.look_up(&one, soon(), ask()));
        assert!(poll(first.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
        turn.store(2, Ordering::Relaxed);
        assert!(matches!(poll(first), Poll::Ready(Err(_))));
        assert!(matches!(poll(second), Poll::Ready(Ok(Some(_)))));
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn whoever_has_less_time_than_another_needs_asks_for_itself() {
        let (survey, one) = (Survey::default(), key("1"));
        let mut first = pin!(survey.look_up(&one, soon(), std::future::pending()));
        assert!(poll(first.as_mut()).is_pending());
        let second = pin!(survey.look_up(&one, Moment::now(), async { Ok(listed()) }));
        assert!(matches!(poll(second), Poll::Ready(Ok(Some(_)))));
    }

    #[test]
    fn whoever_gives_up_while_asking_leaves_nobody_waiting() {
        let (survey, one) = (Survey::default(), key("1"));
        {
            let mut first = pin!(survey.look_up(&one, soon(), std::future::pending()));
            assert!(poll(first.as_mut()).is_pending());
        }
        let second = pin!(survey.look_up(&one, soon(), async { Ok(listed()) }));
        assert!(matches!(poll(second), Poll::Ready(Ok(Some(_)))));
    }
}
