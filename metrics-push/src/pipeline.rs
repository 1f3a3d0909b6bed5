//! `Pipeline`: the routes and settings of a configuration. The process has one; each [`Scope`] replaces it on its
//! thread.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::config::Config;
use crate::delivery::policy::MAX_GROUPS;
use crate::delivery::{DeliveryClass, Route, Router};
use crate::dispatcher::buffer::BatchBuffer;
use crate::dispatcher::{OnSettled, dispatcher};
use crate::error::Error;
use crate::history::History;
use crate::labels::GroupingKey;
use crate::log;
use crate::push_request::PushRequest;
use crate::sink::{self, Destination, Mode, OnFailure, Target};
use crate::spool::Spool;
use crate::state_dir::StateDir;

/// Submits the requests of runs to the dispatcher, for all routes of a configuration.
#[derive(Clone, Debug)]
pub(crate) struct Pipeline {
    /// Every run is delivered to all sinks.
    pub(crate) routers: Vec<Router>,
    /// Collects the requests of tasks, if batching is configured.
    buffer: Option<Arc<BatchBuffer>>,
    pub(crate) job: Option<String>,
    pub(crate) grouping: BTreeMap<String, String>,
    pub(crate) timeout: Duration,
    pub(crate) state_dir: Arc<StateDir>,
    pub(crate) history: Arc<History>,
}

impl Pipeline {
    fn new(config: &Config) -> Result<Self, Error> {
        Self::with_targets(config, config.targets()?)
    }

    /// Returns a pipeline to these targets, with the other settings of a configuration.
    ///
    /// # Errors
    /// `is_config` if a sink does not accept its target.
    pub(crate) fn with_targets(config: &Config, targets: Vec<Target>) -> Result<Self, Error> {
        let sinks = targets.iter().map(open).collect::<Result<_, _>>()?;
        Ok(Self::with_sinks(config, sinks))
    }

    /// Returns a pipeline with the valid sinks, and the errors of the others, so that one invalid sink does not block
    /// the rest.
    pub(crate) fn with_valid_sinks(config: &Config) -> (Self, Vec<Error>) {
        let (mut sinks, mut errors) = (Vec::new(), Vec::new());
        for target in config.each_target() {
            match target.and_then(|target| open(&target)) {
                Ok(sink) => sinks.push(sink),
                Err(error) => errors.push(error),
            }
        }
        (Self::with_sinks(config, sinks), errors)
    }

    fn with_sinks(config: &Config, sinks: Vec<(Mode, Destination)>) -> Self {
        let state_dir = Arc::new(StateDir::new(config.state_dir.clone()));
        let history = Arc::new(History::new(&state_dir, config.totals));
        let urls: Vec<_> = sinks.iter().map(|(_, sink)| sink.to_string()).collect();
        let sinks = sinks.into_iter();
        let routers: Vec<_> =
            sinks.map(|(mode, sink)| router(mode, sink, &state_dir, &history, &urls)).collect();
        let buffer = config.batch_interval.map(|interval| {
            BatchBuffer::start(routers.clone(), config.timeout, interval, MAX_GROUPS / 2)
        });
        Self {
            routers,
            buffer,
            job: config.job.clone(),
            grouping: config.grouping.clone(),
            timeout: config.timeout,
            state_dir,
            history,
        }
    }

    /// Returns the same pipeline with another timeout.
    pub(crate) fn with_timeout(&self, timeout: Duration) -> Self {
        Self { timeout, ..self.clone() }
    }

    /// Returns the URL of the configured sink that gets the records for the sink with this URL. It differs if the sink is a
    /// ring that has changed. The URLs have no credentials.
    pub(crate) fn present_url(&self, url: &str) -> Option<&str> {
        self.routers.iter().find(|router| router.is_for(url)).map(Router::url)
    }

    /// Returns the URLs of all sinks, without credentials.
    pub(crate) fn urls(&self) -> Vec<String> {
        self.routers.iter().map(|router| router.url().to_owned()).collect()
    }

    /// Returns the route to each sink for a group.
    pub(crate) fn routes_for(&self, key: &GroupingKey) -> impl Iterator<Item = &Route> {
        self.routers.iter().map(move |router| router.route(key))
    }

    /// Returns the routes to all sinks and all their shards.
    pub(crate) fn all_routes(&self) -> impl Iterator<Item = &Route> {
        self.routers.iter().flat_map(Router::routes)
    }

    /// Returns each route with the groups that have a spooled request for it. Blocks.
    pub(crate) fn spooled_keys(&self) -> impl Iterator<Item = (&Route, Vec<GroupingKey>)> {
        self.routers.iter().flat_map(Router::spooled_keys)
    }

