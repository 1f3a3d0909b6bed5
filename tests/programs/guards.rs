//! Endings of tasks whose guards are dropped early, late or never, in a process that succeeds.

use std::cell::RefCell;
use std::future::pending;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use metrics_push::{Job, Run};
use tokio::runtime::Runtime;

use super::End;

pub(crate) fn end(_: &Run, ending: &str) -> End {
    match ending {
        "forgotten-task" => std::mem::forget(task()),
        "task-in-a-cycle" => {
            let cycle = Rc::new(Cycle { _task: task(), itself: RefCell::new(None) });
            *cycle.itself.borrow_mut() = Some(Rc::clone(&cycle));
        }
        "task-in-a-thread-local" => TASK.with_borrow_mut(|run| *run = Some(task())),
        "task-in-a-detached-thread" => {
            let (started, has_started) = channel();
            thread::spawn(move || run_forever(&started));
            wait_for(&has_started);
        }
        "task-at-exit-0" => {
            let _task = task();
            std::process::exit(0);
        }
        "dropped-runtime" => {
            let runtime = Runtime::new().unwrap();
            let (started, has_started) = channel();
            runtime.spawn(async move {
                let _task = task();
                started.send(()).unwrap();
                pending::<()>().await;
            });
            wait_for(&has_started);
        }
        "background-shutdown" => {
            let runtime = Runtime::new().unwrap();
            let (started, has_started) = channel();
            runtime.spawn_blocking(move || run_forever(&started));
            wait_for(&has_started);
            runtime.shutdown_background();
        }
        "task-that-loses-a-select" => Runtime::new().unwrap().block_on(async {
            tokio::select! {
                biased;
                () = endless_task() => {}
                () = std::future::ready(()) => {}
            }
        }),
        "task-that-times-out" => Runtime::new().unwrap().block_on(async {
            let timeout = tokio::time::timeout(Duration::from_millis(1), endless_task());
            timeout.await.unwrap_err();
        }),
        _ => return None,
    }
    Some(Ok(()))
}

thread_local! {
    static TASK: RefCell<Option<Run>> = const { RefCell::new(None) };
}

/// A cycle of one `Rc`, so that the task is never dropped.
struct Cycle {
    _task: Run,
    itself: RefCell<Option<Rc<Cycle>>>,
}

fn task() -> Run {
    Job::new("task").start()
}

async fn endless_task() {
    let _task = task();
    pending::<()>().await;
}

fn run_forever(started: &Sender<()>) {
    let _task = task();
    started.send(()).unwrap();
    loop {
        thread::park();
    }
}

fn wait_for(started: &Receiver<()>) {
    started.recv().unwrap();
}
