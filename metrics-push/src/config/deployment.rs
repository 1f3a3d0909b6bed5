//! Deployment: a configuration in force, of the process or of a scope.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use once_cell::sync::OnceCell;

use super::Config;
use crate::courier::courier;
use crate::delivery::{Receipt, Route, Urgency};
use crate::error::Error;
use crate::hold::{Hold, MOST_KEYS};
use crate::notice;
use crate::parcel::Parcel;
use crate::state_dir::StateDir;
use crate::ticket::Ticket;

/// A configuration with its connections made: what runs are delivered with.
#[derive(Debug)]
pub(crate) struct Deployment {
    /// Every run is delivered to all of them.
    pub(crate) sinks: Vec<Route>,
    /// Where the parcels of tasks are held back for a while.
    hold: Option<Arc<Hold>>,
    pub(crate) job: Option<String>,
    pub(crate) grouping: BTreeMap<String, String>,
    pub(crate) timeout: Duration,
    pub(crate) state_dir: Arc<StateDir>,
}

impl Deployment {
    fn new(config: &Config) -> Result<Self, Error> {
        let state_dir = Arc::new(StateDir::new(config.state_dir.clone()));
        let sinks = config.routes(&state_dir)?;
        let hold = config
            .batch_interval
            .map(|interval| Hold::start(sinks.clone(), config.timeout, interval, MOST_KEYS / 2));
        Ok(Self {
            sinks,
            hold,
            job: config.job.clone(),
            grouping: config.grouping.clone(),
            timeout: config.timeout,
            state_dir,
        })
    }

    /// Has the courier ready before there is anything to send: its thread runs, and its clients are made.
    pub(crate) fn make_ready(self: &Arc<Self>) {
        let deployment = Arc::clone(self);
        drop(courier().run(async move {
            deployment.sinks.iter().for_each(|route| route.sink().make_ready());
        }));
    }

    /// Takes a parcel to all sinks, at once or with others for the same group. The tickets are for each of them; for
    /// what is only passing, there may be none.
    pub(crate) fn hand_over(
        &self,
        mut parcel: Parcel,
        budget: Duration,
        urgency: Urgency,
    ) -> Vec<Ticket<Receipt>> {
        let mut others = Vec::new();
        match (&self.hold, urgency) {
            (Some(hold), Urgency::Passing) => {
                hold.hand_in(parcel, urgency);
                return Vec::new();
            }
            (Some(hold), Urgency::Outcome) => return hold.hand_in_asking(parcel, urgency),
            (Some(hold), Urgency::LastWord) => {
                if let Some(kept) = hold.take(parcel.key()) {
                    parcel = kept.parcel.then(parcel);
                    others = kept.askers;
                }
            }
            (None, _) => {}
        }
        let others = others.into_iter().chain(std::iter::repeat_with(Vec::new));
        let hand_over = |(route, others)| {
            courier().hand_over_for(route, parcel.clone(), budget, urgency, others)
        };
        self.sinks.iter().zip(others).map(hand_over).collect()
    }

    /// The one in force here: of the innermost [`Scope`] on this thread, or the process'.
    pub(crate) fn current() -> Arc<Self> {
        // A thread that ends has no scopes any more.
        let scoped = SCOPES.try_with(|scopes| scopes.borrow().last().cloned());
        scoped.ok().flatten().unwrap_or_else(Self::of_process)
    }

    pub(crate) fn of_process() -> Arc<Self> {
        Arc::clone(PROCESS.get_or_init(Self::from_env))
    }

    fn from_env() -> Arc<Self> {
        let (config, problems) = Config::from_env();
        for problem in problems {
            notice::warn(format_args!("{problem:?}; the job runs on without this setting"));
        }
        let deployment = Self::new(&config).unwrap_or_else(|error| {
            notice::warn(format_args!("{error:?}; the job runs on, and nothing is pushed"));
            Self {
                sinks: Vec::new(),
                hold: None,
                job: None,
                grouping: BTreeMap::new(),
                timeout: config.timeout,
                state_dir: Arc::default(),
            }
        });
        if deployment.sinks.is_empty() {
            notice::debug("nothing is pushed: METRICS_PUSH_URL is not set, or pushing is disabled");
        }
        Arc::new(deployment)
    }
}

