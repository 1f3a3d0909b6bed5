//! `LateResponses`: the responses that have not arrived within the timeout of their request, by path.
//!
//! A server that hung may still process such a request. Its connection stays open for at most [`LATE_RESPONSE_TIMEOUT`],
//! because the response shows that the server has processed it.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// The maximum number of responses. The connections of further requests are closed at their timeout.
const MAX_LATE_RESPONSES: usize = 64;

/// How long a connection stays open after the timeout of its request.
const LATE_RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);

/// The number of missing responses by path. Clones share one state.
#[derive(Clone, Debug, Default)]
pub(super) struct LateResponses(Arc<watch::Sender<HashMap<String, usize>>>);

impl LateResponses {
    /// Receives a response in the background. After [`LATE_RESPONSE_TIMEOUT`], it does not count as missing any more.
    pub(super) fn receive(&self, path: &str, response: impl Future + Send + 'static) {
        let is_full = self.0.borrow().values().sum::<usize>() >= MAX_LATE_RESPONSES;
        if is_full {
            return;
        }
        let missing = MissingResponse::new(self.clone(), path.to_owned());
        tokio::spawn(async move {
            let _ = tokio::time::timeout(LATE_RESPONSE_TIMEOUT, response).await;
            drop(missing);
        });
    }

    /// Waits until no response for this path is missing. Returns false if `timeout` passes first.
    pub(super) async fn wait(&self, path: &str, timeout: Duration) -> bool {
        let mut missing = self.0.subscribe();
        let received = missing.wait_for(|paths| !paths.contains_key(path));
        tokio::time::timeout(timeout, received).await.is_ok()
    }
}

/// A missing response. It counts until it is dropped.
struct MissingResponse {
    all: LateResponses,
    path: String,
}

impl MissingResponse {
    fn new(all: LateResponses, path: String) -> Self {
        all.0.send_modify(|paths| *paths.entry(path.clone()).or_default() += 1);
        Self { all, path }
    }
}

impl Drop for MissingResponse {
    fn drop(&mut self) {
        self.all.0.send_modify(|paths| {
            let count = paths.remove(&self.path).unwrap_or_default();
            if count > 1 {
                paths.insert(std::mem::take(&mut self.path), count - 1);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    const SHORT_TIMEOUT: Duration = Duration::from_millis(1);

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.unwrap().block_on(test);
    }

    #[test]
    fn path_without_a_missing_response_is_not_waited_for() {
        run(async {
            let responses = LateResponses::default();
            responses.receive("/a", pending::<()>());
            assert!(responses.wait("/b", SHORT_TIMEOUT).await);
            assert!(!responses.wait("/a", SHORT_TIMEOUT).await);
        });
    }

    #[test]
    fn path_is_waited_for_until_its_last_response() {
        run(async {
            let responses = LateResponses::default();
            let senders = [(); 2].map(|()| {
                let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
                responses.receive("/a", receiver);
                sender
            });
            for sender in senders {
                assert!(!responses.wait("/a", SHORT_TIMEOUT).await);
                drop(sender);
            }
            assert!(responses.wait("/a", LATE_RESPONSE_TIMEOUT).await);
        });
    }

    #[test]
    fn late_responses_are_bounded() {
        run(async {
            let responses = LateResponses::default();
            for number in 0..=MAX_LATE_RESPONSES {
                responses.receive(&number.to_string(), pending::<()>());
            }
            assert_eq!(responses.0.borrow().len(), MAX_LATE_RESPONSES);
        });
    }
}
