//! The re-exported attributes and their documentation, whose examples can use the whole crate here.

/// Reports each call of a function as a run of a job: its start, its outcome and its duration.
///
/// ```no_run
/// use metrics_push::push_job;
///
/// #[push_job(every = "24h")]
/// fn main() -> Result<(), std::io::Error> {
///     std::fs::copy("orders.csv", "orders.bak")?;
///     Ok(())
/// }
/// ```
///
/// Use it on `fn main` (sync or async, above or below `#[tokio::main]`), or on any other function with a body: free
/// functions, methods, `async` functions and generic functions. The attribute does not change the result, the panics
/// or the exit status of the function.
///
/// A run of `main` pushes the default registry and the metrics of the run, and waits for the delivery. A run of any
/// other function pushes only the metrics of the run, because many tasks may share a process.
///
/// # Expansion
///
/// ```
/// # use metrics_push::push_job;
/// #[push_job(every = "24h", run = run)]
/// fn import(path: &str) -> Result<u64, std::io::Error> {
///     let bytes = std::fs::read(path)?.len() as u64;
///     run.add_processed(bytes);
///     Ok(bytes)
/// }
/// ```
///
/// expands to the following code, where paths are shortened:
///
/// ```text
/// fn import(path: &str) -> Result<u64, std::io::Error> {
///     let run = start({ static JOB: Job = Job::new("import").every(Duration::from_secs(86400)); &JOB }, &[]);
///     let run: &Run = &run;
///     let ended = call(&run, || -> Result<u64, std::io::Error> { /* the body */ });
///     let outcome = judge(ended.result()).outcome();
///     ended.finish(outcome)
/// }
/// ```
///
/// # Arguments
///
/// All arguments are optional. Literals are checked at compile time.
///
/// ## `name`
///
/// The `job` label: a string literal or the path of a constant. The default is the name of the binary for `main`, and
/// the name of the function otherwise.
///
/// ```
/// # use metrics_push::push_job;
/// #[push_job(name = "nightly_import")]
/// fn import() {}
/// ```
///
/// ## `grouping`
///
/// Additional labels of the grouping key. The expressions are evaluated once, when the run starts, from left to right.
/// They may use the arguments of the function. Labels with an empty value are omitted. A value that is longer than 1,024
/// bytes is cut, and ends with a checksum of the whole value. If `Display` panics, the value is `_invalid`.
///
/// ```
/// # use metrics_push::push_job;
/// #[push_job(grouping(region = "eu", shard = shard))]
/// fn import(shard: u32) {}
/// ```
///
/// ## `instance`
///
/// Adds the `instance` label with the host name or the given value. The label is off by default: a pod has a new name
/// for each run, and each name would create a new group.
///
/// ```
/// # use metrics_push::push_job;
/// #[push_job(instance)]
/// fn rotate_logs() {}
///
/// #[push_job(instance = format!("printer-{number}"))]
/// fn calibrate(number: u32) {}
/// ```
///
/// ## `run`
///
/// Makes the [`Run`](crate::Run) available in the body under the given name. Use it to count records, time stages,
/// report progress and create metrics of the run.
///
/// ```
/// # use metrics_push::push_job;
/// #[push_job(run = job)]
/// fn import() {
///     let _stage = job.stage("extract");
///     job.add_processed(3);
/// }
/// ```
///
/// [`run.handle()`](crate::RunHandle::handle) returns an owned handle for tasks and threads:
///
/// ```
/// # use metrics_push::push_job;
/// #[push_job(run = run)]
/// async fn import(files: Vec<String>) {
///     let mut tasks = tokio::task::JoinSet::new();
///     for file in files {
///         let run = run.handle();
///         tasks.spawn(async move { run.add_processed(file.len() as u64) });
///     }
///     tasks.join_all().await;
/// }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(import(vec![String::new()]));
/// ```
///
/// ## `every`, `max_runtime`, `heartbeat`
///
/// The interval in which a success is expected, the maximum duration of a run, and the interval in which a run pushes
/// its progress, which is at least a second. Each is a string of the form that
/// [`parse_duration`](crate::parse_duration) accepts, or a constant [`Duration`](std::time::Duration).
///
/// ```
/// # use metrics_push::push_job;
/// # use std::time::Duration;
/// const LIMIT: Duration = Duration::from_secs(600);
///
/// #[push_job(every = "1h30m", max_runtime = LIMIT, heartbeat = "30s")]
/// fn import() {}
/// ```
///
/// ## `schedule`, `timezone`, `grace`
///
/// The times at which runs start, instead of `every`: a cron expression with five fields, or a short form such as
/// `@daily`. `timezone` is a name of the time zone database. The default is the time zone of the machine. `grace` is how
/// late a run may start, also with `every`. An alert fires for a later one. The default is five minutes with `schedule`,
/// and half the interval with `every`.
///
/// `schedule` and `timezone` need the feature `schedule`. A literal expression is checked at compile time. A constant
/// expression and the time zone are checked when a run starts: if one is invalid, the library logs one line, and the
/// run continues without a schedule. See [`guide::schedules`](crate::guide::schedules).
///
/// ```
/// # use metrics_push::push_job;
/// #[push_job(schedule = "0 3 * * 1-5", timezone = "Europe/Berlin", grace = "10m")]
/// fn report() {}
/// ```
///
/// ## `failure_threshold`, `recovery_threshold`
///
/// How many runs in a row must fail before `BatchJobFailed` fires, and how many must succeed before it ends. Both are 1 by
/// default. The number of failures in a row is stored in the state directory. Without it, each failure counts as the first.
///
/// ```
/// # use metrics_push::push_job;
/// #[push_job(every = "5m", failure_threshold = 3, recovery_threshold = 2)]
/// fn sync_orders() {}
/// ```
///
/// ## `kill`
///
/// Ends a `main` that exceeds `max_runtime`: the process receives TERM, and KILL ten seconds later. The outcome is a
/// timeout. Implies `supervise`.
///
/// ```no_run
/// # use metrics_push::push_job;
/// #[push_job(max_runtime = "1h", kill, supervise)]
/// fn main() {}
/// ```
///
/// ## `supervise`
///
/// Runs a `main` as a child process. The parent process reports how it ends, even if it is killed. See
/// [`guarantees`](crate::guarantees).
///
/// ## `signals`
///
/// By default, a `main` reports the signals TERM, INT, HUP, QUIT and XCPU before they end the process, unless the program
/// handles or ignores them. `signals = off` disables this. A task leaves signals to its scheduler in any case.
///
/// ```no_run
/// # use metrics_push::push_job;
/// #[push_job(signals = off)]
/// fn main() {}
/// ```
///
/// ## `cumulative`
///
/// Adds up the counters and histograms of the job over its runs: see
/// [totals over runs](crate::guide::history#totals-over-runs). By default, each run pushes what it has counted itself.
///
/// ```no_run
/// # use metrics_push::push_job;
/// #[push_job(instance, cumulative)]
/// fn main() {
///     metrics_push::counter("orders_total", "Orders seen.").unwrap().inc();
/// }
/// ```
///
/// ## `on_success`
///
/// How a successful run changes its group. `push`, the default, replaces the group, so that metrics disappear which the
/// job no longer exports. `add` replaces only metrics with the same name.
///
/// ```
/// # use metrics_push::push_job;
/// #[push_job(on_success = add)]
/// fn import() {}
/// ```
///
/// ## `ok_if`, `error_if`
///
/// A path or a closure that receives a reference to the result. `ok_if` returns true for a success, `error_if` returns
/// true for a failure. By default, an `Err` and an exit code other than zero are failures, even if the return type is
/// an alias. Every other result is a success. In generic code, this includes results whose type is a type parameter.
///
/// ```
/// # use metrics_push::push_job;
/// #[push_job(ok_if = Option::is_some)]
/// fn next_order() -> Option<u32> {
///     None
/// }
///
/// #[push_job(error_if = |imported| *imported == 0)]
/// fn import() -> u32 {
///     17
/// }
/// ```
///
/// ## `skip_if`
///
/// A path or a closure that receives a reference to the result and returns true if there was nothing to do. The outcome is
/// then `skipped`, which counts neither as a success nor as a failure, also for an `Err`. Any other result is judged as
/// without `skip_if`. [`Run::skip`](crate::RunHandle::skip) does the same from inside the body of a run that succeeds.
///
/// ```
/// # use metrics_push::push_job;
/// #[push_job(skip_if = |imported| matches!(imported, Ok(0)))]
/// fn import() -> Result<u32, std::io::Error> {
///     Ok(0)
/// }
/// ```
///
/// ## `registry`
///
/// Pushes this registry instead of the default registry: a static, or an expression of type `&'static Registry`.
///
/// ```
/// # use metrics_push::{prometheus::Registry, push_job};
/// # use std::sync::LazyLock;
/// static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::new);
///
/// #[push_job(registry = REGISTRY)]
/// fn import() {}
/// ```
///
/// ## `crate`
///
/// The absolute path of this crate, if it is not `::metrics_push`.
///
/// ```
/// mod facade {
///     pub use metrics_push::*;
/// }
///
/// #[facade::push_job(crate = crate::facade)]
/// fn import() {}
/// # fn main() {}
/// ```
///
/// # Other attributes
///
/// Write this attribute below an attribute that changes the return type, such as `#[culpa::throws]` or
/// `#[fehler::throws]`, so that it inspects the new type. The order does not matter for attributes that retain the
/// signature, such as `#[tokio::main]`, `#[tokio::test]`, `#[tracing::instrument]`, `#[fastrace::trace]`,
/// `#[async_trait]`, `#[rstest]` and `#[test_case]`. The attribute that is written first contains the other: below
/// `#[cached]`, each call is a run, and above it, each computation.
///
/// On a function that ends with `Box::pin(async { .. })`, write `#[fastrace::trace]` above an attribute with `grouping` or
/// `labels`. Below it, `#[fastrace::trace]` removes the statement that evaluates the labels, and the function does not
/// compile.
///
/// # Special cases
///
/// - If a function returns `impl Future` or `Pin<Box<dyn Future>>`, as `async_trait` generates it, the run starts when the
///   future is first polled and ends with the future. The argument `run` is supported there if the function ends with
///   `async { .. }` or `Box::pin(async { .. })` and does not return earlier.
/// - The result of a function that returns `impl Fn` is not inspected: a call that returns is a success. An `async fn` that
///   returns `impl Fn` must declare the types of the closure's parameters.
/// - The future of an annotated `async fn` contains the future of its body, so that the attribute inspects the result of
///   every `return` and `?`. A chain of functions that await each other therefore reaches the recursion limit of the
///   compiler earlier. The compiler reports "queries overflow the depth limit" for more than 14 functions, instead of 33
///   without the attribute. If the future must be `Send`, it reports "overflow evaluating the requirement" for more than
///   20 functions, instead of 42. The remedy is `#![recursion_limit = "256"]` in the crate. [`timed`] without `outcome`
///   adds no future and changes no limit.
/// - In a `#[track_caller]` function, [`Location::caller`](std::panic::Location::caller) returns the location of the
///   attribute, because the attribute inspects the result. The same applies to every `async fn`.
/// - A `const fn` and a function without a body are compile errors.
pub use metrics_push_macros::push_job;

