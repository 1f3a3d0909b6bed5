//! The command as a child process, in a pipe or on a terminal, with a fake gateway.

mod exec;
mod exposition;
#[path = "../../../tests/it/full_pipe.rs"]
mod full_pipe;
mod generated;
mod history;
mod machine;
mod processes;
mod program;
mod removal;
#[path = "../../../tests/it/signal_defaults.rs"]
mod signal_defaults;
mod spool;
#[expect(dead_code, reason = "parts that only other tests use")]
#[path = "../../../tests/it/state_dir.rs"]
mod state_dir;
mod status;
