//! Tests each cell of the table in `metrics-push/src/guarantees.rs`.
//!
//! A test is named after the row and the column of its cell, such as `oom::l3`. It reads the expected outcome from the
//! table, ends a job in this way against a real gateway, and compares the rest with the bare program.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::child::{
    FinishedJob, JobCommand, PanicStrategy, RunningJob, child_of, job, send_signal,
};
use crate::lifecycle::{outcomes, stored_in};
use crate::real::Pushgateway;
use crate::state_dir::StateDir;
use crate::supervise::MemoryGroup;

const DOCUMENTATION: &str = include_str!("../../metrics-push/src/guarantees.rs");

const STARTED_AT: &str = "batch_job_last_start_timestamp_seconds";
const COMPLETED_AT: &str = "batch_job_last_completion_timestamp_seconds";

/// The timeout of the library.
const TIMEOUT: &str = "60s";

/// How much longer than the bare program an ending may take. It is shorter than [`TIMEOUT`], so a test fails if an ending
/// waits for it.
const MAX_DELAY: Duration = Duration::from_secs(10);

/// How often a duration is measured again before it counts as too long.
const MAX_REPETITIONS: usize = 3;

/// The levels, in the order of the table's columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    L0,
    L2,
    L3,
}

/// A way to cause an ending.
struct Recipe {
    /// The ending of the program `ending`.
    ending: &'static str,
    options: &'static [&'static str],
    panics: &'static [PanicStrategy],
    /// The job that reports the outcome.
    job: &'static str,
    launcher: Launcher,
    event: Event,
}

/// How the job is started.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Launcher {
    Directly,
    /// In the background of a script: the shell ignores INT and QUIT.
    Background,
    Nohup,
    /// With these arguments of the shell's `ulimit`.
    Limit(&'static str),
    /// In a memory control group of 64 MiB.
    MemoryGroup,
    /// As PID 1 of a PID namespace.
    Container,
}

/// The event that the test causes when the job is ready.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Event {
    Nothing,
    /// Sends this signal, which ends the job.
    Signal(&'static str),
    /// Sends this signal, which the job ignores until its input ends.
    IgnoredSignal(&'static str),
    StopAndContinue,
    ContainerStop,
    /// Waits until the supervisor ends the job. The bare program has no limit, so it gets TERM.
    MaxRuntime,
}

impl Recipe {
    const fn ending(ending: &'static str) -> Self {
        let panics = &[PanicStrategy::Unwind, PanicStrategy::Abort];
        let (launcher, event) = (Launcher::Directly, Event::Nothing);
        Self { ending, options: &[], panics, job: "ending", launcher, event }
    }

    const fn task(ending: &'static str) -> Self {
        Self { job: "task", ..Self::ending(ending) }
    }

    const fn signalled(signal: &'static str) -> Self {
        Self { event: Event::Signal(signal), ..Self::ending("wait") }
    }

    const fn ignoring(signal: &'static str, launcher: Launcher) -> Self {
        Self { event: Event::IgnoredSignal(signal), launcher, ..Self::ending("wait-for-input") }
    }

    const fn only(self, panics: &'static [PanicStrategy]) -> Self {
        Self { panics, ..self }
    }

    const fn with(self, options: &'static [&'static str]) -> Self {
        Self { options, ..self }
    }

    const fn by(self, launcher: Launcher) -> Self {
        Self { launcher, ..self }
    }

    const fn then(self, event: Event) -> Self {
        Self { event, ..self }
    }
}

/// One execution of a recipe.
struct Trial<'a> {
    recipe: &'a Recipe,
    panics: PanicStrategy,
    /// `None` for the bare program.
    level: Option<Level>,
}

