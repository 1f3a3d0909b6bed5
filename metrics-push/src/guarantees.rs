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
//! The end-to-end tests read this table from this file, bring about each ending as the second column says, with the
//! real gateway, and compare every cell.
//!
//! | how the run ends | in the tests | L0 | L2 | L3 |
//! | --- | --- | --- | --- | --- |
//! | returns `Ok`, `()`, a success | `ok` | `success` | `success` | `success` |
//! | returns `Err`, a failing `ExitCode` | `err` | `error` | `error` | `error` |
//! | says that there was nothing to do | `skip` | `skipped` | `skipped` | `skipped` |
//! | panics | `panic` | `panic` | `panic` | `panic` |
//! | panics, in a program with `panic = "abort"` | `panic` aborting | `panic` | `panic` | `panic` |
//! | panics, and the program has a hook of its own | `panic-with-own-hook` | `panic` | `panic` | `panic` |
//! | panics, and the program's hook exits | `exit-in-hook` | `panic` | `panic` | `panic` |
//! | panics while it unwinds from a panic | `panic-in-drop` | `panic` | `panic` | `panic` |
//! | a thread of its own panics, and it goes on | `panic-in-thread` | `success` | `success` | `success` |
//! | a thread of its own panics, in a program with `panic = "abort"` | `panic-in-thread` aborting | `panic` | `panic` | `panic` |
//! | a task's future is dropped | `dropped-runtime` task | `cancelled` | `cancelled` | `cancelled` |
//! | a task is left behind by the runtime's shutdown | `background-shutdown` task | `exit_code` | `exit_code` | `exit_code` |
//! | a task's guard is leaked by `mem::forget` | `forgotten-task` task | `exit_code` | `exit_code` | `exit_code` |
//! | `process::exit` with a failure | `exit-3` | `exit_code` | `exit_code` | `exit_code` |
//! | `process::exit` in another thread | `exit-in-thread` | `exit_code` | `exit_code` | `exit_code` |
//! | `process::exit` in a worker of tokio's | `exit-in-worker` | `exit_code` | `exit_code` | `exit_code` |
//! | `process::exit(0)` | `exit-0` | `success` | `success` | `success` |
//! | forks, and the child exits | `fork` | `success` | `success` | `success` |
//! | TERM | `wait` TERM | `signal` | `signal` | `signal` |
//! | INT | `wait` INT | `signal` | `signal` | `signal` |
//! | HUP | `wait` HUP | `signal` | `signal` | `signal` |
//! | QUIT | `wait` QUIT | `signal` | `signal` | `signal` |
//! | a signal that the program handles, and returns `Ok` | `tokio-signal` TERM | `success` | `success` | `success` |
//! | TERM, with `signals = off` | `wait` TERM signals-off | `open` | `abandoned` | `signal` |
//! | any other signal | `wait` USR1 | `open` | `abandoned` | `signal` |
//! | SIGKILL of the job | `wait` KILL | `open` | `abandoned` | `signal` |
//! | SIGKILL because the control group is out of memory | `out-of-memory` oom | `open` | `abandoned` | `oom` |
//! | `abort`, or no memory for an allocation | `abort` | `open` | `abandoned` | `signal` |
//! | a stack overflow | `overflow` | `open` | `abandoned` | `signal` |
//! | a bad pointer | `segv` | `open` | `abandoned` | `signal` |
//! | `_exit` | `_exit` | `open` | `abandoned` | `exit_code` |
//! | replaces itself by another program, which succeeds | `exec` | `open` | `abandoned` | `success` |
//! | takes longer than `max_runtime`, with `kill` | `wait` limited | `timeout` | `timeout` | `timeout` |
//!
//! (`kill` brings its own supervisor, so the last line is L3 in every column.)
//!
//! # In numbers
//!
//! - *At once* is within the budget of an ending: [`DEFAULT_TIMEOUT`](crate::DEFAULT_TIMEOUT), after a signal at most five
//!   seconds. A gateway that is down for longer costs L0 the outcome, with a line on stderr; L2 keeps it.
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
//! # After a power loss
//!
//! The journal then holds what the file system had written, which is usually all but the last seconds; a run of which
//! nothing had been written is known by its start push alone. [`synced`](crate::Job::synced) waits for the disk at each
//! start and end.
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
