//! Apart: what blocks is done where it keeps nobody waiting, on a thread of its own.
//!
//! The last thread to be free is kept, so that the steps of a delivery share one; the runtime's own threads would do as
//! well, but it panics where the machine has none left. A thread whose disk hangs is not free, and holds up nobody else.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::ticket::ticket;

type Work = Box<dyn FnOnce() + Send>;

/// The way to a thread that is free, if there is one.
struct Spare(Mutex<Option<Sender<Work>>>);

static SPARE: Spare = Spare::new();

/// Does what blocks; `None`, if it panicked. Where no thread can be had, it is done here.
pub(super) async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (stub, ticket) = ticket();
    if let Err(work) = SPARE.give(Box::new(move || stub.answer(work()))) {
        work();
    }
    ticket.await
}

impl Spare {
    const fn new() -> Self {
        Self(Mutex::new(None))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Sender<Work>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the work to a thread; back, if there is none.
    fn give(&'static self, work: Work) -> Result<(), Work> {
        let free = self.lock().take();
        match free.or_else(|| self.start_thread()) {
            Some(thread) => thread.send(work).map_err(|mpsc::SendError(work)| work),
            None => Err(work),
        }
    }

    fn start_thread(&'static self) -> Option<Sender<Work>> {
        let (sender, receiver) = mpsc::channel();
        let own = sender.clone();
        let thread = std::thread::Builder::new().name("metrics-push-disk".into());
        thread.spawn(move || self.serve(&receiver, &own)).ok().map(|_| sender)
    }

    /// The thread. It ends when another is free already.
    fn serve(&self, given: &Receiver<Work>, own: &Sender<Work>) {
        while let Ok(work) = given.recv() {
            work();
            let mut free = self.lock();
            if free.is_some() {
                break;
            }
            *free = Some(own.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread::{self, ThreadId};

    use super::*;

    /// Where some work was done.
    fn place_of(spare: &'static Spare) -> ThreadId {
        let (tell, told) = mpsc::channel();
        assert!(spare.give(Box::new(move || tell.send(thread::current().id()).unwrap())).is_ok());
        told.recv().unwrap()
    }

    fn wait_for_one(spare: &Spare) {
        while spare.lock().is_none() {
            thread::yield_now();
        }
    }

    #[test]
    fn one_thread_does_what_comes_after_another() {
        static SPARE: Spare = Spare::new();
        let first = place_of(&SPARE);
        wait_for_one(&SPARE);
        assert_eq!(place_of(&SPARE), first);
    }

    #[test]
    fn what_hangs_or_panics_holds_up_nobody() {
        static SPARE: Spare = Spare::new();
        let (go_on, hangs) = mpsc::channel::<()>();
        let hang = move || {
            let _ = hangs.recv();
        };
        assert!(SPARE.give(Box::new(hang)).is_ok());
        let other = place_of(&SPARE);
        wait_for_one(&SPARE);
        assert!(SPARE.give(Box::new(|| panic!("as it should"))).is_ok());
        assert_ne!(place_of(&SPARE), other);
        drop(go_on);
    }
}
