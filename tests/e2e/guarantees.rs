//! The table of guarantees, read from the documentation and brought about cell by cell.
//!
//! A cell's test has the name of its row and its column, such as `oom::l3`.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::child::{Ended, Panics, Running, Start, child_of, job, send_signal};
use crate::lifecycle::{held, stored_in};
use crate::real::Pushgateway;
use crate::state_dir::StateDir;
use crate::supervise::MemoryGroup;

const DOCUMENTATION: &str = include_str!("../../metrics-push/src/guarantees.rs");

/// What endings may take more than the bare program's: less than any budget, so that none was waited for.
const AT_ONCE: Duration = Duration::from_secs(4);

/// What a container's supervisor gives its first process between TERM and KILL.
const CONTAINER_GRACE: Duration = Duration::from_secs(2);

/// What the run has beside the gateway, in the order of the table's columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    L0,
    L2,
    L3,
}

/// How an ending is brought about.
struct Recipe {
    ending: &'static str,
    options: &'static [&'static str],
    panics: &'static [Panics],
    /// The job whose outcome it is.
    job: &'static str,
    launcher: Launcher,
    event: Event,
}

/// What the job is started by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Launcher {
    Directly,
    /// In the background of a script, which has INT and QUIT ignored.
    Background,
    Nohup,
    /// With limits of the shell's `ulimit`.
    Limit(&'static str),
    /// In a memory control group of 64 MiB.
    MemoryGroup,
    /// As the first process of a PID namespace.
    Container,
}

