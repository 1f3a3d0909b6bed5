//! Runs blocking work on a separate thread, so that it does not stall the runtime.
//!
//! At most one idle thread stays, so that the steps of one delivery share a thread. A thread whose disk hangs does not
//! become idle and delays no other work. `tokio::task::spawn_blocking` is not used, because it panics if the system
//! refuses a thread.

use std::sync::mpsc::{self, Receiver, Sender};

use crate::oneshot;
use crate::sync::Mutex;

type Work = Box<dyn FnOnce() + Send>;

/// The idle thread, if there is one.
struct IdleThread(Mutex<Option<Sender<Work>>>);

static IDLE: IdleThread = IdleThread::new();

/// Runs `work` and returns its result; `None` if it panicked. If no thread can be started, `work` runs on this one.
pub(super) async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (sender, receiver) = oneshot::channel();
    if let Err(work) = IDLE.submit(Box::new(move || sender.send(work()))) {
        work();
    }
    receiver.await
}

impl IdleThread {
    const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Sends the work to the idle thread or a new one. Returns the work if no thread can be started.
    fn submit(&'static self, work: Work) -> Result<(), Work> {
        let idle = self.0.lock().take();
        match idle.or_else(|| self.start_thread()) {
            Some(thread) => thread.send(work).map_err(|mpsc::SendError(work)| work),
            None => Err(work),
        }
    }

    fn start_thread(&'static self) -> Option<Sender<Work>> {
        let (sender, receiver) = mpsc::channel();
        let own = sender.clone();
        let thread = std::thread::Builder::new().name("metrics-push-disk".into());
        thread.spawn(move || self.run_thread(&receiver, &own)).ok().map(|_| sender)
    }

    /// The body of a thread. It ends if another thread is already idle when its work is done.
    fn run_thread(&self, work: &Receiver<Work>, own: &Sender<Work>) {
        while let Ok(work) = work.recv() {
            work();
            let mut idle = self.0.lock();
            if idle.is_some() {
                break;
            }
            *idle = Some(own.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread::{self, ThreadId};

    use super::*;

    /// Returns the thread that runs a piece of work.
    fn thread_of_work(idle: &'static IdleThread) -> ThreadId {
        let (sender, receiver) = mpsc::channel();
        let work = move || sender.send(thread::current().id()).unwrap();
        assert!(idle.submit(Box::new(work)).is_ok());
        receiver.recv().unwrap()
    }

    fn wait_until_idle(idle: &IdleThread) {
        while idle.0.lock().is_none() {
            thread::yield_now();
        }
    }

    #[test]
    fn consecutive_work_shares_one_thread() {
        static IDLE: IdleThread = IdleThread::new();
        let first = thread_of_work(&IDLE);
        wait_until_idle(&IDLE);
        assert_eq!(thread_of_work(&IDLE), first);
    }

    #[test]
    fn work_that_hangs_or_panics_delays_no_other() {
        static IDLE: IdleThread = IdleThread::new();
        let (release, hangs) = mpsc::channel::<()>();
        let hang = move || {
            let _ = hangs.recv();
        };
        assert!(IDLE.submit(Box::new(hang)).is_ok());
        let other = thread_of_work(&IDLE);
        wait_until_idle(&IDLE);
        assert!(IDLE.submit(Box::new(|| panic!("expected"))).is_ok());
        assert_ne!(thread_of_work(&IDLE), other);
        drop(release);
    }
}
