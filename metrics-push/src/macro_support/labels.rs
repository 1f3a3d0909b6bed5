//! Labels whose values are known only when a function is called: their series, found again without
//! allocating or locking, and bounded in number.

use std::fmt::Display;
use std::sync::OnceLock;

use super::site::Site;
use crate::metrics::{Key, SeriesTable};
use crate::notice;

/// The value of all run-time labels once there are too many sets of values.
const OTHER: &str = "_other";

/// What a site measures with, per set of run-time label values.
pub(super) struct Sets<S> {
    known: SeriesTable<S>,
    other: OnceLock<S>,
}

impl<S> Sets<S> {
    pub(super) const fn new() -> Self {
        Self { known: SeriesTable::new(), other: OnceLock::new() }
    }

    /// The set for these values; `make` makes it the first time.
    #[inline]
    pub(super) fn of(
        &self,
        site: &Site,
        values: &[&dyn Display],
        make: impl Fn(&[&str]) -> S,
    ) -> &S {
        let fill = |key: &mut Key| values.iter().for_each(|value| key.push(value));
        Key::with(fill, |key| {
            let known = self.known.find(key).or_else(|| self.other.get());
            known.unwrap_or_else(|| self.add(site, key, make))
        })
    }

    #[cold]
    fn add(&self, site: &Site, key: &Key, make: impl Fn(&[&str]) -> S) -> &S {
        let values: Vec<_> = key.values().collect();
        let added =
            self.known.find_or_make(key, |count| (count < site.max_series).then(|| make(&values)));
        added.unwrap_or_else(|| {
            self.other.get_or_init(|| {
                notice::warn(format_args!(
                    "{} has {} sets of label values from {}, which is its limit: further ones are \
                     counted as {OTHER:?}; use fewer values, or raise max_series",
                    site.metric, site.max_series, site.place.function
                ));
                make(&vec![OTHER; values.len()])
            })
        })
    }
}
