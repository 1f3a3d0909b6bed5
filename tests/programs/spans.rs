//! Annotated functions that record events, with a subscriber that prints each event and the span that it belongs to.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::sync::Mutex;

use metrics_push::{Job, push_job};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

thread_local! {
    static ENTERED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

fn main() {
    let behaviour = std::env::args().nth(1).expect("usage: spans BEHAVIOUR");
    if behaviour == "later" {
        return block_on(later());
    }
    install(&behaviour);
    sync();
    block_on(async { tokio::join!(asynchronous(), asynchronous()) });
    block_on(future());
    on_caller();
    by_hand().unwrap();
    let _ = std::panic::catch_unwind(panics);
    tracing::info!("outside");
}

fn by_hand() -> Result<(), ()> {
    Job::new("by-hand").run(|run| {
        record("by-hand", run.id());
        Ok(())
    })
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn record(name: &str, id: &str) {
    tracing::info!("job={name} id={id}");
}

#[push_job(name = "sync", run = run)]
fn sync() {
    record("sync", run.id());
}

#[push_job(name = "async", run = run)]
async fn asynchronous() {
    for _ in 0..3 {
        record("async", run.id());
        tokio::task::yield_now().await;
    }
}

#[push_job(name = "future")]
#[expect(clippy::manual_async_fn, reason = "the span belongs to the returned future")]
fn future() -> impl Future<Output = ()> {
    async { tracing::info!("in a future") }
}

#[push_job(name = "on-caller", run = run)]
#[track_caller]
fn on_caller() {
    record("on-caller", run.id());
}

#[push_job(name = "panics", run = run)]
fn panics() {
    record("panics", run.id());
    panic!("after the event");
}

#[push_job(name = "later", run = run)]
async fn later() {
    install("print");
    tokio::task::yield_now().await;
    record("later", run.id());
}

fn install(behaviour: &str) {
    let is_panicking = behaviour == "panic";
    tracing::subscriber::set_global_default(Printer { is_panicking, ..Printer::default() })
        .unwrap();
}

/// Prints each event of the program with the fields of the span that it belongs to.
#[derive(Default)]
struct Printer {
    is_panicking: bool,
    spans: Mutex<Vec<String>>,
}

impl Subscriber for Printer {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // The dependencies have events and spans as well.
        let home = if metadata.is_span() { "metrics_push" } else { module_path!() };
        metadata.target() == home
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Fields::default();
        event.record(&mut text);
        let span = ENTERED.with_borrow(|entered| entered.last().copied());
        let spans = self.spans.lock().unwrap();
        let span = span.map_or("-", |id| &spans[usize::try_from(id).unwrap() - 1]);
        println!("{}|{span}", text.0);
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        assert!(!self.is_panicking, "in the subscriber");
        let mut text = Fields::default();
        attributes.record(&mut text);
        let mut spans = self.spans.lock().unwrap();
        spans.push(format!("{} {}", attributes.metadata().name(), text.0));
        Id::from_u64(spans.len() as u64)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, id: &Id) {
        ENTERED.with_borrow_mut(|entered| entered.push(id.into_u64()));
    }

    fn exit(&self, id: &Id) {
        let exited = ENTERED.with_borrow_mut(Vec::pop);
        assert_eq!(exited, Some(id.into_u64()));
    }
}

#[derive(Default)]
struct Fields(String);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        let space = if self.0.is_empty() { "" } else { " " };
        let _ = write!(self.0, "{space}{field}={value}");
    }

    fn record_debug(&mut self, _: &Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, "{value:?}");
    }
}
