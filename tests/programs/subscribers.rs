//! A job whose gateway is down, with a `tracing` subscriber that the argument selects.

use std::fmt::Write as _;

use metrics_push::{Job, Outcome};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

fn main() {
    let behaviour = std::env::args().nth(1).expect("usage: subscribers BEHAVIOUR");
    let subscriber = Warnings { behaviour: behaviour.clone() };
    match behaviour.as_str() {
        "none" => run(|| {}),
        "later" => run(|| install(subscriber)),
        "thread" => tracing::subscriber::with_default(subscriber, || run(|| {})),
        _ => {
            install(subscriber);
            run(|| {});
        }
    }
}

fn run(body: impl FnOnce()) {
    let run = Job::new("logged").whole_process().start();
    run.gauge("rows", "Rows.").unwrap().set(1.0);
    body();
    run.finish(Outcome::Success);
}

fn install(subscriber: Warnings) {
    tracing::subscriber::set_global_default(subscriber).unwrap();
}

/// Writes warnings to stderr, or all lines if its behaviour is `debug`. Other behaviours change this.
struct Warnings {
    behaviour: String,
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let is_filtered = self.behaviour == "filter" && metadata.target() == "metrics_push";
        let level = if self.behaviour == "debug" { Level::DEBUG } else { Level::WARN };
        *metadata.level() <= level && !is_filtered
    }

    fn event(&self, event: &Event<'_>) {
        match self.behaviour.as_str() {
            "panic" => panic!("in the subscriber"),
            "block" => loop {
                std::thread::park();
            },
            _ => {}
        }
        let mut message = Message(String::new());
        event.record(&mut message);
        eprintln!("event: {}", message.0);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, _: &Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, "{value:?}");
    }
}
