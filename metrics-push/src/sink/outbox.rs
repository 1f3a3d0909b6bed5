//! `Outbox`: sends the messages of several requests in one call, if they wait for the server at the same time.
//!
//! No message waits for others: it is sent at once if fewer than [`MAX_CALLS`] calls are in flight. During these calls, further
//! messages collect, and the next call contains all of them, up to a limit. The formats of all protocols allow this: two
//! messages in a row are one message with the content of both.
//!
//! A response that refuses a call does not show which message is the cause. The messages are then sent in halves, until the
//! refused one is alone, and each gets its own answer. All sinks with an outbox store a message that is sent twice only once.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use tokio::sync::{Semaphore, SemaphorePermit, oneshot};

use super::interface::{Accepted, Rejection};
use crate::clock::Moment;
use crate::error::{Error, Kind};
use crate::sync::Mutex;

/// The number of calls in flight: enough to use several cores of the server.
const MAX_CALLS: usize = 4;

/// The maximum number of series in one call. Receivers limit it.
pub(super) const MAX_SERIES: usize = 5_000;

/// The size in bytes, before compression, from which a call accepts no further message.
pub(super) const MAX_CALL_SIZE: usize = 1024 * 1024;

/// The encoded samples of a request, or of a part of one.
#[derive(Debug)]
pub(super) struct EncodedSamples {
    pub(super) bytes: Vec<u8>,
    pub(super) series: usize,
}

type Answer = Result<Accepted, Rejection>;

/// Makes one call with these messages. Boxed, so that the outbox is compiled only once.
type Call<'a> = dyn Fn(Vec<u8>) -> Pin<Box<dyn Future<Output = Answer> + Send + 'a>> + Sync + 'a;

#[derive(Debug)]
pub(super) struct Outbox {
    waiting: Mutex<VecDeque<Waiting>>,
    calls: Semaphore,
}

/// A message that is not answered yet.
#[derive(Debug)]
struct Waiting {
    message: Arc<EncodedSamples>,
    answer: oneshot::Sender<Answer>,
}

/// What happens first to a waiting message.
enum Turn<'a> {
    /// Another call has sent the message. `None` if that call was cancelled.
    Answered(Option<Answer>),
    /// A call may start.
    Call(SemaphorePermit<'a>),
}

impl Default for Outbox {
    fn default() -> Self {
        Self { waiting: Mutex::default(), calls: Semaphore::new(MAX_CALLS) }
    }
}

impl Outbox {
    /// Sends a message. `call` makes one call with this message, or with several.
    ///
    /// # Errors
    /// If the server did not accept this message.
    pub(super) async fn send<F: Future<Output = Answer> + Send>(
        &self,
        message: EncodedSamples,
        deadline: Moment,
        call: impl Fn(Vec<u8>) -> F + Sync,
    ) -> Answer {
        let call =
            |messages| -> Pin<Box<dyn Future<Output = Answer> + Send>> { Box::pin(call(messages)) };
        let sending = self.send_without_limit(Arc::new(message), &call);
        tokio::time::timeout(deadline.remaining(), sending).await.unwrap_or_else(|_| {
            let error = Error::new(Kind::Timeout, "the gateway did not respond in time");
            Err(Rejection::Failed(error.remedy("check the network and the load of the gateway")))
        })
    }

    async fn send_without_limit(&self, message: Arc<EncodedSamples>, call: &Call<'_>) -> Answer {
        loop {
            let (sender, mut receiver) = oneshot::channel();
            let waiting = Waiting { message: Arc::clone(&message), answer: sender };
            self.waiting.lock().push_back(waiting);
            let answer = match self.turn(&mut receiver).await {
                Turn::Answered(answer) => answer,
                Turn::Call(permit) => {
                    let batch = self.take_batch(&message);
                    deliver(batch, call).await;
                    drop(permit);
                    // If another call has taken the message, its answer follows.
                    receiver.await.ok()
                }
            };
            if let Some(answer) = answer {
                return answer;
            }
        }
    }

