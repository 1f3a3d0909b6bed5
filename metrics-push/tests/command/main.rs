//! The command as people and scripts meet it: a child process, in a pipe or on a terminal, with a gateway of the test's.

mod exec;
mod exposition;
mod generated;
mod program;
mod removal;
mod status;