impl Trial<'_> {
    fn job(&self) -> JobCommand {
        let supervised = (self.level == Some(Level::L3)).then_some("supervised");
        let options = self.recipe.options.iter().copied();
        let arguments: Vec<_> =
            supervised.into_iter().chain(options).chain([self.recipe.ending]).collect();
        job(self.panics, &arguments)
    }

    /// Runs the job to its end and measures its duration. The caller has created the command, because the first call of
    /// [`Self::job`] builds the program, which must not be measured.
    fn run_timed(
        &self,
        command: JobCommand,
        is_stored: impl Fn(&str) -> bool,
    ) -> (FinishedJob, Duration) {
        let started = Instant::now();
        (self.run(command, is_stored), started.elapsed())
    }

    /// Runs the job to its end. `is_stored` returns true if the gateway has this metric of the job.
    fn run(&self, command: JobCommand, is_stored: impl Fn(&str) -> bool) -> FinishedJob {
        let memory =
            (self.recipe.launcher == Launcher::MemoryGroup).then(|| MemoryGroup::new(64 << 20));
        let command = match self.recipe.launcher {
            Launcher::Directly => command,
            Launcher::Nohup => command.within(&["nohup"]),
            Launcher::Background => {
                command.within(&["sh", "-c", r#"exec 3<&0; "$@" <&3 3<&- & wait $!"#, "sh"])
            }
            Launcher::Limit(limit) => {
                command.within(&["sh", "-c", &format!(r#"ulimit {limit}; exec "$@""#), "sh"])
            }
            Launcher::MemoryGroup => {
                let launcher = memory.as_ref().unwrap().launcher();
                command.within(&launcher.each_ref().map(String::as_str))
            }
            Launcher::Container => command.within(&["unshare", "--pid", "--fork", "--kill-child"]),
        };
        if self.recipe.event == Event::Nothing {
            return command.run_to_end();
        }
        let mut running = command.with_input().start().ready();
        if self.level.is_some() {
            wait_for(|| is_stored(STARTED_AT));
        }
        self.cause(&mut running, || is_stored(COMPLETED_AT));
        running.close_input();
        running.wait()
    }

    fn cause(&self, running: &mut RunningJob, is_reported: impl Fn() -> bool) {
        let process = match self.recipe.launcher {
            Launcher::Background | Launcher::Container => child_of(running.id()),
            _ => running.id(),
        };
        match self.recipe.event {
            Event::Nothing => {}
            // Kills the job, not its supervisor.
            Event::Signal("KILL")
                if self.level == Some(Level::L3) && self.recipe.launcher == Launcher::Directly =>
            {
                send_signal(child_of(process), "KILL");
            }
            Event::Signal(signal) | Event::IgnoredSignal(signal) => send_signal(process, signal),
            Event::StopAndContinue => {
                for signal in ["STOP", "CONT"] {
                    send_signal(process, signal);
                }
            }
            // A supervisor ends by itself after its report.
            Event::ContainerStop => {
                stop_container(process, || self.level != Some(Level::L3) && is_reported());
            }
            Event::MaxRuntime if self.level.is_none() => send_signal(process, "TERM"),
            Event::MaxRuntime => {}
        }
    }
}

/// Sends TERM to PID 1 of a container, then KILL as soon as `is_reported` returns true, if it still runs.
fn stop_container(pid_1: u32, is_reported: impl Fn() -> bool) {
    send_signal(pid_1, "TERM");
    let is_running = || std::path::Path::new(&format!("/proc/{pid_1}/stat")).exists();
    wait_for(|| !is_running() || is_reported());
    if is_running() {
        send_signal(pid_1, "KILL");
    }
}

#[track_caller]
fn wait_for(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "the gateway did not receive a push");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The gateway that all concurrent tests share. Each test has its own groups.
fn gateway() -> Arc<Pushgateway> {
    static SHARED: Mutex<Weak<Pushgateway>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let gateway = Arc::new(Pushgateway::start());
        *shared = Arc::downgrade(&gateway);
        gateway
    })
}

/// The result and the duration of the bare program, by panic strategy. A recipe runs it once for all levels.
struct BareResults([OnceLock<(FinishedJob, Duration)>; 2]);

impl BareResults {
    const fn new() -> Self {
        Self([OnceLock::new(), OnceLock::new()])
    }

    fn get(&self, recipe: &Recipe, panics: PanicStrategy) -> &(FinishedJob, Duration) {
        self.0[panics as usize].get_or_init(|| run_bare(recipe, panics))
    }
}

/// Runs the bare program. Returns its result and its duration.
fn run_bare(recipe: &Recipe, panics: PanicStrategy) -> (FinishedJob, Duration) {
    let trial = Trial { recipe, panics, level: None };
    trial.run_timed(trial.job(), |_| true)
}

/// The documented outcome.
fn documented(row: &str, level: Level) -> &'static str {
    let cells = cells(row).unwrap_or_else(|| panic!("the table has no row {row}"));
    cells[2 + level as usize].trim_matches('`')
}

fn cells(row: &str) -> Option<Vec<&'static str>> {
    let mut rows = rows();
    rows.find(|cells| cells[1].trim_matches('`') == row)
}

