//! `Snapshot`: the data of one moment with its page. One thread reads the gateways; requests receive the last snapshot and
//! never wait for a gateway.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use hyper::body::Bytes;
use tokio::sync::watch;

use crate::failure::Failure;
use crate::jobs::Overview;
use crate::page::{self, Filter};

/// How often the gateways are read, and how often pages refresh themselves.
pub(super) const REFRESH_INTERVAL: Duration = Duration::from_secs(10);

/// The last snapshot; `None` before the first.
pub(super) type Snapshots = watch::Receiver<Option<Arc<Snapshot>>>;

pub(super) struct Snapshot {
    overview: Overview,
    /// The page of all jobs.
    pub(super) html: Bytes,
}

type Rendered = Result<Bytes, askama::Error>;

impl Snapshot {
    fn new(overview: Overview) -> Result<Self, askama::Error> {
        let html = page::served(&overview, &Filter::default(), REFRESH_INTERVAL.as_secs())?;
        Ok(Self { overview, html: html.into() })
    }

    pub(super) fn filtered(&self, filter: &Filter) -> Rendered {
        page::served(&self.overview, filter, REFRESH_INTERVAL.as_secs()).map(Bytes::from)
    }

    /// The page of one job; `None` if no job has this id.
    pub(super) fn job(&self, id: &str) -> Option<Rendered> {
        let html = page::job(&self.overview, id, REFRESH_INTERVAL.as_secs())?;
        Some(html.map(Bytes::from))
    }
}

/// Starts the thread that reads the gateways. It ends when the receiver is dropped.
///
/// # Errors
/// If the system cannot start a thread.
pub(super) fn start(read: impl Fn() -> Overview + Send + 'static) -> std::io::Result<Snapshots> {
    let (sender, receiver) = watch::channel(None);
    let refresh = move || {
        while !sender.is_closed() {
            match Snapshot::new(read()) {
                Ok(snapshot) => drop(sender.send_replace(Some(Arc::new(snapshot)))),
                // Readers see the age of the last page.
                Err(error) => Failure::failed(format!("cannot render the page: {error}")).print(),
            }
            thread::sleep(REFRESH_INTERVAL);
        }
    };
    thread::Builder::new().name("metrics-push refresh".to_owned()).spawn(refresh)?;
    Ok(receiver)
}
