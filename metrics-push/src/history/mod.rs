//! The history of a group: what became of its last runs, on this machine.

mod run;

pub use run::{FinishedRun, RecordCounts, RunHistory};
