//! `Sink`: the interface between `delivery` and the destinations of requests.
//!
//! A sink makes attempts and maps the answers of its server. `delivery` decides about everything else by the constants in
//! [`Semantics`], by the kind of [`Rejection`], and by whether the sink has a [`Query`] interface.

use std::collections::BTreeSet;
use std::fmt;
use std::future::ready;
use std::pin::Pin;
use std::time::{Duration, SystemTime};

use super::acceptance::Acceptance;
use super::group_states::{GroupState, GroupStates};
use crate::clock::Moment;
use crate::error::Error;
use crate::labels::GroupingKey;
use crate::push_request::Payload;

/// A destination of requests. `Display` writes its URL without credentials, which identifies it in the state directory.
pub(crate) trait Sink: fmt::Debug + fmt::Display + Send + Sync {
    /// Returns what the sink does with the requests that it receives.
    fn semantics(&self) -> Semantics;

    /// Prepares the connection, so that the first request is sent sooner.
    fn prepare(&self) {}

    /// Restores what [`take_state`](Self::take_state) returned, usually in an earlier process. It can be of any age.
    fn restore(&self, _state: &str) {}

    /// Returns one line about the server that later processes can use, if it must be stored again.
    fn take_state(&self) -> Option<String> {
        None
    }

    /// Makes one attempt to send a request.
    fn send<'a>(&'a self, payload: &'a Payload<'a>, timeout: Duration) -> SendFuture<'a>;

    /// Returns the query interface, if the sink can be asked for the groups that it stores.
    fn query(&self) -> Option<&dyn Query> {
        None
    }

    /// Returns the record of the series that were sent, if the sink ends the series that are missing from a later request.
    fn sent_groups(&self) -> Option<&dyn RecordSeries> {
        None
    }
}

pub(crate) type SendFuture<'a> = BoxFuture<'a, Result<Accepted, Rejection>>;

/// What a sink does with the requests that it receives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Semantics {
    pub(crate) model: Model,
    pub(crate) on_repeat: OnRepeat,
    pub(crate) on_failure: OnFailure,
}

impl Semantics {
    /// Those of sinks that store samples.
    pub(crate) const SAMPLES: Self = Self {
        model: Model::Samples,
        on_repeat: OnRepeat::Idempotent,
        on_failure: OnFailure::Spools,
    };
}

/// What a sink stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Model {
    /// Groups of families: a request replaces what it contains, also if it is older.
    Groups,
    /// Samples with the time at which their request was created. An older request replaces nothing.
    Samples,
    /// Messages in the order of their arrival. Consumers read the time at which a request was created.
    Messages,
}

/// What happens if a sink receives a request twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnRepeat {
    Idempotent,
    /// The sink adds up the values, so a request that may have arrived is not sent again.
    CountsTwice,
}

/// What happens to an outcome that a sink did not accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnFailure {
    /// It is stored in the spool.
    Spools,
    /// It is dropped: a later attempt does not help, or the spool is on the same disk.
    Drops,
}

/// How far a sink has processed a request that it accepted.
#[derive(Clone, Debug)]
pub(crate) enum Accepted {
    /// The sink checked the request and applied it.
    Applied,
    /// The sink accepted the request without checking it, or applies it later.
    Queued,
    /// The sink accepted the request without some of its metrics, which it will not accept later either.
    Partially(Error),
}

impl Accepted {
    pub(crate) fn acceptance(&self) -> Acceptance {
        match self {
            Self::Applied => Acceptance::Applied,
            Self::Queued | Self::Partially(_) => Acceptance::Queued,
        }
    }
}

/// Why a sink did not accept a request.
#[derive(Clone, Debug)]
pub(crate) enum Rejection {
    /// Nothing was accepted. The error determines whether to send the request again.
    Failed(Error),
    /// The sink has read the request and does not accept some of its metrics, which it may not name.
    InvalidMetrics(Error),
    /// The sink has newer values of at least one family.
    Superseded(Error),
    /// The request is too old to be stored with its own time.
    TooOld(Error),
}

impl Rejection {
    pub(crate) fn error(&self) -> &Error {
        match self {
            Self::Failed(error)
            | Self::InvalidMetrics(error)
            | Self::Superseded(error)
            | Self::TooOld(error) => error,
        }
    }

    /// Changes the error.
    pub(crate) fn map(self, change: impl FnOnce(Error) -> Error) -> Self {
        match self {
            Self::Failed(error) => Self::Failed(change(error)),
            Self::InvalidMetrics(error) => Self::InvalidMetrics(change(error)),
            Self::Superseded(error) => Self::Superseded(change(error)),
            Self::TooOld(error) => Self::TooOld(change(error)),
        }
    }

    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Failed(error)
            | Self::InvalidMetrics(error)
            | Self::Superseded(error)
            | Self::TooOld(error) => error,
        }
    }
}

/// A sink that can be asked for the groups that it stores.
pub(crate) trait Query: Send + Sync {
    /// Returns the state of the group with this key; `None` if the sink does not have it. The result may be cached for a
    /// short time, but is not older than `since`.
    ///
    /// # Errors
    /// If the sink could not be queried.
    fn group<'a>(
        &'a self,
        key: &'a GroupingKey,
        since: Option<Moment>,
        timeout: Duration,
    ) -> QueryFuture<'a, Option<GroupState>>;

    /// Returns the states of these groups, and of others that are at hand.
    ///
    /// # Errors
    /// If the sink could not be queried.
    fn groups(
        &self,
        keys: BTreeSet<GroupingKey>,
        timeout: Duration,
    ) -> QueryFuture<'_, GroupStates>;

    /// Announces that [`group`](Self::group) will be called once for each of these keys, so that one query can serve all calls.
    /// Its response serves them for at least `response_ttl`. Replaces the keys that were announced before. The default does
    /// nothing.
    fn expect_groups(&self, _keys: &[GroupingKey], _response_ttl: Duration) {}

    /// Waits until the sink has responded to the requests for this group that have timed out. Returns false if `timeout`
    /// passes first. The default does not wait.
    fn late_responses<'a>(
        &'a self,
        _key: &'a GroupingKey,
        _timeout: Duration,
    ) -> BoxFuture<'a, bool> {
        Box::pin(ready(true))
    }

    /// Returns the time since which the sink has lost no group.
    ///
    /// # Errors
    /// If the sink could not be queried.
    fn started_at(&self, timeout: Duration) -> QueryFuture<'_, SystemTime>;

    /// Removes the empty group that a rejected first push leaves behind. Returns true if there was one.
    ///
    /// # Errors
    /// If the group could not be queried or removed.
    fn remove_empty_group<'a>(
        &'a self,
        key: &'a GroupingKey,
        timeout: Duration,
    ) -> QueryFuture<'a, bool>;
}

/// The series of one group, each in one line.
pub(crate) type SeriesSet = BTreeSet<String>;

/// The series that a sink has sent in each group. Later processes need them as well.
pub(crate) trait RecordSeries {
    /// Replaces the series of a group by those in the state directory. `None` means that they cannot be read: another process
    /// may send the group, so the next push ends no series.
    fn restore(&self, key: &GroupingKey, series: Option<SeriesSet>);

    /// Returns the series of a group after the last request that was accepted.
    fn series(&self, key: &GroupingKey) -> SeriesSet;
}

pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
pub(crate) type QueryFuture<'a, T> = BoxFuture<'a, Result<T, Error>>;