    async fn turn(&self, receiver: &mut oneshot::Receiver<Answer>) -> Turn<'_> {
        let mut permit = pin!(self.calls.acquire());
        poll_fn(|context| {
            if let Poll::Ready(answer) = Pin::new(&mut *receiver).poll(context) {
                return Poll::Ready(Turn::Answered(answer.ok()));
            }
            // The semaphore is never closed.
            permit.as_mut().poll(context).map(|permit| match permit {
                Ok(permit) => Turn::Call(permit),
                Err(_) => Turn::Answered(None),
            })
        })
        .await
    }

    /// Removes and returns the messages of one call: `own` first, if it still waits, and then the others in their order.
    fn take_batch(&self, own: &Arc<EncodedSamples>) -> Vec<Waiting> {
        let mut waiting = self.waiting.lock();
        // Their requests have ended.
        waiting.retain(|waiting| !waiting.answer.is_closed());
        let Some(index) = waiting.iter().position(|it| Arc::ptr_eq(&it.message, own)) else {
            return Vec::new();
        };
        let mut batch: Vec<_> = waiting.remove(index).into_iter().collect();
        let (mut series, mut bytes) = (own.series, own.bytes.len());
        while let Some(next) = waiting.pop_front() {
            series += next.message.series;
            bytes += next.message.bytes.len();
            if series > MAX_SERIES || bytes > MAX_CALL_SIZE {
                waiting.push_front(next);
                break;
            }
            batch.push(next);
        }
        batch
    }
}

/// Sends the messages in one call, and in halves if a part of them is refused.
async fn deliver(batch: Vec<Waiting>, call: &Call<'_>) {
    let mut parts = vec![batch];
    while let Some(mut part) = parts.pop() {
        if part.is_empty() {
            continue;
        }
        let answer = call(joined(&part)).await;
        if part.len() > 1 && is_about_content(&answer) {
            let second = part.split_off(part.len() / 2);
            parts.extend([second, part]);
            continue;
        }
        for waiting in part {
            // Fails if the request has ended.
            let _ = waiting.answer.send(answer.clone());
        }
    }
}

fn joined(messages: &[Waiting]) -> Vec<u8> {
    let size = messages.iter().map(|waiting| waiting.message.bytes.len()).sum();
    let mut bytes = Vec::with_capacity(size);
    for waiting in messages {
        bytes.extend_from_slice(&waiting.message.bytes);
    }
    bytes
}

