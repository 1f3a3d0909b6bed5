//! The id of a run, which its journal and its history contain.

use std::hash::{BuildHasher as _, RandomState};

use crate::clock::Moment;

/// Returns a new id: 16 hexadecimal digits, different for each run on any machine.
pub(super) fn new_run_id() -> String {
    // The keys of `RandomState` are random. A forked child has the same ones, but another process id.
    let moment = (Moment::now().unix_nanos(), std::process::id());
    format!("{:016x}", RandomState::new().hash_one(moment))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn run_ids_are_short_and_unique() {
        let ids: BTreeSet<_> = (0..1_000).map(|_| new_run_id()).collect();
        assert_eq!(ids.len(), 1_000);
        assert!(ids.iter().all(|id| id.len() == 16), "{ids:?}");
    }
}
