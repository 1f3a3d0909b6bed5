//! Tests of requests that are stored on disk before the end of their delivery.

use std::collections::BTreeSet;
use std::fmt;
use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use super::Dispatcher;
use crate::clock::Moment;
use crate::delivery::{DeliveryClass, Receipt, Route};
use crate::error::{Error, Kind};
use crate::labels::GroupingKey;
use crate::push_request::{Families, Payload, PushRequest};
use crate::sink::{
    Accepted, GroupState, GroupStates, Model, OnFailure, OnRepeat, Query, QueryFuture, Rejection,
    Semantics, SendFuture, Sink,
};
use crate::spool::Spool;
use crate::state_dir::{StateDir, StateDirPath};

const TIMEOUT: Duration = Duration::from_secs(20);

/// A sink whose groups cannot be read, and that refuses the first connection.
#[derive(Debug, Default)]
struct UnreadableSink {
    attempts: AtomicUsize,
}

impl fmt::Display for UnreadableSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("http://gateway")
    }
}

impl Sink for UnreadableSink {
    fn semantics(&self) -> Semantics {
        let (on_repeat, on_failure) = (OnRepeat::Idempotent, OnFailure::Spools);
        Semantics { model: Model::Groups, on_repeat, on_failure }
    }

    fn send<'a>(&'a self, _: &'a Payload<'a>, _: Duration) -> SendFuture<'a> {
        let refused = || Rejection::Failed(Error::new(Kind::Unreachable, "refused").unsent());
        let is_first = self.attempts.fetch_add(1, Ordering::Relaxed) == 0;
        Box::pin(ready(if is_first { Err(refused()) } else { Ok(Accepted::Applied) }))
    }

    fn query(&self) -> Option<&dyn Query> {
        Some(self)
    }
}

fn unreadable<'a, T: Send + 'a>() -> QueryFuture<'a, T> {
    Box::pin(ready(Err(Error::config("the groups cannot be read"))))
}

impl Query for UnreadableSink {
    fn group<'a>(
        &'a self,
        _: &'a GroupingKey,
        _: Option<Moment>,
        _: Duration,
    ) -> QueryFuture<'a, Option<GroupState>> {
        unreadable()
    }

    fn groups(&self, _: BTreeSet<GroupingKey>, _: Duration) -> QueryFuture<'_, GroupStates> {
        unreadable()
    }

    fn started_at(&self, _: Duration) -> QueryFuture<'_, SystemTime> {
        unreadable()
    }

    fn remove_empty_group<'a>(&'a self, _: &'a GroupingKey, _: Duration) -> QueryFuture<'a, bool> {
        unreadable()
    }
}

fn add(family: &str) -> PushRequest {
    let families = Families::from([(family.to_owned(), format!("{family} 1\n"))]);
    PushRequest::add(GroupingKey::new("job").unwrap(), families)
}

#[test]
fn early_record_with_a_withheld_outcome_stays_on_disk() {
    let name = format!("metrics-push-early-record-{}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    let state_dir = Arc::new(StateDir::new(StateDirPath::Configured(directory.clone())));
    let spool = Spool::new(&state_dir, "http://gateway", &[]);
    let route = Route::buffered(Arc::new(UnreadableSink::default()), spool, Arc::default());
    let spool = route.spool().unwrap();
    let withheld = "batch_job_last_failure_timestamp_seconds";
    spool.store(&add(withheld)).unwrap();

    let request = add("batch_job_last_run_success");
    let class = DeliveryClass::Final;
    let receipt = Dispatcher::default().submit_for_receipt(&route, request, TIMEOUT, class);
    let receipt = receipt.wait(TIMEOUT);
    assert!(matches!(receipt, Some(Receipt::Delivered { .. })), "{receipt:?}");
    let stored = spool.look_up(&GroupingKey::new("job").unwrap()).expect("the withheld outcome");
    assert!(stored.request.families().contains_key(withheld), "{stored:?}");
    std::fs::remove_dir_all(directory).unwrap();
}