/// Returns true if the server has answered because of the content of some of the messages, so that others may have another
/// answer.
fn is_about_content(answer: &Answer) -> bool {
    match answer {
        Ok(Accepted::Applied | Accepted::Queued) | Err(Rejection::Failed(_)) => false,
        Ok(Accepted::Partially(_))
        | Err(Rejection::InvalidMetrics(_) | Rejection::Superseded(_) | Rejection::TooOld(_)) => {
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(20);

    fn message(content: u8) -> EncodedSamples {
        EncodedSamples { bytes: vec![content], series: 1 }
    }

    fn refused() -> Error {
        Error::new(Kind::Metric, "refused")
    }

    /// A server that answers each call by its bytes. Calls wait until they are released.
    struct Server<F> {
        outbox: Outbox,
        calls: Mutex<Vec<Vec<u8>>>,
        released: Semaphore,
        answer: F,
    }

    impl<F: Fn(&[u8]) -> Answer + Send + Sync + 'static> Server<F> {
        fn new(answer: F) -> Arc<Self> {
            Arc::new(Self {
                outbox: Outbox::default(),
                calls: Mutex::default(),
                released: Semaphore::new(0),
                answer,
            })
        }

        async fn send(self: Arc<Self>, message: EncodedSamples) -> Answer {
            let deadline = Moment::now().after(TIMEOUT);
            let server = &self;
            let call = |bytes: Vec<u8>| async move {
                server.calls.lock().push(bytes.clone());
                server.released.acquire().await.unwrap().forget();
                (server.answer)(&bytes)
            };
            self.outbox.send(message, deadline, call).await
        }

        /// Sends messages with these contents while all calls are in flight. Returns their answers and the later calls.
        fn send_together(self: &Arc<Self>, contents: &[u8]) -> (Vec<Answer>, Vec<Vec<u8>>) {
            let messages = contents.iter().map(|content| message(*content)).collect();
            let (answers, calls) = self.send_all(messages);
            (answers, calls[MAX_CALLS..].to_vec())
        }

        fn send_all(
            self: &Arc<Self>,
            messages: Vec<EncodedSamples>,
        ) -> (Vec<Answer>, Vec<Vec<u8>>) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let first: Vec<_> = (0..MAX_CALLS)
                    .map(|_| tokio::spawn(Arc::clone(self).send(message(0))))
                    .collect();
                while self.calls.lock().len() < MAX_CALLS {
                    tokio::task::yield_now().await;
                }
                let later: Vec<_> = messages
                    .into_iter()
                    .map(|message| tokio::spawn(Arc::clone(self).send(message)))
                    .collect();
                while self.outbox.waiting.lock().len() < later.len() {
                    tokio::task::yield_now().await;
                }
                self.released.add_permits(1_000);
                for sent in first {
                    assert!(sent.await.unwrap().is_ok());
                }
                let mut answers = Vec::new();
                for sent in later {
                    answers.push(sent.await.unwrap());
                }
                (answers, self.calls.lock().clone())
            })
        }
    }

    #[test]
    fn messages_that_wait_are_sent_in_one_call() {
        let server = Server::new(|_| Ok(Accepted::Queued));
        let (answers, calls) = server.send_together(&[1, 2, 3, 4, 5]);
        assert!(answers.iter().all(Result::is_ok));
        assert_eq!(calls, [[1, 2, 3, 4, 5]]);
    }

    #[test]
    fn refused_message_is_found_at_every_position() {
        let contents = [1, 2, 3, 4, 5, 6, 7, 8];
        for bad in contents {
            let server = Server::new(move |bytes: &[u8]| {
                let is_bad = bytes.contains(&bad);
                if is_bad {
                    Err(Rejection::InvalidMetrics(refused()))
                } else {
                    Ok(Accepted::Queued)
                }
            });
            let (answers, calls) = server.send_together(&contents);
            for (content, answer) in contents.iter().zip(&answers) {
                assert_eq!(answer.is_err(), *content == bad, "{content} {answer:?}");
            }
            // The whole call, and two for each halving.
            assert_eq!(calls.len(), 7, "{calls:?}");
        }
    }

    #[test]
    fn messages_get_their_own_answers() {
        let server = Server::new(|bytes: &[u8]| match bytes {
            [1] => Err(Rejection::Superseded(refused())),
            [2] => Err(Rejection::TooOld(refused())),
            [3] => Ok(Accepted::Partially(refused())),
            [4] | [0] => Ok(Accepted::Queued),
            _ => Ok(Accepted::Partially(refused())),
        });
        let (answers, _) = server.send_together(&[1, 2, 3, 4]);
        assert!(matches!(answers[0], Err(Rejection::Superseded(_))));
        assert!(matches!(answers[1], Err(Rejection::TooOld(_))));
        assert!(matches!(answers[2], Ok(Accepted::Partially(_))));
        assert!(matches!(answers[3], Ok(Accepted::Queued)));
    }

    #[test]
    fn failure_of_the_server_is_the_answer_to_all_messages() {
        let server = Server::new(|bytes: &[u8]| match bytes {
            [0] => Ok(Accepted::Queued),
            _ => Err(Rejection::Failed(Error::new(Kind::Unreachable, "unreachable"))),
        });
        let (answers, calls) = server.send_together(&[1, 2, 3]);
        assert!(answers.iter().all(|answer| matches!(answer, Err(Rejection::Failed(_)))));
        assert_eq!(calls.len(), 1);
    }

    #[test]
    fn call_has_a_limited_number_of_series_and_bytes() {
        let server = Server::new(|_| Ok(Accepted::Queued));
        let large = |series, size| EncodedSamples { bytes: vec![1; size], series };
        let messages = vec![large(3_000, 10), large(2_000, 10), large(1, 10)];
        let (_, calls) = server.send_all(messages);
        assert_eq!(calls[MAX_CALLS..].iter().map(Vec::len).collect::<Vec<_>>(), [20, 10]);
        let server = Server::new(|_| Ok(Accepted::Queued));
        let half = MAX_CALL_SIZE / 2;
        let (_, calls) = server.send_all(vec![large(1, half), large(1, half), large(1, half)]);
        assert_eq!(calls[MAX_CALLS..].iter().map(Vec::len).collect::<Vec<_>>(), [2 * half, half]);
    }

    #[test]
    fn message_is_sent_again_if_the_call_that_contained_it_is_cancelled() {
        let server = Server::new(|_| Ok(Accepted::Queued));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let first: Vec<_> = (0..MAX_CALLS)
                .map(|_| tokio::spawn(Arc::clone(&server).send(message(0))))
                .collect();
            while server.calls.lock().len() < MAX_CALLS {
                tokio::task::yield_now().await;
            }
            let leader = tokio::spawn(Arc::clone(&server).send(message(1)));
            tokio::task::yield_now().await;
            let follower = tokio::spawn(Arc::clone(&server).send(message(2)));
            while server.outbox.waiting.lock().len() < 2 {
                tokio::task::yield_now().await;
            }
            server.released.add_permits(1);
            while server.calls.lock().len() < MAX_CALLS + 1 {
                tokio::task::yield_now().await;
            }
            assert_eq!(server.calls.lock()[MAX_CALLS], [1, 2]);
            leader.abort();
            server.released.add_permits(1_000);
            assert!(follower.await.unwrap().is_ok());
            assert_eq!(server.calls.lock()[MAX_CALLS + 1], [2]);
            for sent in first {
                assert!(sent.await.unwrap().is_ok());
            }
        });
    }
}
