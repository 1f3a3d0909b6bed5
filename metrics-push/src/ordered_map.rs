//! `ordered_map`: collects entries into a `BTreeMap`.

use std::collections::BTreeMap;

/// Inserts the entries into a map.
///
/// `collect` sorts the entries first, and the sort is compiled again for each type of iterator: 2,000 lines of LLVM IR
/// each.
pub(crate) fn ordered_map<K: Ord, V>(entries: impl Iterator<Item = (K, V)>) -> BTreeMap<K, V> {
    let mut map = BTreeMap::new();
    map.extend(entries);
    map
}