    /// Starts the dispatcher's thread and creates the HTTP clients before there is anything to send.
    pub(crate) fn prepare(self: &Arc<Self>) {
        let pipeline = Arc::clone(self);
        drop(dispatcher().spawn(async move {
            // One shard gets the requests of most processes. Its client is created with the first one.
            let single = pipeline.routers.iter().filter(|router| !router.has_shards());
            single.flat_map(Router::routes).for_each(|route| route.sink().prepare());
        }));
    }

    /// Submits a start or a heartbeat to all sinks. No receipt is needed: the completion follows.
    pub(crate) fn submit_interim(&self, request: PushRequest, timeout: Duration) {
        let class = DeliveryClass::BestEffort;
        match &self.buffer {
            Some(buffer) => buffer.enqueue(request, class, Vec::new()),
            None => self.submit_to_all(request, timeout, class, Vec::new),
        }
    }

    /// Submits the completion of one of many tasks to all sinks, merged with others for the same group if batching is
    /// configured. `new_callback` creates the callback of each sink.
    pub(crate) fn submit_spooled(
        &self,
        request: PushRequest,
        timeout: Duration,
        new_callback: impl Fn() -> OnSettled,
    ) {
        let class = DeliveryClass::Spooled;
        match &self.buffer {
            Some(buffer) => {
                let callbacks = self.routers.iter().map(|_| new_callback()).collect();
                buffer.enqueue(request, class, callbacks);
            }
            None => self.submit_to_all(request, timeout, class, || vec![new_callback()]),
        }
    }

    /// Submits the request of a message to one sink, without batching.
    #[cfg_attr(not(feature = "kafka"), expect(dead_code, reason = "only the relay has messages"))]
    pub(crate) fn submit_relayed(
        &self,
        router: usize,
        request: PushRequest,
        on_settled: OnSettled,
    ) {
        let route = self.routers[router].route(request.key());
        let class = DeliveryClass::Relayed;
        dispatcher().submit(route, request, self.timeout, class, vec![on_settled]);
    }

    /// Submits the completion of a whole process to all sinks without batching. The buffered request for its group is
    /// merged into it.
    pub(crate) fn submit_final(
        &self,
        mut request: PushRequest,
        timeout: Duration,
        new_callback: impl Fn() -> OnSettled,
    ) {
        let mut buffered = Vec::new();
        if let Some(earlier) = self.buffer.as_ref().and_then(|buffer| buffer.take(request.key())) {
            request = earlier.request.merged_with(request);
            buffered = earlier.on_settled;
        }
        let mut buffered = buffered.into_iter();
        self.submit_to_all(request, timeout, DeliveryClass::Final, || {
            let mut callbacks = buffered.next().unwrap_or_default();
            callbacks.push(new_callback());
            callbacks
        });
    }

    fn submit_to_all(
        &self,
        request: PushRequest,
        timeout: Duration,
        class: DeliveryClass,
        mut new_callbacks: impl FnMut() -> Vec<OnSettled>,
    ) {
        for route in self.routes_for(request.key()) {
            dispatcher().submit(route, request.clone(), timeout, class, new_callbacks());
        }
    }

    /// Returns the pipeline of the innermost [`Scope`] on this thread, or that of the process.
    pub(crate) fn current() -> Arc<Self> {
        // While a thread exits, its thread-locals are gone.
        let scoped = SCOPES.try_with(|scopes| scopes.borrow().last().cloned());
        scoped.ok().flatten().unwrap_or_else(Self::of_process)
    }

    /// Returns the timeout for deliveries while the process is ending.
    pub(crate) fn process_timeout() -> Duration {
        Self::of_process().timeout
    }

    fn of_process() -> Arc<Self> {
        Arc::clone(PROCESS.get_or_init(Self::from_env))
    }

    fn from_env() -> Arc<Self> {
        let (config, problems) = Config::from_env();
        for problem in problems {
            log::warn(format_args!("{problem:?}; the job runs without this setting"));
        }
        let (pipeline, errors) = Self::with_valid_sinks(&config);
        for error in errors {
            log::warn(format_args!("{error:?}; the job runs, and nothing is pushed to this sink"));
        }
        if pipeline.routers.is_empty() {
            log::debug("nothing is pushed: METRICS_PUSH_URL is not set, or pushing is disabled");
        }
        Arc::new(pipeline)
    }
}

/// Opens the sink of a target.
fn open(target: &Target) -> Result<(Mode, Destination), Error> {
    let sink = sink::open(target).map_err(|error| {
        if error.has_context("url") { error } else { error.at("url", target.url.redacted()) }
    });
    Ok((target.mode, sink?))
}

