//! Apart: what blocks is done where it keeps nobody waiting, on a thread of its own.
//!
//! The last thread to be free is kept, so that the steps of a delivery share one; the runtime's own threads would do as
//! well, but it panics where the machine has none left. A thread whose disk hangs is not free, and holds up nobody else.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::ticket::ticket;

type Work = Box<dyn FnOnce() + Send>;

/// The way to the thread that is free, if there is one.
static FREE: Mutex<Option<Sender<Work>>> = Mutex::new(None);

fn free() -> MutexGuard<'static, Option<Sender<Work>>> {
    FREE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does what blocks; `None`, if it panicked. Where no thread can be had, it is done here.
pub(super) async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (stub, ticket) = ticket();
    if let Err(work) = give_to_thread(Box::new(move || stub.answer(work()))) {
        work();
    }
    ticket.await
}

/// Gives the work back, if there is no thread for it.
fn give_to_thread(work: Work) -> Result<(), Work> {
    let thread = free().take();
    match thread.or_else(start_thread) {
        Some(thread) => thread.send(work).map_err(|mpsc::SendError(work)| work),
        None => Err(work),
    }
}

fn start_thread() -> Option<Sender<Work>> {
    let (sender, receiver) = mpsc::channel();
    let own = sender.clone();
    let thread = std::thread::Builder::new().name("metrics-push-disk".into());
    thread.spawn(move || serve(&receiver, &own)).ok().map(|_| sender)
}

/// The thread. It ends when another is free already.
fn serve(work: &Receiver<Work>, own: &Sender<Work>) {
    while let Ok(work) = work.recv() {
        work();
        let mut free = free();
        if free.is_some() {
            break;
        }
        *free = Some(own.clone());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread::{self, ThreadId};

    use super::*;

    fn wait<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    fn here() -> ThreadId {
        thread::current().id()
    }

    #[test]
    fn what_hangs_holds_up_nobody_and_what_panics_ends_alone() {
        let (go_on, hangs) = mpsc::channel::<()>();
        let (stub, hanging) = ticket();
        let given = give_to_thread(Box::new(move || {
            let _ = hangs.recv();
            stub.answer(here());
        }));
        assert!(given.is_ok());
        let other = wait(apart(here)).unwrap();
        assert_eq!(wait(apart(|| -> ThreadId { panic!("as it should") })), None);
        assert_ne!(wait(apart(here)), None);
        go_on.send(()).unwrap();
        let hung = wait(hanging).unwrap();
        assert!(hung != other && other != here(), "{hung:?} {other:?}");
    }
}