/// The cells of each row.
fn rows() -> impl Iterator<Item = Vec<&'static str>> {
    let (_, table) = DOCUMENTATION.split_once("| test | L0 | L2 | L3 |").unwrap();
    let rows = table.lines().skip(2).map_while(|line| line.strip_prefix("//! |"));
    rows.map(|row| row.split('|').map(str::trim).collect())
}

/// Causes the ending. Compares the stored outcome with the documented one, and status, output and duration with those of
/// the bare program.
fn check(row: &str, level: Level, recipe: &Recipe, bare: &BareResults) {
    let documented = documented(row, level);
    for &panics in recipe.panics {
        let case = format!("{row}, {level:?}, {panics:?}");
        let (gateway, state) = (gateway(), (level != Level::L0).then(StateDir::new));
        let grouping = format!("{row}-{level:?}-{panics:?}");
        let stored = |job: &str| stored_in(&gateway, &[("job", job), ("test", &grouping)]);
        let configured = |command: JobCommand| {
            let command = command.gateway(&gateway.url()).variable("METRICS_PUSH_TIMEOUT", TIMEOUT);
            let command = command.variable("METRICS_PUSH_GROUPING", format!("test={grouping}"));
            match &state {
                Some(state) => command.variable("METRICS_PUSH_STATE_DIR", state.path()),
                None => command,
            }
        };
        let trial = Trial { recipe, panics, level: Some(level) };
        let run = || {
            trial.run_timed(configured(trial.job()), |name| stored(recipe.job).contains_key(name))
        };
        let (ended, duration) = run();
        if level == Level::L2 || documented == "abandoned" {
            let later = job(PanicStrategy::Unwind, &["ok"]).variable("METRICS_PUSH_JOB", "later");
            assert!(configured(later).run_to_end().status.success(), "{case}");
        }
        let stored = stored(recipe.job);
        let outcomes = outcomes(&stored);
        let has = |name: &str| stored.contains_key(&format!("batch_job_last_{name}_seconds"));
        match documented {
            "open" => {
                assert!(outcomes.is_empty() && !has("completion_timestamp"), "{case}: {ended:?}");
            }
            documented => assert_eq!(outcomes, [documented], "{case}: {ended:?}"),
        }
        assert_eq!(has("success_timestamp"), outcomes == ["success"], "{case}");
        if let Some(state) = &state {
            assert!(state.journals().is_empty(), "{case}");
        }
        let (bare, bare_duration) = bare.get(recipe, panics);
        if level == Level::L3 && recipe.launcher == Launcher::Container && documented == "signal" {
            // A signal cannot end PID 1, so the supervisor exits with 128 and the signal's number.
            let signal = stored["batch_job_last_run_signal"];
            assert_eq!(ended.status.code().map(f64::from), Some(128.0 + signal), "{case}");
        } else {
            ended.assert_same_as(bare);
        }
        match (recipe.event, &ended.log_lines[..]) {
            (Event::MaxRuntime, [line]) => {
                assert!(line.contains("exceeded its maximum runtime"), "{case}: {line}");
            }
            (Event::MaxRuntime, lines) => panic!("{case}: {lines:?}"),
            (_, lines) => assert_eq!(lines, [""; 0], "{case}"),
        }
        let is_in_time = |duration: Duration, bare: Duration| duration < bare + MAX_DELAY;
        // A busy machine may have delayed the job more than the bare program.
        assert!(
            is_in_time(duration, *bare_duration)
                || (0..MAX_REPETITIONS).any(|_| is_in_time(run().1, run_bare(recipe, panics).1)),
            "{case}: {duration:?}, bare {bare_duration:?}"
        );
    }
}

/// Declares a module for each row, with one test for each cell.
macro_rules! rows {
    ($($name:ident: $recipe:expr),* $(,)?) => {
        const TESTED: &[&str] = &[$(stringify!($name)),*];
        $(
            mod $name {
                use super::*;

                const RECIPE: Recipe = $recipe;
                static BARE: BareResults = BareResults::new();

                #[test]
                fn l0() {
                    check(stringify!($name), Level::L0, &RECIPE, &BARE);
                }

                #[test]
                fn l2() {
                    check(stringify!($name), Level::L2, &RECIPE, &BARE);
                }

                #[test]
                fn l3() {
                    check(stringify!($name), Level::L3, &RECIPE, &BARE);
                }
            }
        )*
    };
}

