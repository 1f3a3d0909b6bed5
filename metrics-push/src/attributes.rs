//! The attributes, re-exported with their documentation: here its examples can use the whole crate.

/// Reports every run of a function as a job: its start, how it ended, how long it took.
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
/// It stands on `fn main` (sync or async, above or below `#[tokio::main]`) and on any other function with a body: free,
/// method, `async`, generic. The function's result, its panics and its exit status stay as they are. `main` pushes
/// the default registry along with the run's own metrics and waits for the delivery; any other function pushes the
/// metrics of its run alone, since many tasks may share a process.
///
/// # What becomes of the function
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
/// becomes, with the paths shortened:
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
/// All are optional. Literals are checked when compiling.
///
/// ## `name`
/// The `job` label: a string, or the path of a constant. By default the name of the binary for `main`, and the
/// function's otherwise.
///
/// ```
/// # use metrics_push::push_job;
/// #[push_job(name = "nightly_import")]
/// fn import() {}
/// ```
///
/// ## `grouping`
/// Further labels of the group, evaluated once, at the start, from left to right; they may use the function's
/// arguments. What is empty is left out.
///
/// ```
/// # use metrics_push::push_job;
/// #[push_job(grouping(region = "eu", shard = shard))]
/// fn import(shard: u32) {}
/// ```
///
/// ## `instance`
/// Adds the `instance` label: the machine's name, or the given value. Without it there is none, because a new name
/// at each run, as pods have, would be a new group each time.
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
/// Gives the body the [`Run`](crate::Run), under the name that is asked for: to count records, time stages, show
/// progress, have metrics of the run.
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
/// ## `every`, `max_runtime`, `heartbeat`
/// How often a success is expected, how long a run may take, how often to push while it lasts. A string of numbers
/// with units (`d`, `h`, `m`, `s`, `ms`), or a constant [`Duration`](std::time::Duration).
///
/// ```
/// # use metrics_push::push_job;
/// # use std::time::Duration;
/// const LIMIT: Duration = Duration::from_secs(600);
///
/// #[push_job(every = "1h30m", max_runtime = LIMIT, heartbeat = "500ms")]
/// fn import() {}
/// ```
///
/// With `kill`, a `main` that takes longer than `max_runtime` is ended: TERM, ten seconds' grace, KILL. Its outcome is a
/// timeout. This implies `supervise`.
///
/// ## `signals`, `supervise`
/// A `main` reports TERM, INT, HUP, QUIT and XCPU before they end it, unless the program handles or ignores them itself;
/// `signals = off` leaves them alone. With `supervise` a parent process sees how it ends, whatever ends it; see
/// [`guarantees`](crate::guarantees).
///
/// ```no_run
/// # use metrics_push::push_job;
/// #[push_job(max_runtime = "1h", kill, supervise)]
/// fn main() {}
/// ```
///
/// ```no_run
/// # use metrics_push::push_job;
/// #[push_job(signals = off)]
/// fn main() {}
/// ```
///
/// ## `on_success`
/// `push`, the default, replaces the group, so that metrics which are no longer exported disappear; `add` keeps them.
///
/// ```
/// # use metrics_push::push_job;
/// #[push_job(on_success = add)]
/// fn import() {}
/// ```
///
/// ## `ok_if`, `error_if`
/// A path or a closure that judges the result by reference. Without it an `Err` and an exit code other than zero are
/// failures, through whatever alias; everything else is a success. In generic code, a type parameter is
/// "everything else".
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
/// ## `registry`
/// Pushes this registry in place of the default one: a static, or an expression that gives a `&'static Registry`.
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
/// Where this crate is found, if not at `::metrics_push`: an absolute path.
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
/// # Special cases
///
/// - A function that returns `impl Future` or `Pin<Box<dyn Future>>`, as `async_trait` makes them, is a run from the first
///   poll of that future to its end; `run` can't be asked for there.
/// - The place that [`Location::caller`](std::panic::Location::caller) names in a `#[track_caller]` function is the attribute's:
///   its result could not be looked at otherwise. The same holds for any `async fn`.
/// - `const fn` and functions without a body are refused.
pub use metrics_push_macros::push_job;