/// Returns the routes to a sink. `urls` are those of all configured sinks.
fn router(
    mode: Mode,
    destination: Destination,
    state_dir: &Arc<StateDir>,
    history: &Arc<History>,
    urls: &[String],
) -> Router {
    let is_stored = match &destination {
        Destination::Single(sink) => sink.semantics().on_failure == OnFailure::Spools,
        Destination::Sharded(_) => true,
    };
    let is_live = mode == Mode::Live;
    let url = destination.to_string();
    let spool = (is_live && is_stored).then(|| Spool::new(state_dir, &url, urls)).flatten();
    let history = if is_live { Arc::clone(history) } else { Arc::default() };
    Router::buffered(destination, spool.as_ref(), &history)
}

static PROCESS: OnceLock<Arc<Pipeline>> = OnceLock::new();

thread_local! {
    static SCOPES: RefCell<Vec<Arc<Pipeline>>> = const { RefCell::new(Vec::new()) };
}

/// Sets the configuration of the process, in place of the environment's.
///
/// # Errors
/// `is_config` if the configuration is contradictory, or if the process already uses another one: call this first in
/// `main`.
pub fn init(config: Config) -> Result<(), Error> {
    set_process_pipeline(Pipeline::new(&config)?)
}

/// Like [`init`], but skips invalid sinks. Returns all errors. For `metrics-push exec`.
#[must_use]
pub fn init_with_valid_sinks(config: &Config) -> Vec<Error> {
    let (pipeline, mut errors) = Pipeline::with_valid_sinks(config);
    errors.extend(set_process_pipeline(pipeline).err());
    errors
}

fn set_process_pipeline(pipeline: Pipeline) -> Result<(), Error> {
    PROCESS.set(Arc::new(pipeline)).map_err(|_| {
        Error::config("the configuration is already in use")
            .remedy("call init once, before the first run starts")
    })
}

/// Uses a configuration on this thread until the scope is dropped. For tests, which share one process.
///
/// A run that starts on this thread uses this configuration until it ends. Other threads, including those of a runtime,
/// need [`Scope::wrap_future`] or [`Scope::wrap_fn`].
#[must_use = "the configuration is used only as long as the scope lives"]
#[derive(Debug)]
pub struct Scope {
    // A scope must be dropped on the thread where it was entered.
    not_send: std::marker::PhantomData<*const ()>,
}

impl Config {
    /// Uses this configuration on this thread until the returned scope is dropped.
    ///
    /// # Errors
    /// `is_config` if the configuration is contradictory.
    pub fn scope(self) -> Result<Scope, Error> {
        Ok(Scope::enter(Arc::new(Pipeline::new(&self)?)))
    }
}

impl Scope {
    /// Wraps a future so that it is polled with the current configuration, on any thread.
    ///
    /// A scope is limited to its thread, so a task that is spawned on a runtime with several threads needs this.
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
    /// tokio::spawn(Scope::wrap_future(reindex())).await?;
    /// gateway.after_run("reindex", &[]).assert_outcome("success");
    /// # Ok(())
    /// # }
    /// ```
    pub fn wrap_future<F: Future>(future: F) -> impl Future<Output = F::Output> {
        let pipeline = Pipeline::current();
        let mut future = Box::pin(future);
        // Not an async block: the configuration is used only while the future is polled.
        std::future::poll_fn(move |context| {
            let _scope = Self::enter(Arc::clone(&pipeline));
            future.as_mut().poll(context)
        })
    }

    /// Wraps a closure so that it is called with the current configuration. For threads.
    ///
    /// ```
    /// # use metrics_push::{Config, Scope, push_job, testing::FakeGateway};
    /// # #[push_job]
    /// # fn reindex() {}
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let gateway = FakeGateway::start();
    /// let _scope = Config::default().url(gateway.url())?.scope()?;
    /// std::thread::spawn(Scope::wrap_fn(reindex)).join().unwrap();
    /// gateway.after_run("reindex", &[]).assert_outcome("success");
    /// # Ok(())
    /// # }
    /// ```
    pub fn wrap_fn<T>(f: impl FnOnce() -> T) -> impl FnOnce() -> T {
        let pipeline = Pipeline::current();
        move || {
            let _scope = Self::enter(pipeline);
            f()
        }
    }

    fn enter(pipeline: Arc<Pipeline>) -> Self {
        SCOPES.with_borrow_mut(|scopes| scopes.push(pipeline));
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
    fn scope_restores_the_previous_configuration() {
        let config = Config::default().job("scoped").unwrap();
        let scope = config.scope().unwrap();
        assert_eq!(Pipeline::current().job.as_deref(), Some("scoped"));
        drop(scope);
        assert_ne!(Pipeline::current().job.as_deref(), Some("scoped"));
    }
}
