//! Labels whose values are known only when a function is called: their series, found again without
//! allocating or locking, and bounded in number.

use std::sync::OnceLock;

use super::site::Site;
use super::values::{Rendered, Value, texts};
use crate::log;
use crate::metrics::{SeriesTable, Values};

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
    pub(super) fn of(&self, site: &Site, values: &[Value<'_>], make: impl Fn(&[&str]) -> S) -> &S {
        match texts(values) {
            Some(texts) => self.find_or_add(site, texts, make),
            None => {
                Rendered::with(values, |rendered| self.find_or_add(site, rendered.values(), make))
            }
        }
    }

    #[inline]
    fn find_or_add<'v>(
        &self,
        site: &Site,
        values: impl Values<'v>,
        make: impl Fn(&[&str]) -> S,
    ) -> &S {
        let known = self.known.find(values.clone()).or_else(|| self.other.get());
        known.unwrap_or_else(|| self.add(site, &values.collect::<Vec<_>>(), make))
    }

    #[cold]
    fn add(&self, site: &Site, values: &[&str], make: impl Fn(&[&str]) -> S) -> &S {
        let is_allowed = |count| count < site.max_series;
        let added = self
            .known
            .find_or_make(values.iter().copied(), |count| is_allowed(count).then(|| make(values)));
        added.unwrap_or_else(|| {
            self.other.get_or_init(|| {
                log::warn(format_args!(
                    "{} has {} sets of label values from {}, which is its limit: further ones are \
                     counted as {OTHER:?}; use fewer values, or raise max_series",
                    site.metric, site.max_series, site.place.function
                ));
                make(&vec![OTHER; values.len()])
            })
        })
    }
}