/// Counts the calls of a function by outcome: `success`, `error`, `panic`, `cancelled`.
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
/// All four outcomes are there, at zero, from the first call. A future that is dropped between two polls was cancelled; one that
/// is never polled was never called. Each level of a recursion is a call. Arguments are exported only where a label
/// names them.
///
/// # What becomes of the function
///
/// The function above becomes, with the paths shortened:
///
/// ```text
/// fn parse(text: &str) -> Result<u32, std::num::ParseIntError> {
///     let call = { static SITE: CountedSite = CountedSite::new(Site::new(place, "function_calls_total", "..")); &SITE }.start();
///     let ended = call(call, || -> Result<u32, std::num::ParseIntError> { /* the body */ });
///     let outcome = judge(ended.result()).outcome();
///     ended.finish(outcome)
/// }
/// ```
///
/// An `async fn` does the same with an `async` block, which makes its future larger by a copy of its arguments; where only the
/// duration counts, [`timed`] costs less.
///
/// # Arguments
///
/// ## `name`, `help`
/// A counter of the function's own, named by a string or a constant. Its help is the first paragraph of the function's
/// documentation, or what `help` says. Functions without a `name` share `function_calls_total`, which has one help text and
/// the same labels for all of them; so `help` and `labels` need a `name`.
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
/// Further labels. Expressions are evaluated once, at the start of the call, from left to right; they may use the arguments,
/// which the body can move all the same, and need [`Display`](std::fmt::Display). In an `async fn` that is at the first poll.
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
/// How many sets of label values are told apart; beyond it, new ones become `_other`, which is reported once.
///
/// ```
/// # use metrics_push::counted;
/// #[counted(name = "visits_total", labels(page = page), max_series = 20)]
/// fn visit(page: &str) {}
/// ```
///
/// ## `ok_if`, `error_if`
/// As in [`push_job`].
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
/// Leaves successes uncounted.
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
/// For a legacy name that can't change: it needs no `_total`. The characters of names and the reserved names stay checked.
///
/// ```
/// # use metrics_push::counted;
/// #[counted(name = "payments", conventions = off)]
/// fn pay() {}
/// ```
///
/// ## `future`
/// For a function that returns a boxed future under another name: the future is what is measured. Without it that is so for
/// `impl Future` and `Pin<Box<dyn Future>>` alone; of other types, such as `Ready` or a stream, making the value is measured.
/// The future is boxed once more.
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
/// As in [`push_job`].
///
/// # Whole `impl` blocks
///
/// On an `impl` block it stands for an attribute on each method, with the type in the name: `Store::flush`. A method's own
/// attribute wins, argument by argument; `skip` leaves the method out. A `const fn` has to be left out. The help of a metric
/// that the block names is the first paragraph of the block's documentation.
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
/// - Of a `#[track_caller]` function only the end is seen, so that [`Location::caller`](std::panic::Location::caller) stays the
///   caller: an `Err` of it counts as a success, and so does a panic in it while its thread unwinds already. `ok_if` is refused
///   there.
/// - On `Future::poll` each poll is a call.
/// - `const fn` and functions without a body are refused.
pub use metrics_push_macros::counted;

/// Times the calls of a function.
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
/// A call lasts until it returns, panics or is cancelled, and each of them is observed once. What a returned guard does
/// later is not part of it. Nothing looks at the result, so that no `async fn` grows by more than a few words.
///
/// Its clock never runs backwards. It is [`Instant`](std::time::Instant), or, where that is faster and the kernel keeps its own time
/// by it, the processor's counter, which differs from `Instant` by at most 0.1 ms in a second and 0.36 s in an hour.
///
/// # What becomes of the function
///
/// The function above becomes, with the paths shortened:
///
/// ```text
/// fn sort(numbers: &mut [u32]) {
///     let _call = { static SITE: TimedSite = TimedSite::new(Site::new(place, "function_duration_seconds", "..")); &SITE }.start();
///     { /* the body */ }
/// }
/// ```
///
/// # Arguments
///
/// ## `name`, `help`, `labels`, `max_series`, `conventions`, `future`, `registry`, `crate`
/// As in [`counted`]; functions without a `name` share `function_duration_seconds`. By convention a name ends in
/// `_seconds`.
///
/// ```
/// # use metrics_push::timed;
/// /// How long rendering takes.
/// #[timed(name = "render_duration_seconds", labels(format = format))]
/// fn render(format: &str) {}
/// ```
///
/// ## `buckets`
/// The upper bounds in seconds: a list, or an expression of type `&'static [f64]`. By default
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
/// ## `outcome`
/// Adds the `outcome` label. The result is looked at, with the cost of [`counted`], and `ok_if` and `error_if` have a say.
/// It needs a `name`, since the shared histogram has no such label.
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
/// Adds `function_in_flight{function, module}`, the number of calls at this moment. No panic and no cancellation leaks it.
///
/// ```
/// # use metrics_push::timed;
/// #[timed(in_flight)]
/// async fn serve() {}
/// ```
///
/// # Whole `impl` blocks, special cases
///
/// As with [`counted`].
pub use metrics_push_macros::timed;
