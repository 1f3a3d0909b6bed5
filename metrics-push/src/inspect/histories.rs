//! `history` and `histories`: what became of the last runs, as this machine has recorded it.

use crate::history::RunHistory;
use crate::labels::GroupingKey;
use crate::pipeline::Pipeline;

/// Returns the history of a group; `None` if the state directory has none.
///
/// The history contains the last 200 runs of the group that ended on this machine.
///
/// ```
/// # fn main() -> Result<(), metrics_push::Error> {
/// let key = metrics_push::GroupingKey::new("nightly_import")?;
/// if let Some(history) = metrics_push::history(&key) {
///     for run in history.runs() {
///         println!("{}: {}", run.id(), run.outcome());
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn history(key: &GroupingKey) -> Option<RunHistory> {
    Pipeline::current().history.of_group(key)
}

/// Returns the histories of all groups in the state directory, ordered by grouping key.
#[must_use]
pub fn histories() -> Vec<RunHistory> {
    Pipeline::current().history.all()
}
