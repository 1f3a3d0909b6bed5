//! What is reported of a run, however it ends: the table, and what no library can do.
//!
//! There are four levels. Each needs more than the one before, and adds to it.
//!
//! | level | needs | gives |
//! | --- | --- | --- |
//! | L0 | nothing | endings that code in the process can see are reported at once, as what they were |
//! | L1 | the start push | every other death can be *detected*: the run started and never completed, and a shipped rule fires |
//! | L2 | a state directory | every outcome is *delivered eventually*: by the next run that uses the directory, or by [`recover`](crate::recover()) |
//! | L3 | [`supervise`](crate::Job::supervise) | deaths that nothing in the process can see are reported *at once*, with their cause, by a parent process |
//!
//! # The table
//!
//! A cell is the outcome that is reported. L0 and L3 report at once, L2 as soon as another run starts. `open` means that
//! nothing is reported: the start push alone tells of the run, so that it is detected once `max_runtime` is over (L1).
//! `abandoned` is reported by the next run that uses the state directory, whatever its job.
//!
//! Each cell is a test of its row's name and its column's in `tests/e2e/guarantees.rs`, such as `oom::l3`. It brings the ending about
//! with the real gateway, in a program that unwinds and in one that aborts when it panics, and reads the promise from this
//! table. Exit status and output are those of the same program without a gateway, and nothing waits for a time-out.
//!
//! | how the run ends | test | L0 | L2 | L3 |
//! | --- | --- | --- | --- | --- |
//! | returns `Ok`, `()`, a success | `ok` | `success` | `success` | `success` |
//! | returns `Err`, a failing `ExitCode` | `err` | `error` | `error` | `error` |
//! | says that there was nothing to do | `skip` | `skipped` | `skipped` | `skipped` |
//! | panics | `panic` | `panic` | `panic` | `panic` |
//! | panics, and the program has a hook of its own | `panic_with_own_hook` | `panic` | `panic` | `panic` |
//! | panics, and the program's hook exits | `exit_in_panic_hook` | `panic` | `panic` | `panic` |
//! | panics while it unwinds from a panic | `double_panic` | `panic` | `panic` | `panic` |
//! | a thread of its own panics, and it goes on | `panic_in_a_thread` | `success` | `success` | `success` |
//! | a thread that nobody joins panics, and it goes on | `panic_in_a_detached_thread` | `success` | `success` | `success` |
//! | a task of tokio's panics, and it goes on | `panic_in_a_task` | `success` | `success` | `success` |
//! | a task that nobody awaits panics, and it goes on | `panic_in_a_detached_task` | `success` | `success` | `success` |
//! | any thread panics, in a program with `panic = "abort"` | `panic_in_a_thread_with_abort` | `panic` | `panic` | `panic` |
//! | prints to a pipe that nobody reads | `print_to_closed_pipe` | `panic` | `panic` | `panic` |
//! | writes to a pipe that nobody reads, and returns the error | `write_to_closed_pipe` | `error` | `error` | `error` |
//! | `process::exit` with a failure | `exit` | `exit_code` | `exit_code` | `exit_code` |
//! | `process::exit` in another thread | `exit_in_a_thread` | `exit_code` | `exit_code` | `exit_code` |
//! | `process::exit` in a worker of tokio's | `exit_in_a_worker` | `exit_code` | `exit_code` | `exit_code` |
//! | `process::exit(0)` | `exit_0` | `success` | `success` | `success` |
//! | a task is open when the process exits with 0 | `open_task_at_exit_0` | `exit_code` | `exit_code` | `exit_code` |
//! | a task's future loses a `select!` | `task_cancelled_by_select` | `cancelled` | `cancelled` | `cancelled` |
//! | a task's future times out | `task_cancelled_by_timeout` | `cancelled` | `cancelled` | `cancelled` |
//! | a task's runtime is dropped | `task_of_a_dropped_runtime` | `cancelled` | `cancelled` | `cancelled` |
//! | a task is left behind by `shutdown_background` | `task_after_background_shutdown` | `exit_code` | `exit_code` | `exit_code` |
//! | a task's guard is leaked by `mem::forget` | `forgotten_task` | `exit_code` | `exit_code` | `exit_code` |
//! | a task's guard is in a cycle of `Rc`s | `task_in_an_rc_cycle` | `exit_code` | `exit_code` | `exit_code` |
//! | a task's guard is in a thread that is never joined | `task_in_a_detached_thread` | `exit_code` | `exit_code` | `exit_code` |
//! | a task's guard is in a thread-local of `main`'s | `task_in_a_thread_local` | `cancelled` | `cancelled` | `cancelled` |
//! | forks, and the child exits | `fork` | `success` | `success` | `success` |
//! | forks, and the child is ended by TERM | `fork_and_term` | `success` | `success` | `success` |
//! | TERM | `term` | `signal` | `signal` | `signal` |
//! | INT | `int` | `signal` | `signal` | `signal` |
//! | HUP | `hup` | `signal` | `signal` | `signal` |
//! | QUIT | `quit` | `signal` | `signal` | `signal` |
//! | the soft limit of processor time (XCPU) | `cpu_limit` | `signal` | `signal` | `signal` |
//! | HUP, below `nohup` | `nohup` | `success` | `success` | `success` |
//! | INT, in the background of a script | `int_in_the_background` | `success` | `success` | `success` |
//! | QUIT, in the background of a script | `quit_in_the_background` | `success` | `success` | `success` |
//! | a signal that the program handles, and returns `Ok` | `handled_signal` | `success` | `success` | `success` |
//! | is stopped for a while and goes on | `stopped_and_continued` | `success` | `success` | `success` |
//! | TERM, with `signals = off` | `term_with_signals_off` | `open` | `abandoned` | `signal` |
//! | any other signal | `usr1` | `open` | `abandoned` | `signal` |
//! | PIPE, in a program that does not ignore it | `sigpipe` | `open` | `abandoned` | `signal` |
//! | SIGKILL of the job | `kill` | `open` | `abandoned` | `signal` |
//! | the hard limit of processor time | `hard_cpu_limit` | `open` | `abandoned` | `signal` |
//! | SIGKILL because the control group is out of memory | `oom` | `open` | `abandoned` | `oom` |
//! | no memory for an allocation | `out_of_address_space` | `open` | `abandoned` | `signal` |
//! | `abort` | `abort` | `open` | `abandoned` | `signal` |
//! | a stack overflow | `stack_overflow` | `open` | `abandoned` | `signal` |
//! | a bad pointer | `segv` | `open` | `abandoned` | `signal` |
//! | a mapped file is cut short | `bus` | `open` | `abandoned` | `signal` |
//! | an illegal instruction | `ill` | `open` | `abandoned` | `signal` |
//! | `_exit` with a failure | `_exit` | `open` | `abandoned` | `exit_code` |
//! | `_exit(0)` | `_exit_0` | `open` | `abandoned` | `success` |
//! | `quick_exit` | `quick_exit` | `open` | `abandoned` | `exit_code` |
//! | replaces itself by another program, which succeeds | `exec` | `open` | `abandoned` | `success` |
//! | replaces itself by another program, which fails | `exec_failing_program` | `open` | `abandoned` | `exit_code` |
//! | TERM, two seconds, KILL, as a container's first process | `container_stop` | `signal` | `signal` | `signal` |
//! | `abort`, as a container's first process | `container_abort` | `open` | `abandoned` | `signal` |
//! | SIGKILL of a container's first process | `container_kill` | `open` | `abandoned` | `abandoned` |
//! | takes longer than `max_runtime`, with `kill` | `max_runtime` | `timeout` | `timeout` | `timeout` |
//!
//! (`kill` brings its own supervisor, so the last line is L3 in every column.)
//!
//! A task that is still open when its process exits is no success, whatever the code. A `main` that exits with 0 says
//! itself that all is well; any other code is a failure, and is told.
//!
//! # In numbers
//!
//! - *At once* is within the budget of an ending: [`DEFAULT_TIMEOUT`](crate::DEFAULT_TIMEOUT), after a signal at most five
//!   seconds. A gateway that is down for longer costs L0 the outcome, with a line on stderr; L2 keeps it.
//! - The start push leaves two milliseconds after the run has begun, so that a run that is over by then is one request. Of one
//!   that dies unseen before it has left, only the journal and the supervisor know.
//! - A second signal, a second or more after the first, ends the process without waiting.
//! - `process::exit` tells its code with glibc; with other C libraries the outcome is `exit_code` for a zero, too.
//! - Panics on any thread are counted in `batch_job_last_run_panics` as long as our hook is called: a hook that is set
//!   after the run has started should call the one before it.
//!
//! # What is never reported wrong
//!
//! - A run that failed is never reported as a success. What counts is what the run returned or, if it did not return,
//!   what the process said by its status.
//! - An abandoned run moves nothing back: if the gateway or the journal knows of a newer run, only
//!   `batch_job_last_abandoned_timestamp_seconds` is pushed.
//! - The same end may arrive twice, if whoever reported it died before the gateway's answer; it is the same to the last
//!   digit.
//!
//! # As the first process of a container
//!
//! The kernel shields the first process of a PID namespace from signals it does not handle: without us TERM does
//! nothing, and KILL follows. With us TERM is reported and does nothing, so that nothing else changes. If the run
//! ends before KILL comes, its real end is reported after all. A supervisor passes TERM on to the job, which is not the
//! first process and ends; it reaps orphans, and ends with 128 and the signal's number.
//!
//! # At a terminal, with a supervisor
//!
//! Supervisor and job are one process group with one terminal: keys, input, sizes and colours are the job's as without it.
//! When the job is suspended, by a key or by itself, the supervisor stops with it, so that the shell sees it, and goes on
//! with it. A terminal that hangs up ends the job, also where the supervisor leads the session. SIGSTOP of either one alone
//! stops that one alone.
//!
//! The supervisor holds no end of the job's input and output, has one thread, and waits. It has some 0.6 MB of its own in
//! memory (8.5 MB resident in an unoptimised build; the rest is the program's pages, which it shares with the job).
//!
//! # Out of memory
//!
//! The supervisor compares the kernel's count of such kills in the job's control group before and after: `oom_kill` of
//! `memory.events` (version 2) or of `memory.oom_control` (version 1). The `oom` row was brought about with whichever version has
//! the memory controller on the machine that runs the tests; the files of the other one are read from copies. A kernel
//! or a container runtime that kills the whole group takes the supervisor along: that is for L2.
//!
//! # After a power loss
//!
//! What is on the disk is what the file system had written: usually all but the last seconds, and perhaps names without
//! their data, zeros, or half a line. Whatever it is, later runs read it, and no run is told to be a success that was
//! none. A run whose end the gateway has is not told of again. Without more, a run of the last seconds may be known by
//! its start push alone, or, if a gateway without a memory does not have its end, be told as abandoned although it ended.
//!
//! [`synced`](crate::Job::durable_journal) waits for the disk at each start and end: no run whose body had begun is lost, and none
//! whose end was written down is told as anything else. The state directory itself has to be on the disk by then, as
//! it is when it was made before.
//!
//! `tests/e2e/power_loss.rs` records a job's file operations and has the power fail after each, in each of these ways.
//!
//! # What can't be done
//!
//! - A run that never started can't report anything: `every` exports the deadline, and a rule fires when it passes.
//! - SIGKILL of the supervisor ends the job with it, as whoever sent it meant. That, and the kernel's kill of a whole
//!   control group or the end of the first process of a container, is for L2, with a state directory that outlives the container.
//! - A host that never comes back, with its disk, leaves L1.
//! - What `_exit` meant is known to its caller; a code of zero is taken at its word, as `process::exit(0)` is.
//! - A process that has forked and goes on in the child alone, as daemons do, has to start its run after that.
//! - A job whose group is pushed from several hosts at once has the newest of them in its group, not all.