rows! {
    ok: Recipe::ending("ok"),
    err: Recipe::ending("err"),
    skip: Recipe::ending("skip"),
    panic: Recipe::ending("panic"),
    panic_with_own_hook: Recipe::ending("panic-with-own-hook"),
    exit_in_panic_hook: Recipe::ending("exit-in-hook"),
    double_panic: Recipe::ending("panic-in-drop"),
    panic_in_a_thread: Recipe::ending("panic-in-thread").only(&[PanicStrategy::Unwind]),
    panic_in_a_detached_thread: Recipe::ending("panic-in-detached-thread").only(&[PanicStrategy::Unwind]),
    panic_in_a_task: Recipe::ending("panic-in-task").only(&[PanicStrategy::Unwind]),
    panic_in_a_detached_task: Recipe::ending("panic-in-detached-task").only(&[PanicStrategy::Unwind]),
    panic_in_a_thread_with_abort: Recipe::ending("panic-in-detached-thread").only(&[PanicStrategy::Abort]),
    print_to_closed_pipe: Recipe::ending("broken-output"),
    write_to_closed_pipe: Recipe::ending("broken-pipe"),
    exit: Recipe::ending("exit-3"),
    exit_in_a_thread: Recipe::ending("exit-in-thread"),
    exit_in_a_worker: Recipe::ending("exit-in-worker"),
    exit_0: Recipe::ending("exit-0"),
    open_task_at_exit_0: Recipe::task("task-at-exit-0"),
    task_cancelled_by_select: Recipe::task("task-that-loses-a-select"),
    task_cancelled_by_timeout: Recipe::task("task-that-times-out"),
    task_of_a_dropped_runtime: Recipe::task("dropped-runtime"),
    task_after_background_shutdown: Recipe::task("background-shutdown"),
    forgotten_task: Recipe::task("forgotten-task"),
    task_in_an_rc_cycle: Recipe::task("task-in-a-cycle"),
    task_in_a_detached_thread: Recipe::task("task-in-a-detached-thread"),
    task_in_a_thread_local: Recipe::task("task-in-a-thread-local"),
    fork: Recipe::ending("fork"),
    fork_and_term: Recipe::ending("fork-and-term"),
    term: Recipe::signalled("TERM"),
    int: Recipe::signalled("INT"),
    hup: Recipe::signalled("HUP"),
    quit: Recipe::signalled("QUIT"),
    cpu_limit: Recipe::ending("spin").by(Launcher::Limit("-S -t 1")),
    nohup: Recipe::ignoring("HUP", Launcher::Nohup),
    int_in_the_background: Recipe::ignoring("INT", Launcher::Background),
    quit_in_the_background: Recipe::ignoring("QUIT", Launcher::Background),
    handled_signal: Recipe::ending("tokio-signal").then(Event::Signal("TERM")),
    stopped_and_continued: Recipe::ending("wait-for-input").then(Event::StopAndContinue),
    term_with_signals_off: Recipe::signalled("TERM").with(&["signals-off"]),
    usr1: Recipe::signalled("USR1"),
    sigpipe: Recipe::ending("broken-pipe-signal"),
    kill: Recipe::signalled("KILL"),
    hard_cpu_limit: Recipe::ending("spin").by(Launcher::Limit("-t 1")),
    oom: Recipe::ending("out-of-memory").by(Launcher::MemoryGroup),
    out_of_address_space: Recipe::ending("out-of-memory").by(Launcher::Limit("-v 600000")),
    abort: Recipe::ending("abort"),
    stack_overflow: Recipe::ending("overflow"),
    segv: Recipe::ending("segv"),
    bus: Recipe::ending("bus"),
    ill: Recipe::ending("ill"),
    _exit: Recipe::ending("_exit"),
    _exit_0: Recipe::ending("_exit-0"),
    quick_exit: Recipe::ending("quick-exit"),
    exec: Recipe::ending("exec"),
    exec_failing_program: Recipe::ending("exec-a-failure"),
    container_stop: Recipe::ending("wait").by(Launcher::Container).then(Event::ContainerStop),
    container_abort: Recipe::ending("abort").by(Launcher::Container),
    container_kill: Recipe::signalled("KILL").by(Launcher::Container),
    max_runtime: Recipe::ending("wait").with(&["max-runtime"]).then(Event::MaxRuntime),
}

#[test]
fn table_lists_exactly_the_tested_endings() {
    let documented: Vec<_> = rows().map(|cells| cells[1].trim_matches('`')).collect();
    assert_eq!(documented, TESTED);
}
