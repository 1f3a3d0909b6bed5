//! Which outcome is reported for each way a run can end, and the limits.
//!
//! There are four levels. Each one needs more than the one before and covers more.
//!
//! | level | needs | covers |
//! | --- | --- | --- |
//! | L0 | nothing | an ending that code in the process can observe is reported at once |
//! | L1 | the start push | every other death is *detected*: the run started, never completed, and a shipped rule fires |
//! | L2 | a state directory | every outcome is *delivered eventually*: by the next run that uses the directory, or by [`recover`](crate::recover()) |
//! | L3 | [`supervise`](crate::Job::supervise) | a death that no code in the process can observe is reported *at once*, with its cause, by a parent process |
//!
//! # The table
//!
//! A cell is the reported outcome. L0 and L3 report at once, L2 when the next run starts. `open` means that only the start
//! was pushed, so that an alert fires after `max_runtime` (L1). `abandoned` is reported by the next run that uses the state
//! directory, of any job.
//!
//! Each cell is a test in `tests/e2e/guarantees.rs`, named after its row and column, such as `oom::l3`. The test ends a job this
//! way against a real gateway, once in a program that unwinds on panic and once in one that aborts, and reads the expected
//! outcome from this table. It also checks that exit status and output equal those of the same program without the
//! attribute, and that no process waited until a timeout.
//!
//! | how the run ends | test | L0 | L2 | L3 |
//! | --- | --- | --- | --- | --- |
//! | returns `Ok`, `()` or another success | `ok` | `success` | `success` | `success` |
//! | returns `Err` or a failing `ExitCode` | `err` | `error` | `error` | `error` |
//! | calls `skip` and returns a success | `skip` | `skipped` | `skipped` | `skipped` |
//! | panics | `panic` | `panic` | `panic` | `panic` |
//! | panics, with a panic hook of the program | `panic_with_own_hook` | `panic` | `panic` | `panic` |
//! | panics, and the program's hook exits | `exit_in_panic_hook` | `panic` | `panic` | `panic` |
//! | panics while unwinding from a panic | `double_panic` | `panic` | `panic` | `panic` |
//! | a thread panics and is joined; `main` returns a success | `panic_in_a_thread` | `success` | `success` | `success` |
//! | a thread panics and is not joined; `main` returns a success | `panic_in_a_detached_thread` | `success` | `success` | `success` |
//! | a tokio task panics and is awaited; `main` returns a success | `panic_in_a_task` | `success` | `success` | `success` |
//! | a tokio task panics and is not awaited; `main` returns a success | `panic_in_a_detached_task` | `success` | `success` | `success` |
//! | any thread panics, with `panic = "abort"` | `panic_in_a_thread_with_abort` | `panic` | `panic` | `panic` |
//! | prints to a closed pipe (`println!` panics) | `print_to_closed_pipe` | `panic` | `panic` | `panic` |
//! | writes to a closed pipe and returns the error | `write_to_closed_pipe` | `error` | `error` | `error` |
//! | `process::exit` with a failure | `exit` | `exit_code` | `exit_code` | `exit_code` |
//! | `process::exit` in another thread | `exit_in_a_thread` | `exit_code` | `exit_code` | `exit_code` |
//! | `process::exit` in a tokio worker thread | `exit_in_a_worker` | `exit_code` | `exit_code` | `exit_code` |
//! | `process::exit(0)` | `exit_0` | `success` | `success` | `success` |
//! | a task is running when the process exits with 0 | `open_task_at_exit_0` | `exit_code` | `exit_code` | `exit_code` |
//! | a task's future loses a `select!` | `task_cancelled_by_select` | `cancelled` | `cancelled` | `cancelled` |
//! | a task's future times out | `task_cancelled_by_timeout` | `cancelled` | `cancelled` | `cancelled` |
//! | a task's runtime is dropped | `task_of_a_dropped_runtime` | `cancelled` | `cancelled` | `cancelled` |
//! | a task's runtime ends with `shutdown_background` | `task_after_background_shutdown` | `exit_code` | `exit_code` | `exit_code` |
//! | a task's guard is leaked with `mem::forget` | `forgotten_task` | `exit_code` | `exit_code` | `exit_code` |
//! | a task's guard is in a cycle of `Rc`s | `task_in_an_rc_cycle` | `exit_code` | `exit_code` | `exit_code` |
//! | a task runs in a thread that is never joined | `task_in_a_detached_thread` | `exit_code` | `exit_code` | `exit_code` |
//! | a task's guard is in a thread-local of the main thread | `task_in_a_thread_local` | `cancelled` | `cancelled` | `cancelled` |
//! | forks, and the child exits | `fork` | `success` | `success` | `success` |
//! | forks, and TERM ends the child | `fork_and_term` | `success` | `success` | `success` |
//! | TERM | `term` | `signal` | `signal` | `signal` |
//! | INT | `int` | `signal` | `signal` | `signal` |
//! | HUP | `hup` | `signal` | `signal` | `signal` |
//! | QUIT | `quit` | `signal` | `signal` | `signal` |
//! | the soft limit of CPU time (XCPU) | `cpu_limit` | `signal` | `signal` | `signal` |
//! | HUP, under `nohup` | `nohup` | `success` | `success` | `success` |
//! | INT, in the background of a script | `int_in_the_background` | `success` | `success` | `success` |
//! | QUIT, in the background of a script | `quit_in_the_background` | `success` | `success` | `success` |
//! | a signal that the program handles; it returns `Ok` | `handled_signal` | `success` | `success` | `success` |
//! | stopped and continued | `stopped_and_continued` | `success` | `success` | `success` |
//! | TERM, with `signals = off` | `term_with_signals_off` | `open` | `abandoned` | `signal` |
//! | any other signal | `usr1` | `open` | `abandoned` | `signal` |
//! | PIPE, in a program that does not ignore it | `sigpipe` | `open` | `abandoned` | `signal` |
//! | SIGKILL | `kill` | `open` | `abandoned` | `signal` |
//! | the hard limit of CPU time | `hard_cpu_limit` | `open` | `abandoned` | `signal` |
//! | SIGKILL by the out-of-memory killer of the control group | `oom` | `open` | `abandoned` | `oom` |
//! | an allocation fails | `out_of_address_space` | `open` | `abandoned` | `signal` |
//! | `abort` | `abort` | `open` | `abandoned` | `signal` |
//! | a stack overflow | `stack_overflow` | `open` | `abandoned` | `signal` |
//! | an invalid pointer | `segv` | `open` | `abandoned` | `signal` |
//! | a mapped file is truncated | `bus` | `open` | `abandoned` | `signal` |
//! | an illegal instruction | `ill` | `open` | `abandoned` | `signal` |
//! | `_exit` with a failure | `_exit` | `open` | `abandoned` | `exit_code` |
//! | `_exit(0)` | `_exit_0` | `open` | `abandoned` | `success` |
//! | `quick_exit` | `quick_exit` | `open` | `abandoned` | `exit_code` |
//! | replaces itself with another program, which succeeds | `exec` | `open` | `abandoned` | `success` |
//! | replaces itself with another program, which fails | `exec_failing_program` | `open` | `abandoned` | `exit_code` |
//! | TERM, then KILL at least five seconds later, as PID 1 of a container | `container_stop` | `signal` | `signal` | `signal` |
//! | `abort`, as PID 1 of a container | `container_abort` | `open` | `abandoned` | `signal` |
//! | SIGKILL of PID 1 of a container | `container_kill` | `open` | `abandoned` | `abandoned` |
//! | exceeds `max_runtime`, with `kill` | `max_runtime` | `timeout` | `timeout` | `timeout` |
//!
//! `kill` starts a supervisor, so the last row is L3 in every column.
//!
//! A task that is still running when its process exits is a failure, with any exit code. A `main` that exits with 0 is a
//! success, with any other code a failure, unless [`ok_exit_codes`](crate::Job::ok_exit_codes) or
//! [`skip_exit_codes`](crate::Job::skip_exit_codes) lists the code. If its arguments contain `--help`, `-h`, `--version` or `-V`, a call of
//! `process::exit` with 0 is reported as `skipped`.
//!
//! # In numbers
//!
//! - *At once* means within the timeout of an ending: [`DEFAULT_TIMEOUT`](crate::DEFAULT_TIMEOUT), after a signal at
//!   most five seconds. If the gateway is down for longer, L0 loses the outcome and logs a line; L2 stores it.
//! - The start push is delayed by two milliseconds, so that a shorter run is one request. If the process dies within
//!   that time, only the journal and the supervisor have a record of the run. The supervisor of `metrics-push exec` pushes
//!   the start while the command already runs.
//! - An annotated `main` reports signals, and so does a process that calls [`report_signals`](crate::report_signals()). For a
//!   process with annotated task functions only, the row with `signals = off` applies.
//! - When the job has ended and its supervisor waits for the gateway, TERM, INT, HUP, QUIT or XCPU ends the wait: undelivered
//!   outcomes are stored on disk. The exit status is that of the job.
//! - A second signal, at least one second after the first, ends the process without waiting.
//! - The library reads the exit code of `process::exit` from glibc. With other C libraries, it cannot, and the outcome is
//!   always `exit_code`, even for code 0, or `skipped` after a flag such as `--help`.
//! - `batch_job_last_run_panics` counts panics on any thread while the library's panic hook is called: a hook that is
//!   installed after the start of the run must call the previous hook.
//!
//! # What is never reported
//!
//! - A failed run is never reported as a success. The outcome is the result that the run returned or, if it did not return,
//!   the exit status of the process.
//! - An abandoned run never overwrites a newer one: if the gateway or the journal contains a newer run, only
//!   `batch_job_last_abandoned_timestamp_seconds` is pushed.
//! - The same ending may be delivered twice, if the reporting process died before the response. Both requests contain
//!   the same values.
//!
//! # As PID 1 of a container
//!
//! The kernel does not deliver a signal to PID 1 of a namespace unless the process handles it: without this library, TERM
//! has no effect and KILL follows. With it, TERM is reported and still does not end the process, so that the behaviour
//! stays the same. If the run ends before KILL, its real ending is reported. A supervisor forwards TERM to the job, which is
//! not PID 1 and ends; the supervisor reaps orphans and exits with 128 plus the signal number.
//!
//! # At a terminal, with a supervisor
//!
//! Supervisor and job share a process group and a terminal: the job reads keys and gets terminal sizes as without a supervisor.
//! When the job is suspended, by a key or by itself, the supervisor stops as well, so that the shell regains control. Both
//! continue together. A hangup of the terminal ends the job, even if the supervisor leads the session. SIGSTOP to one of the
//! two stops only that one.
//!
//! The supervisor closes its copies of the job's input and output, has one thread, and waits. It uses about 0.6 MB of memory
//! (8.5 MB resident in an unoptimised build; the rest is shared with the job). The job inherits a socket, over which it sends its
//! active runs to the supervisor. A program that the job executes does not inherit the socket. With `metrics-push exec`,
//! the supervisor also pushes the start. It then has further threads and an HTTP client, and uses more memory.
//!
//! # Out of memory
//!
//! The supervisor compares the kernel's counter of out-of-memory kills in the job's control group before and after:
//! `oom_kill` in `memory.events` (version 2) or `memory.oom_control` (version 1). The `oom` row is tested with the version
//! that the test machine uses; files of the other version are tested from copies. If the kernel or the container runtime kills the
//! whole group, the supervisor dies as well, and L2 reports the run.
//!
//! # After a power loss
//!
//! The disk contains what the file system had written: usually everything except the last seconds, possibly files with
//! zeros, without data or with half a line. Later runs can read any of these, and never report a failed run as a success.
//! A run whose ending is on the gateway is not reported again. Of a run of the last seconds, the start push may be the
//! only record. If the gateway lost its data as well, a completed run may be reported as abandoned.
//!
//! With [`durable_journal`](crate::Job::durable_journal), each start and end waits until the record is on disk: no run whose body
//! started is lost, and no recorded ending is reported as anything else. This needs a state directory that is
//! itself on disk by then, because it was created earlier.
//!
//! `tests/e2e/power_loss.rs` records the file operations of a job and simulates a power loss after each of them, in each of
//! these ways.
//!
//! # Limits
//!
//! - A run that never started cannot report anything: `every` exports the deadline, and a rule fires when it passes.
//! - SIGKILL of the supervisor ends the job as well. This, the kernel's kill of a whole control group and the end of
//!   PID 1 of a container are covered by L2, with a state directory that outlives the container.
//! - If the host and its disk are lost, L1 remains.
//! - `_exit(0)` is reported as a success by L3, like `process::exit(0)`, because the supervisor sees only the exit status.
//! - A process that forks and continues only in the child, like a daemon, must start its run after the fork.
//! - If several hosts push to one group at the same time, the group contains only the run that pushed last.