static PROCESS: OnceCell<Arc<Deployment>> = OnceCell::new();

thread_local! {
    static SCOPES: RefCell<Vec<Arc<Deployment>>> = const { RefCell::new(Vec::new()) };
}

/// Sets the configuration of the process, in place of the environment's.
///
/// # Errors
/// `is_config`, if the configuration contradicts itself, or if one is in use already: call this first in `main`.
pub fn init(config: Config) -> Result<(), Error> {
    let deployment = Arc::new(Deployment::new(&config)?);
    PROCESS.set(deployment).map_err(|_| {
        Error::config("the configuration is in use already")
            .remedy("call init once, before the first run starts")
    })
}

/// Uses a configuration on this thread until it is dropped: for tests, which share a process.
///
/// Runs that start on this thread meanwhile keep it until they end. Other threads, those of a runtime among them, need
/// [`Scope::around`] or [`Scope::around_call`].
#[must_use = "the configuration is in use only as long as this lives"]
#[derive(Debug)]
pub struct Scope {
    // Scopes end on the thread where they began.
    not_send: std::marker::PhantomData<*const ()>,
}

impl Config {
    /// Uses this configuration on this thread until the returned value is dropped.
    ///
    /// # Errors
    /// `is_config`, if the configuration contradicts itself.
    pub fn scope(self) -> Result<Scope, Error> {
        Ok(Scope::enter(Arc::new(Deployment::new(&self)?)))
    }
}

impl Scope {
    /// The future, polled with the configuration that is in use here and now, on whatever thread that happens.
    ///
    /// A scope holds on its own thread: a task that is spawned on a runtime with several needs this.
    ///
    /// ```
    /// use metrics_push::{Config, Scope, push_job, testing::FakeGateway};
    ///
    /// #[push_job]
    /// async fn reindex() {}
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let gateway = FakeGateway::start();
    /// let _scope = Config::default().url(gateway.url())?.scope()?;
    /// tokio::spawn(Scope::around(reindex())).await?;
    /// gateway.after_run("reindex", &[]).assert_outcome("success");
    /// # Ok(())
    /// # }
    /// ```
    pub fn around<F: Future>(future: F) -> impl Future<Output = F::Output> {
        let deployment = Deployment::current();
        // Made by hand, so that the configuration is in use only while the future is polled.
        let mut future = Box::pin(future);
        std::future::poll_fn(move |context| {
            let _scope = Self::enter(Arc::clone(&deployment));
            future.as_mut().poll(context)
        })
    }

    /// The closure, called with the configuration that is in use here and now: for threads.
    ///
    /// ```
    /// # use metrics_push::{Config, Scope, push_job, testing::FakeGateway};
    /// # #[push_job]
    /// # fn reindex() {}
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let gateway = FakeGateway::start();
    /// let _scope = Config::default().url(gateway.url())?.scope()?;
    /// std::thread::spawn(Scope::around_call(reindex)).join().unwrap();
    /// gateway.after_run("reindex", &[]).assert_outcome("success");
    /// # Ok(())
    /// # }
    /// ```
    pub fn around_call<T>(call: impl FnOnce() -> T) -> impl FnOnce() -> T {
        let deployment = Deployment::current();
        move || {
            let _scope = Self::enter(deployment);
            call()
        }
    }

    fn enter(deployment: Arc<Deployment>) -> Self {
        SCOPES.with_borrow_mut(|scopes| scopes.push(deployment));
        Self { not_send: std::marker::PhantomData }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        SCOPES.with_borrow_mut(Vec::pop);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_ends_where_it_began() {
        let config = Config::default().job("scoped").unwrap();
        let scope = config.scope().unwrap();
        assert_eq!(Deployment::current().job.as_deref(), Some("scoped"));
        drop(scope);
        assert_ne!(Deployment::current().job.as_deref(), Some("scoped"));
    }
}
