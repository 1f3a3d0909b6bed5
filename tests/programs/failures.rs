//! Annotated functions that fail. The arguments select which ones run, one after the other; each has its own job.

use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Barrier;
use std::thread;

use metrics_push::{Job, push_job};

#[push_job(name = "main", run = run)]
fn main() -> Result<(), Box<dyn Error>> {
    for failure in std::env::args().skip(1) {
        match failure.as_str() {
            "io" => drop(io()),
            "async-error" => drop(runtime().block_on(async_error())),
            "future" => drop(runtime().block_on(future())),
            "boxed" => drop(boxed()),
            "no-text" => drop(no_text()),
            "no-text-and-value" => drop(no_text_and_value()),
            "generic" => drop(generic::<u8, _>(fmt::Error)),
            "generic-with-bound" => drop(generic_with_bound::<u8, _>(fmt::Error)),
            "panicking-debug" => drop(panicking_debug()),
            "by-hand" => Job::new("by-hand").start().fail(&"no space"),
            "panic" => drop(catch_unwind(|| panicking("boom"))),
            "panic-in-task" => drop(runtime().block_on(runtime().spawn(panicking_task()))),
            "panic-after-a-caught-one" => drop(catch_unwind(panicking_twice)),
            "panics-at-once" => panics_at_once(),
            "caught-panic" => drop(error_after_a_caught_panic()),
            "passed-panic" => {
                let panic = thread::spawn(|| panic!("on another thread")).join().unwrap_err();
                resume_unwind(panic)
            }
            "stage" => drop(error_in_a_stage()),
            "panic-in-stage" => drop(catch_unwind(panic_in_a_stage)),
            "panic-after-stage" => drop(catch_unwind(panic_after_a_stage)),
            "stage-of-a-success" => success_with_a_stage(),
            "closure" => drop(error_of_a_closure()),
            "main" => {
                let _stage = run.stage("the last stage");
                return Err("the end of main".into());
            }
            _ => panic!("unknown failure {failure:?}"),
        }
    }
    Ok(())
}

fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: std::sync::LazyLock<tokio::runtime::Runtime> =
        std::sync::LazyLock::new(|| tokio::runtime::Runtime::new().unwrap());
    &RUNTIME
}

#[push_job(name = "io")]
fn io() -> Result<(), std::io::Error> {
    Err(std::io::Error::other("no space\nleft"))
}

#[push_job(name = "async-error")]
async fn async_error() -> Result<u8, fmt::Error> {
    tokio::task::yield_now().await;
    Err(fmt::Error)
}

#[push_job(name = "future")]
#[expect(clippy::manual_async_fn, reason = "the result is that of the returned future")]
fn future() -> impl Future<Output = Result<u8, fmt::Error>> {
    async { Err(fmt::Error) }
}

#[push_job(name = "boxed")]
fn boxed() -> Result<String, Box<dyn Error + Send + Sync>> {
    Err("GET http://user:hunter2@host/a: 403".into())
}

struct NoText;

#[push_job(name = "no-text")]
fn no_text() -> Result<(), NoText> {
    Err(NoText)
}

#[push_job(name = "no-text-and-value")]
fn no_text_and_value() -> Result<u8, NoText> {
    Err(NoText)
}

#[push_job(name = "generic")]
fn generic<T, E>(error: E) -> Result<T, E> {
    Err(error)
}

#[push_job(name = "generic-with-bound")]
fn generic_with_bound<T, E: Error>(error: E) -> Result<T, E> {
    Err(error)
}

struct PanickingDebug;

impl fmt::Debug for PanickingDebug {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("in `Debug`")
    }
}

#[push_job(name = "panicking-debug")]
fn panicking_debug() -> Result<(), PanickingDebug> {
    Err(PanickingDebug)
}

#[push_job(name = "panic", grouping(message = message))]
fn panicking(message: &str) {
    panic!("{message}");
}

#[push_job(name = "panic-in-task")]
async fn panicking_task() {
    tokio::task::yield_now().await;
    std::panic::panic_any(7);
}

#[push_job(name = "panic-after-a-caught-one")]
fn panicking_twice() {
    let _ = catch_unwind(|| panic!("first"));
    panic!("the last one");
}

#[push_job(name = "caught-panic")]
fn error_after_a_caught_panic() -> Result<(), fmt::Error> {
    let _ = catch_unwind(|| panic!("caught"));
    Err(fmt::Error)
}

#[push_job(name = "stage", run = run)]
fn error_in_a_stage() -> Result<(), fmt::Error> {
    drop(run.stage("extract"));
    let _load = run.stage("load");
    Err(fmt::Error)
}

#[push_job(name = "panic-in-stage", run = run)]
fn panic_in_a_stage() {
    let _load = run.stage("load");
    panic!("boom");
}

#[push_job(name = "panic-after-stage", run = run)]
fn panic_after_a_stage() {
    drop(run.stage("load"));
    panic!("boom");
}

#[push_job(name = "stage-of-a-success", run = run)]
fn success_with_a_stage() {
    drop(run.stage("load"));
}

fn error_of_a_closure() -> Result<(), fmt::Error> {
    Job::new("closure").run(|run| {
        run.record_error(&"an attempt before");
        Err(fmt::Error).inspect_err(|error| run.record_error(error))
    })
}

/// Two threads panic before either of their runs is finished.
fn panics_at_once() {
    let barrier = Barrier::new(2);
    let panic = |message| {
        let run = Job::new("panics-at-once").start_with(&[("message", &message)]);
        let _ = catch_unwind(AssertUnwindSafe(|| {
            let _run = run;
            let _waits = WaitsInDrop(&barrier);
            panic!("{message}")
        }));
    };
    thread::scope(|scope| {
        scope.spawn(|| panic("one"));
        scope.spawn(|| panic("two"));
    });
}

struct WaitsInDrop<'a>(&'a Barrier);

impl Drop for WaitsInDrop<'_> {
    fn drop(&mut self) {
        self.0.wait();
    }
}