/// Counts the calls of a function by outcome: `success`, `error`, `panic` or `cancelled`.
///
/// ```
/// use metrics_push::counted;
///
/// #[counted]
/// fn parse(text: &str) -> Result<u32, std::num::ParseIntError> {
///     text.trim().parse()
/// }
///
/// assert!(parse("12").is_ok() && parse("x").is_err());
/// // function_calls_total{function="parse",module="..",outcome="error"} 1
/// // function_calls_total{function="parse",module="..",outcome="success"} 1
/// ```
///
/// From the first call, all four outcomes are exported, with the value zero if they have not occurred. A future that is
/// dropped after its first poll is `cancelled`. A future that is never polled is not counted. Each level of a recursion is
/// a call. The arguments of the function are only exported if a label names them.
///
/// # Expansion
///
/// The function above expands to the following code, where paths are shortened:
///
/// ```text
/// fn parse(text: &str) -> Result<u32, std::num::ParseIntError> {
///     call(
///         { static SITE: SharedCountedSite = SharedCountedSite::new(); &SITE }.start("parse", module_path!()),
///         || -> Result<u32, std::num::ParseIntError> { /* the body */ },
///     )
///     .finish_result()
/// }
/// ```
///
/// In an `async fn`, the expansion contains an `async` block instead of the closure. It enlarges the future by a copy
/// of the arguments. If you only need the duration, [`timed`] costs less.
///
/// # Arguments
///
/// All arguments are optional. Literals are checked at compile time.
///
/// ## `name`, `help`
///
/// `name` gives the function its own counter. It is a string literal or the path of a constant. The help text is the first
/// paragraph of the function's documentation, unless `help` is given.
///
/// Functions without a `name` share the counter `function_calls_total`, which has one help text and one set of label
/// names. Therefore `help` and `labels` require a `name`.
///
/// ```
/// # use metrics_push::counted;
/// /// Payments taken.
/// #[counted(name = "payments_total")]
/// fn pay() {}
///
/// #[counted(name = "refunds_total", help = "Payments given back.")]
/// fn refund() {}
/// ```
///
/// ## `labels`
///
/// Additional labels. The expressions are evaluated once, from left to right: when the call starts, or in an `async fn`
/// when the future is first polled. Their types must implement [`Display`](std::fmt::Display). They may use the arguments
/// of the function, even if the body moves them. Long values are cut, and a panic of `Display` is caught, as in the
/// `grouping` of [`push_job`].
///
/// ```
/// # use metrics_push::counted;
/// # struct Payment { method: &'static str }
/// #[counted(name = "payments_total", labels(service = "checkout", method = payment.method))]
/// fn pay(payment: Payment) {}
/// # pay(Payment { method: "card" });
/// ```
///
/// ## `max_series`
///
/// The maximum number of combinations of label values. Beyond it, new values become `_other`, and a warning is logged
/// once.
///
/// ```
/// # use metrics_push::counted;
/// #[counted(name = "visits_total", labels(page = page), max_series = 20)]
/// fn visit(page: &str) {}
/// ```
///
/// ## `ok_if`, `error_if`
///
/// See [`push_job`].
///
/// ```
/// # use metrics_push::counted;
/// #[counted(error_if = |status| *status >= 500)]
/// fn fetch() -> u16 {
///     503
/// }
/// ```
///
/// ## `only = error`
///
/// Does not count successful calls.
///
/// ```
/// # use metrics_push::counted;
/// #[counted(name = "fetch_errors_total", only = error)]
/// fn fetch() -> Result<(), String> {
///     Err("no route".to_owned())
/// }
/// ```
///
/// ## `conventions = off`
///
/// Allows a name that does not end in `_total`, for existing metrics that can't be renamed. Invalid characters and
/// reserved names are still compile errors.
///
/// ```
/// # use metrics_push::counted;
/// #[counted(name = "payments", conventions = off)]
/// fn pay() {}
/// ```
///
/// ## `future`
///
/// Measures the future that the function returns, and boxes it a second time. Use it if the return type is an alias of
/// a boxed future. `impl Future` and `Pin<Box<dyn Future>>` are recognised without this argument. For every other
/// return type, such as `Ready` or a stream, the attribute measures only the function that creates the value.
///
/// ```
/// # use metrics_push::counted;
/// # use std::pin::Pin;
/// type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
///
/// #[counted(future)]
/// fn load(path: &str) -> BoxFuture<'_, Result<String, std::io::Error>> {
///     Box::pin(async move { std::fs::read_to_string(path) })
/// }
/// ```
///
/// ## `registry`, `crate`
///
/// `registry` replaces the default registry, in which the metric is otherwise registered. For the form of both
/// arguments, see [`push_job`].
///
/// # `impl` blocks
///
/// On an `impl` block, the attribute applies to every method. The `function` label contains the name of the type, for
/// example `Store::flush`. A method can override single arguments with its own attribute, and `skip` excludes it. A
/// `const fn` needs `skip`. If the block names the metric, its help text is the first paragraph of the block's
/// documentation.
///
/// ```
/// # use metrics_push::counted;
/// struct Store;
///
/// #[counted]
/// impl Store {
///     fn flush(&self) {}
///
///     #[counted(ok_if = |n| *n > 0)]
///     fn len(&self) -> usize {
///         0
///     }
///
///     #[counted(skip)]
///     const fn new() -> Self {
///         Self
///     }
/// }
/// ```
///
/// # Special cases
///
/// - For the order of several attributes, for functions that return `impl Fn` and for long chains of `async` functions, see
///   [`push_job`].
/// - The result of a `#[track_caller]` function is not inspected, so that
///   [`Location::caller`](std::panic::Location::caller) still returns the caller. An `Err` counts as a success, and so does a
///   panic while the thread is already unwinding. `ok_if` and `error_if` are compile errors there.
/// - On an implementation of `Future::poll`, each poll is a call.
/// - A `const fn` and a function without a body are compile errors.
pub use metrics_push_macros::counted;