/// What happens when the job is ready.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Event {
    Nothing,
    /// Somebody sends it this signal.
    Signal(&'static str),
    /// The same, and the job goes on to the end of its input.
    SignalInVain(&'static str),
    StopAndContinue,
    ContainerStop,
    /// Nothing, if it is watched; without a gateway it would never end.
    MaxRuntime,
}

impl Recipe {
    const fn ending(ending: &'static str) -> Self {
        let panics = &[Panics::Unwind, Panics::Abort];
        let (launcher, event) = (Launcher::Directly, Event::Nothing);
        Self { ending, options: &[], panics, job: "ending", launcher, event }
    }

    const fn task(ending: &'static str) -> Self {
        Self { job: "task", ..Self::ending(ending) }
    }

    const fn signalled(signal: &'static str) -> Self {
        Self { event: Event::Signal(signal), ..Self::ending("wait") }
    }

    const fn signalled_in_vain(signal: &'static str, launcher: Launcher) -> Self {
        Self { event: Event::SignalInVain(signal), launcher, ..Self::ending("wait-for-input") }
    }

    const fn only(self, panics: &'static [Panics]) -> Self {
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

/// One job of a recipe, on its way.
struct Performance<'a> {
    recipe: &'a Recipe,
    panics: Panics,
    /// `None`: the bare program.
    level: Option<Level>,
}

impl Performance<'_> {
    fn start(&self) -> Start {
        let supervised = (self.level == Some(Level::L3)).then_some("supervised");
        let options = self.recipe.options.iter().copied();
        let arguments: Vec<_> =
            supervised.into_iter().chain(options).chain([self.recipe.ending]).collect();
        job(self.panics, &arguments)
    }

    /// Sees the job to its end. `is_known` says when the gateway knows of its start.
    fn play(&self, start: Start, is_known: impl Fn() -> bool) -> Ended {
        let memory =
            (self.recipe.launcher == Launcher::MemoryGroup).then(|| MemoryGroup::new(64 << 20));
        let start = match self.recipe.launcher {
            Launcher::Directly => start,
            Launcher::Nohup => start.within(&["nohup"]),
            Launcher::Background => {
                start.within(&["sh", "-c", r#"exec 3<&0; "$@" <&3 3<&- & wait $!"#, "sh"])
            }
            Launcher::Limit(limit) => {
                start.within(&["sh", "-c", &format!(r#"ulimit {limit}; exec "$@""#), "sh"])
            }
            Launcher::MemoryGroup => {
                let launcher = memory.as_ref().unwrap().launcher();
                start.within(&launcher.each_ref().map(String::as_str))
            }
            Launcher::Container => start.within(&["unshare", "--pid", "--fork", "--kill-child"]),
        };
        if self.recipe.event == Event::Nothing {
            return start.run_to_end();
        }
        let mut running = start.with_input().start().ready();
        if self.level.is_some() {
            wait_for(is_known);
        }
        self.bring_about(&mut running);
        running.close_input();
        running.wait()
    }

    fn bring_about(&self, running: &mut Running) {
        let process = match self.recipe.launcher {
            Launcher::Background | Launcher::Container => child_of(running.id()),
            _ => running.id(),
        };
        match self.recipe.event {
            Event::Nothing => {}
            // The kernel's or a person's choice is the job, not its parent.
            Event::Signal("KILL")
                if self.level == Some(Level::L3) && self.recipe.launcher == Launcher::Directly =>
            {
                send_signal(child_of(process), "KILL");
            }
            Event::Signal(signal) | Event::SignalInVain(signal) => send_signal(process, signal),
            Event::StopAndContinue => {
                for signal in ["STOP", "CONT"] {
                    send_signal(process, signal);
                }
            }
            Event::ContainerStop => stop_container(process),
            Event::MaxRuntime if self.level.is_none() => send_signal(process, "TERM"),
            Event::MaxRuntime => {}
        }
    }
}

/// TERM, the grace, and KILL for whoever is still there.
fn stop_container(first: u32) {
    send_signal(first, "TERM");
    let end = Instant::now() + CONTAINER_GRACE;
    let is_there = || std::path::Path::new(&format!("/proc/{first}/stat")).exists();
    while is_there() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    if is_there() {
        send_signal(first, "KILL");
    }
}

#[track_caller]
fn wait_for(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// One gateway for all tests that run at the same time; each has groups of its own.
fn gateway() -> Arc<Pushgateway> {
    static SHARED: Mutex<Weak<Pushgateway>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let gateway = Arc::new(Pushgateway::start());
        *shared = Arc::downgrade(&gateway);
        gateway
    })
}

/// How the bare program ends, and what that takes; by its panic strategy.
struct Bare([OnceLock<(Ended, Duration)>; 2]);

impl Bare {
    const fn new() -> Self {
        Self([OnceLock::new(), OnceLock::new()])
    }

    fn of(&self, recipe: &Recipe, panics: Panics) -> &(Ended, Duration) {
        self.0[panics as usize].get_or_init(|| {
            let performance = Performance { recipe, panics, level: None };
            // Whoever is first has it built.
            let start = performance.start();
            let begun = Instant::now();
            (performance.play(start, || true), begun.elapsed())
        })
    }
}

/// The outcome that the documentation promises.
fn promised(row: &str, level: Level) -> &'static str {
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

/// Brings the ending about and compares what the gateway then holds with what is promised, and all else with the bare
/// program.
fn check(row: &str, level: Level, recipe: &Recipe, bare: &Bare) {
    let promised = promised(row, level);
    for &panics in recipe.panics {
        let what = format!("{row}, {level:?}, {panics:?}");
        let (gateway, state) = (gateway(), (level != Level::L0).then(StateDir::new));
        let grouping = format!("{row}-{level:?}-{panics:?}");
        let stored = |job: &str| stored_in(&gateway, &[("job", job), ("test", &grouping)]);
        let configured = |start: Start| {
            let start = start.gateway(&gateway.url());
            let start = start.variable("METRICS_PUSH_GROUPING", format!("test={grouping}"));
            match &state {
                Some(state) => start.variable("METRICS_PUSH_STATE_DIR", state.path()),
                None => start,
            }
        };
        let performance = Performance { recipe, panics, level: Some(level) };
        let start = configured(performance.start());
        let begun = Instant::now();
        let ended = performance.play(start, || {
            stored(recipe.job).contains_key("batch_job_last_start_timestamp_seconds")
        });
        let took = begun.elapsed();
        if level == Level::L2 || promised == "abandoned" {
            let later = job(Panics::Unwind, &["ok"]).variable("METRICS_PUSH_JOB", "later");
            assert!(configured(later).run_to_end().status.success(), "{what}");
        }
        let stored = stored(recipe.job);
        let held = held(&stored);
        let has = |name: &str| stored.contains_key(&format!("batch_job_last_{name}_seconds"));
        match promised {
            "open" => {
                assert!(held.is_empty() && !has("completion_timestamp"), "{what}: {ended:?}");
            }
            promised => assert_eq!(held, [promised], "{what}: {ended:?}"),
        }
        assert_eq!(has("success_timestamp"), held == ["success"], "{what}");
        if let Some(state) = state {
            assert!(state.journals().is_empty(), "{what}");
        }
        let (bare, bare_took) = bare.of(recipe, panics);
        if level == Level::L3 && recipe.launcher == Launcher::Container && promised == "signal" {
            // The first process can't be ended by a signal; its exit status tells of it.
            let signal = stored["batch_job_last_run_signal"];
            assert_eq!(ended.status.code().map(f64::from), Some(128.0 + signal), "{what}");
        } else {
            ended.assert_same_as(bare);
        }
        assert_eq!(ended.notices, Vec::<String>::new(), "{what}");
        assert!(took < *bare_took + AT_ONCE, "{what}: {took:?}, bare {bare_took:?}");
    }
}

/// Declares the tests of each row, a module with one for each of its cells.
macro_rules! rows {
    ($($name:ident: $recipe:expr),* $(,)?) => {
        const TESTED: &[&str] = &[$(stringify!($name)),*];
        $(
            mod $name {
                use super::*;

                const RECIPE: Recipe = $recipe;
                static BARE: Bare = Bare::new();

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
    panic_with_a_hook_that_exits: Recipe::ending("exit-in-hook"),
    double_panic: Recipe::ending("panic-in-drop"),
    panic_in_a_thread: Recipe::ending("panic-in-thread").only(&[Panics::Unwind]),
    panic_in_a_detached_thread: Recipe::ending("panic-in-detached-thread").only(&[Panics::Unwind]),
    panic_in_a_task: Recipe::ending("panic-in-task").only(&[Panics::Unwind]),
    panic_in_a_detached_task: Recipe::ending("panic-in-detached-task").only(&[Panics::Unwind]),
    panic_in_a_thread_that_aborts: Recipe::ending("panic-in-detached-thread").only(&[Panics::Abort]),
    broken_output: Recipe::ending("broken-output"),
    broken_pipe: Recipe::ending("broken-pipe"),
    exit: Recipe::ending("exit-3"),
    exit_in_a_thread: Recipe::ending("exit-in-thread"),
    exit_in_a_worker: Recipe::ending("exit-in-worker"),
    exit_0: Recipe::ending("exit-0"),
    task_at_exit_0: Recipe::task("task-at-exit-0"),
    task_that_loses_a_select: Recipe::task("task-that-loses-a-select"),
    task_that_times_out: Recipe::task("task-that-times-out"),
    task_of_a_dropped_runtime: Recipe::task("dropped-runtime"),
    task_of_a_background_shutdown: Recipe::task("background-shutdown"),
    forgotten_task: Recipe::task("forgotten-task"),
    task_in_a_cycle: Recipe::task("task-in-a-cycle"),
    task_in_a_detached_thread: Recipe::task("task-in-a-detached-thread"),
    task_in_a_thread_local: Recipe::task("task-in-a-thread-local"),
    fork: Recipe::ending("fork"),
    fork_and_term: Recipe::ending("fork-and-term"),
    term: Recipe::signalled("TERM"),
    int: Recipe::signalled("INT"),
    hup: Recipe::signalled("HUP"),
    quit: Recipe::signalled("QUIT"),
    cpu_limit: Recipe::ending("spin").by(Launcher::Limit("-S -t 1")),
    nohup: Recipe::signalled_in_vain("HUP", Launcher::Nohup),
    int_in_the_background: Recipe::signalled_in_vain("INT", Launcher::Background),
    quit_in_the_background: Recipe::signalled_in_vain("QUIT", Launcher::Background),
    handled_signal: Recipe::ending("tokio-signal").then(Event::Signal("TERM")),
    stopped_and_continued: Recipe::ending("wait-for-input").then(Event::StopAndContinue),
    term_with_signals_off: Recipe::signalled("TERM").with(&["signals-off"]),
    usr1: Recipe::signalled("USR1"),
    broken_pipe_signal: Recipe::ending("broken-pipe-signal"),
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
    exec_a_failure: Recipe::ending("exec-a-failure"),
    container_stop: Recipe::ending("wait").by(Launcher::Container).then(Event::ContainerStop),
    container_abort: Recipe::ending("abort").by(Launcher::Container),
    container_kill: Recipe::signalled("KILL").by(Launcher::Container),
    max_runtime: Recipe::ending("wait").with(&["limited"]).then(Event::MaxRuntime),
}

#[test]
fn each_row_of_the_table_has_its_tests() {
    let documented: Vec<_> = rows().map(|cells| cells[1].trim_matches('`')).collect();
    assert_eq!(documented, TESTED);
}
