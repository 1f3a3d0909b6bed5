//! Runs blocking work on a separate thread, so that it does not stall the runtime. The dispatcher runs the work of the last
//! request of a process itself.
//!
//! Some threads stay idle after their work, so that the steps of a delivery share threads, and consecutive deliveries as well.
//! A thread whose disk hangs does not become idle and delays no other work. `tokio::task::spawn_blocking` is not used, because
//! it panics if the system refuses a thread.

use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use crate::oneshot;
use crate::sync::Mutex;
use crate::threads;

type Work = Box<dyn FnOnce() -> Reply + Send>;

/// Sends the result of the work to the caller.
type Reply = Box<dyn FnOnce()>;

/// The maximum number of deliveries of a route in flight, so that thousands of deliveries share the threads of the first ones.
const MAX_IDLE_THREADS: usize = 16;

/// The threads that wait for work.
struct IdleThreads(Mutex<Vec<Sender<Work>>>);

static IDLE: IdleThreads = IdleThreads::new();

/// Runs `work` and returns its result; `None` if it panicked. If no thread can be started, `work` runs on this one.
pub(crate) async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (sender, receiver) = oneshot::channel();
    let work = move || -> Reply {
        let result = work();
        Box::new(move || sender.send(result))
    };
    if let Err(work) = IDLE.submit(Box::new(work)) {
        work()();
    }
    receiver.await
}

/// Like [`run_blocking`], but waits at most for `timeout`. The work continues after that.
pub(crate) async fn run_blocking_within<T: Send + 'static>(
    timeout: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    tokio::time::timeout(timeout, run_blocking(work)).await.ok().flatten()
}

impl IdleThreads {
    const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// Sends the work to an idle thread or a new one. Returns the work if no thread can be started.
    fn submit(&'static self, work: Work) -> Result<(), Work> {
        let idle = self.0.lock().pop();
        match idle.or_else(|| self.start_thread()) {
            Some(thread) => thread.send(work).map_err(|mpsc::SendError(work)| work),
            None => Err(work),
        }
    }

    fn start_thread(&'static self) -> Option<Sender<Work>> {
        let (sender, receiver) = mpsc::channel();
        let own = sender.clone();
        threads::spawn("metrics-push-disk", move || self.run_thread(&receiver, &own)).ok()?;
        Some(sender)
    }

    /// The body of a thread. It ends if enough threads are idle when its work is done.
    fn run_thread(&self, work: &Receiver<Work>, own: &Sender<Work>) {
        let mut is_needed = true;
        while is_needed && let Ok(work) = work.recv() {
            let reply = work();
            // Before the reply, so that the next step of the delivery finds this thread.
            is_needed = self.add(own);
            reply();
        }
    }

    /// Adds an idle thread. Returns false if enough threads are idle.
    fn add(&self, thread: &Sender<Work>) -> bool {
        let mut idle = self.0.lock();
        let is_needed = idle.len() < MAX_IDLE_THREADS;
        if is_needed {
            idle.push(thread.clone());
        }
        is_needed
    }
}

#[cfg(test)]
mod tests {
    use std::thread::{self, ThreadId};

    use super::*;

    /// Submits work, calls `reply` on its thread when it is done, and returns the result of `reply`.
    fn reply_of_work<T: Send + 'static>(
        idle: &'static IdleThreads,
        reply: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let (sender, receiver) = mpsc::channel();
        let work = || -> Reply { Box::new(move || sender.send(reply()).unwrap()) };
        assert!(idle.submit(Box::new(work)).is_ok());
        receiver.recv().unwrap()
    }

    fn thread_of_work(idle: &'static IdleThreads) -> ThreadId {
        reply_of_work(idle, || thread::current().id())
    }

    #[test]
    fn thread_is_idle_before_its_reply() {
        static IDLE: IdleThreads = IdleThreads::new();
        assert_eq!(reply_of_work(&IDLE, || IDLE.0.lock().len()), 1);
    }

    #[test]
    fn consecutive_work_shares_one_thread() {
        static IDLE: IdleThreads = IdleThreads::new();
        let first = thread_of_work(&IDLE);
        assert_eq!(thread_of_work(&IDLE), first);
    }

    #[test]
    fn work_that_hangs_or_panics_delays_no_other() {
        static IDLE: IdleThreads = IdleThreads::new();
        let (release, hangs) = mpsc::channel::<()>();
        let hang = move || -> Reply {
            let _ = hangs.recv();
            Box::new(|| ())
        };
        assert!(IDLE.submit(Box::new(hang)).is_ok());
        let other = thread_of_work(&IDLE);
        assert!(IDLE.submit(Box::new(|| panic!("expected"))).is_ok());
        assert_ne!(thread_of_work(&IDLE), other);
        drop(release);
    }
}
