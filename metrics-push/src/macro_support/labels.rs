//! Labels whose values are known only when a function is called: their series, found again without
//! allocating or locking, and bounded in number.

use std::cell::Cell;
use std::fmt::{Display, Write as _};
use std::sync::OnceLock;

use super::site::Site;
use crate::metrics::SeriesTable;
use crate::notice;

/// The value of all run-time labels once there are too many sets of values.
const OTHER: &str = "_other";

thread_local! {
    // Taken while in use: a value's `Display` may call another function with labels.
    static TEXTS: Cell<Texts> = const { Cell::new(Texts::new()) };
}

/// Label values as text, one behind the other.
#[derive(Default)]
struct Texts {
    text: String,
    ends: Vec<usize>,
}

impl Texts {
    const fn new() -> Self {
        Self { text: String::new(), ends: Vec::new() }
    }

    fn write(&mut self, values: &[&dyn Display]) {
        self.text.clear();
        self.ends.clear();
        for value in values {
            // What a `Display` wrote before it failed is all there is to show.
            let _ = write!(self.text, "{value}");
            self.ends.push(self.text.len());
        }
    }

    fn values(&self) -> impl Iterator<Item = &str> + Clone {
        let starts = std::iter::once(&0).chain(&self.ends);
        starts.zip(&self.ends).map(|(start, end)| &self.text[*start..*end])
    }
}

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
    pub(super) fn of(
        &self,
        site: &Site,
        values: &[&dyn Display],
        make: impl Fn(&[&str]) -> S,
    ) -> &S {
        // Gone only in a thread's last moments: then a new buffer has to do.
        let mut texts = TEXTS.try_with(Cell::take).unwrap_or_default();
        texts.write(values);
        let found = self.known.find(texts.values()).or_else(|| self.other.get());
        let set = found.unwrap_or_else(|| self.add(site, &texts, make));
        let _ = TEXTS.try_with(|cell| cell.set(texts));
        set
    }

    #[cold]
    fn add(&self, site: &Site, texts: &Texts, make: impl Fn(&[&str]) -> S) -> &S {
        let values: Vec<_> = texts.values().collect();
        let added = self.known.find_or_make(values.iter().copied(), |count| {
            (count < site.max_series).then(|| make(&values))
        });
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