/// Measures the duration of the calls of a function.
///
/// ```
/// use metrics_push::timed;
///
/// #[timed]
/// fn sort(numbers: &mut [u32]) {
///     numbers.sort();
/// }
///
/// sort(&mut [2, 1]);
/// // function_duration_seconds_count{function="sort",module=".."} 1
/// ```
///
/// A call ends when the function returns, panics or is cancelled. Each call is observed once. If the function returns a
/// guard, the lifetime of the guard is not part of the call. The result is not inspected, so the future of an
/// `async fn` grows by only a few words.
///
/// The clock is monotonic. It is [`Instant`](std::time::Instant) or the time-stamp counter of the processor. The
/// counter is faster, and is used only if it is reliable: on Linux, if the kernel itself uses it as its clock source.
/// The counter deviates from `Instant` by at most 0.1 ms per second and 0.36 s per hour.
///
/// # Expansion
///
/// The function above expands to the following code, where paths are shortened:
///
/// ```text
/// fn sort(numbers: &mut [u32]) {
///     let _call = { static SITE: SharedTimedSite = SharedTimedSite::new(); &SITE }.start("sort", module_path!());
///     { /* the body */ }
/// }
/// ```
///
/// # Arguments
///
/// All arguments are optional. Literals are checked at compile time.
///
/// ## `name`, `help`, `labels`, `max_series`, `conventions`, `future`, `registry`, `crate`
///
/// See [`counted`]. Functions without a `name` share the histogram `function_duration_seconds`. By convention, a name
/// ends in `_seconds`.
///
/// ```
/// # use metrics_push::timed;
/// /// How long rendering takes.
/// #[timed(name = "render_duration_seconds", labels(format = format))]
/// fn render(format: &str) {}
/// ```
///
/// ## `buckets`
///
/// The upper bounds in seconds: a list, or an expression of type `&'static [f64]`. The default is
/// [`DEFAULT_BUCKETS`](crate::DEFAULT_BUCKETS).
///
/// ```
/// # use metrics_push::timed;
/// #[timed(buckets = [0.1, 1, 10, 60])]
/// fn report() {}
///
/// const BUCKETS: &[f64] = &[0.001, 0.01];
///
/// #[timed(buckets = BUCKETS)]
/// fn look_up() {}
/// ```
///
/// ## `outcome`, `ok_if`, `error_if`
///
/// `outcome` adds the `outcome` label. The result is then inspected, at the cost of [`counted`], and `ok_if` and
/// `error_if` are supported; see [`push_job`]. `outcome` requires a `name`, because the shared histogram does not have
/// this label.
///
/// ```
/// # use metrics_push::timed;
/// #[timed(name = "fetch_duration_seconds", outcome, error_if = |status| *status >= 500)]
/// fn fetch() -> u16 {
///     200
/// }
/// ```
///
/// ## `in_flight`
///
/// Adds the gauge `function_in_flight{function, module}`, the number of calls in flight. A panic or a cancellation also
/// ends the call.
///
/// ```
/// # use metrics_push::timed;
/// #[timed(in_flight)]
/// async fn serve() {}
/// ```
///
/// # `impl` blocks, special cases
///
/// See [`counted`].
pub use metrics_push_macros::timed;
