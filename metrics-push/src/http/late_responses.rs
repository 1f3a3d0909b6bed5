//! `LateResponses`: the responses that have not arrived within the timeout of their request, by path.
//!
//! A server that hung may still process such a request. Its connection stays open for at most [`LATE_RESPONSE_TIMEOUT`],
//! because the response shows that the server has processed it. A response that is given up remains unknown. A connection that
//! the server closes counts as a response, as it does within the timeout of a request: the server is probably gone.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::sync::Mutex;

/// The maximum number of responses. The connections of further requests are closed at their timeout.
const MAX_LATE_RESPONSES: usize = 64;

/// How long a connection stays open after the timeout of its request.
const LATE_RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);

/// The maximum number of paths that are recorded because a response was given up. Further paths are not recorded.
const MAX_UNKNOWN_PATHS: usize = 1_024;

/// The missing responses. Clones share one state.
#[derive(Clone, Debug, Default)]
pub(super) struct LateResponses(Arc<LatePaths>);

#[derive(Debug, Default)]
struct LatePaths {
    /// The number of missing responses by path.
    missing: watch::Sender<HashMap<String, usize>>,
    /// The paths with a response that was given up.
    unknown: Mutex<HashSet<String>>,
}

impl LateResponses {
    /// Receives a response in the background, and gives it up after [`LATE_RESPONSE_TIMEOUT`].
    pub(super) fn receive(&self, path: &str, response: impl Future + Send + 'static) {
        self.receive_within(LATE_RESPONSE_TIMEOUT, path, response);
    }

    fn receive_within(
        &self,
        timeout: Duration,
        path: &str,
        response: impl Future + Send + 'static,
    ) {
        let is_full = self.0.missing.borrow().values().sum::<usize>() >= MAX_LATE_RESPONSES;
        if is_full {
            self.give_up(path);
            return;
        }
        let missing = MissingResponse::new(self.clone(), path.to_owned());
        tokio::spawn(async move {
            if tokio::time::timeout(timeout, response).await.is_err() {
                missing.all.give_up(&missing.path);
            }
            drop(missing);
        });
    }

    /// Waits until no response for this path is missing. Returns false if `timeout` passes first, or if a response was given
    /// up since the last wait.
    pub(super) async fn wait(&self, path: &str, timeout: Duration) -> bool {
        let mut missing = self.0.missing.subscribe();
        let received = missing.wait_for(|paths| !paths.contains_key(path));
        let is_received = tokio::time::timeout(timeout, received).await.is_ok();
        let is_unknown = self.0.unknown.lock().remove(path);
        is_received && !is_unknown
    }

    fn give_up(&self, path: &str) {
        let mut unknown = self.0.unknown.lock();
        if unknown.len() < MAX_UNKNOWN_PATHS {
            unknown.insert(path.to_owned());
        }
    }
}

/// A missing response. It counts until it is dropped.
struct MissingResponse {
    all: LateResponses,
    path: String,
}

impl MissingResponse {
    fn new(all: LateResponses, path: String) -> Self {
        all.0.missing.send_modify(|paths| *paths.entry(path.clone()).or_default() += 1);
        Self { all, path }
    }
}

impl Drop for MissingResponse {
    fn drop(&mut self) {
        self.all.0.missing.send_modify(|paths| {
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
            assert_eq!(responses.0.missing.borrow().len(), MAX_LATE_RESPONSES);
            let further = MAX_LATE_RESPONSES.to_string();
            assert!(!responses.wait(&further, SHORT_TIMEOUT).await, "it was given up");
            assert!(responses.wait(&further, SHORT_TIMEOUT).await, "it was reported");
        });
    }

    #[test]
    fn response_that_is_given_up_is_not_received() {
        run(async {
            let responses = LateResponses::default();
            responses.receive_within(SHORT_TIMEOUT, "/a", pending::<()>());
            assert!(!responses.wait("/a", LATE_RESPONSE_TIMEOUT).await);
            assert!(responses.0.missing.borrow().is_empty());
            assert!(responses.wait("/a", SHORT_TIMEOUT).await, "it was reported");
        });
    }

    #[test]
    fn paths_of_given_up_responses_are_bounded() {
        let responses = LateResponses::default();
        for number in 0..2 * MAX_UNKNOWN_PATHS {
            responses.give_up(&number.to_string());
        }
        assert_eq!(responses.0.unknown.lock().len(), MAX_UNKNOWN_PATHS);
    }
}
