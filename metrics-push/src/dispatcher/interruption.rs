//! `Interruption`: ends the waits for sinks early, because a signal ends the process.

use std::time::Duration;

use tokio::sync::watch;

use crate::clock::Moment;

/// When the deliveries were interrupted; `None` if they were not.
#[derive(Debug)]
pub(super) struct Interruption(watch::Sender<Option<Moment>>);

impl Default for Interruption {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Interruption {
    pub(super) fn start(&self) {
        self.0.send_replace(Some(Moment::now()));
    }

    /// Lets later deliveries have their full time: the process continues.
    pub(super) fn end(&self) {
        self.0.send_replace(None);
    }

    pub(super) fn is_started(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Resolves when the deliveries are interrupted.
    pub(super) async fn started(&self) -> Moment {
        let mut receiver = self.0.subscribe();
        loop {
            if let Some(started) = *receiver.borrow_and_update() {
                return started;
            }
            if receiver.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Resolves when the deliveries have been interrupted for `grace`.
    pub(super) async fn exceeded(&self, grace: Duration) {
        let started = self.started().await;
        tokio::time::sleep(started.after(grace).remaining()).await;
    }
}
