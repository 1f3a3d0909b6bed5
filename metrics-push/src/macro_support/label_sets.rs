//! `LabelSets`: the handles of a site per set of label values. Finding a set neither allocates nor locks.

use std::sync::OnceLock;

use super::label_value::{LabelValue, RenderedValues, as_texts};
use super::site::Site;
use crate::log;
use crate::metrics::{SeriesTable, ValueIter};

/// The value of every label of a new set after a site has reached its limit.
const OTHER: &str = "_other";

/// Handles by the label values of a call: at most `max_series` sets, and one for all other sets.
pub(super) struct LabelSets<H> {
    sets: SeriesTable<H>,
    other: OnceLock<H>,
}

impl<H> LabelSets<H> {
    pub(super) const fn new() -> Self {
        Self { sets: SeriesTable::new(), other: OnceLock::new() }
    }

    /// Returns the handles for these label values, after inserting the result of `create` if there are none.
    #[inline]
    pub(super) fn get_or_insert(
        &self,
        site: &Site,
        values: &[LabelValue<'_>],
        create: impl Fn(&[&str]) -> H,
    ) -> &H {
        match as_texts(values) {
            Some(texts) => self.find_or_insert(site, texts, create),
            None => self.render_and_get(site, values, create),
        }
    }

    // Not inlined: it would slow down the look-up of texts.
    #[inline(never)]
    fn render_and_get(
        &self,
        site: &Site,
        values: &[LabelValue<'_>],
        create: impl Fn(&[&str]) -> H,
    ) -> &H {
        RenderedValues::with(
            values,
            |position, rendering| site.log_rendering(position, rendering),
            |rendered| self.find_or_insert(site, rendered.iter(), create),
        )
    }

    #[inline]
    fn find_or_insert<'v>(
        &self,
        site: &Site,
        values: impl ValueIter<'v>,
        create: impl Fn(&[&str]) -> H,
    ) -> &H {
        let find = || self.sets.find(values.clone());
        // `other` is set after the last set, which another thread may just have inserted.
        let found = find().or_else(|| self.other.get().map(|other| find().unwrap_or(other)));
        found.unwrap_or_else(|| self.insert(site, &values.collect::<Vec<_>>(), create))
    }

    #[cold]
    fn insert(&self, site: &Site, values: &[&str], create: impl Fn(&[&str]) -> H) -> &H {
        let inserted = self.sets.find_or_insert(values.iter().copied(), |count| {
            (count < site.max_series()).then(|| create(values))
        });
        inserted.unwrap_or_else(|| {
            self.other.get_or_init(|| {
                log::warn(format_args!(
                    "{} has reached the limit of {} sets of label values in {}: further sets are \
                     recorded as {OTHER:?}; use fewer label values, or raise max_series",
                    site.metric_name(),
                    site.max_series(),
                    site.function()
                ));
                create(&vec![OTHER; values.len()])
            })
        })
    }
}
