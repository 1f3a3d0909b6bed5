//! Checks the reader of the text format with arbitrary bytes.

use super::{Exposition, single_value};
use crate::labels::GroupingKey;

/// Parses an exposition. The families that it sends are an exposition with the same families.
///
/// # Panics
/// If the reader is wrong.
pub fn exposition(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = single_value(&text);
    let Ok(exposition) = text.parse::<Exposition>() else { return };
    let families = GroupingKey::new("job").and_then(|key| exposition.families_for(&key));
    let Ok(families) = families else { return };
    let sent: String = families.values().map(String::as_str).collect();
    let again = sent.parse::<Exposition>();
    assert!(
        again.as_ref().is_ok_and(|again| again.names().eq(exposition.names())),
        "{again:?}: {sent}"
    );
}
