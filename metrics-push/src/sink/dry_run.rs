//! `DryRun`: logs the requests for another sink and sends nothing.

use std::fmt;
use std::time::Duration;

use super::interface::{Accepted, Model, OnFailure, OnRepeat, Semantics, SendFuture, Sink};
use crate::log;
use crate::push_request::{Payload, Verb};

/// Takes the place of the sink with this URL.
#[derive(Debug)]
pub(crate) struct DryRun {
    url: String,
}

impl DryRun {
    pub(crate) fn new(url: impl Into<String>) -> Self {
        Self { url: url.into() }
    }
}

impl Sink for DryRun {
    fn semantics(&self) -> Semantics {
        Semantics {
            model: Model::Groups,
            on_repeat: OnRepeat::Idempotent,
            on_failure: OnFailure::Spools,
        }
    }

    fn send<'a>(&'a self, payload: &'a Payload<'a>, _timeout: Duration) -> SendFuture<'a> {
        let preposition = match payload.verb() {
            Verb::Push | Verb::Add => "to",
            Verb::Delete => "from",
        };
        log::warn_lines(format_args!(
            "dry run: {} {} {preposition} {}\n{}",
            payload.verb().as_str(),
            payload.key(),
            self.url,
            payload.body().trim_end(),
        ));
        Box::pin(std::future::ready(Ok(Accepted::Queued)))
    }
}

impl fmt::Display for DryRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (dry run)", self.url)
    }
}
