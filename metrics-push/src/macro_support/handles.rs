//! `HandleCache`: the metrics that a site records its calls in. The first call registers them.

use std::sync::OnceLock;

// Reading takes one load. `OnceLock` also loads its state.
use once_cell::race::OnceRef;

use super::label_sets::LabelSets;
use super::label_value::LabelValue;
use super::short_texts::ShortTexts;
use super::site::Site;
use crate::error::Error;
use crate::metrics::is_gathering;
use crate::unwind::catch_panic;

/// A site that registers its metrics at the first call.
pub(super) trait Resolve {
    /// The registered metrics.
    type Registered;

    /// The metrics that one call changes.
    type Handles;

    fn site(&self) -> &Site;

    /// Registers the metrics.
    ///
    /// # Errors
    /// `is_metric` if a metric conflicts with a registered one.
    fn register(&self) -> Result<Self::Registered, Error>;

    /// Returns the handles for calls with these label values.
    fn handles(&self, registered: &Self::Registered, values: &[&str]) -> Self::Handles;

    /// Returns handles that do not belong to a registered metric, for calls that cannot be recorded.
    fn detached(&self) -> Self::Handles;
}

/// The handles that the calls of a site have used so far.
///
/// The parameters are the associated types of a site's [`Resolve`]. The site itself is not a parameter: the compiler checks
/// this type in each expansion, and would have to look up the associated types each time.
pub(super) struct HandleCache<R: 'static, H: 'static> {
    /// The handles of a site whose label values do not depend on the call.
    unlabelled: OnceRef<'static, H>,
    // Allocated by the first call, because the compiler evaluates this type in each expansion. It is never dropped, because
    // the compiler would then have to check the destructor of each site.
    first_call: OnceRef<'static, FirstCall<R, H>>,
}

/// What the first call of a site prepares.
struct FirstCall<R, H: 'static> {
    /// `None` if the metrics could not be registered.
    resolved: OnceLock<Option<Resolved<R, H>>>,
    detached: OnceLock<H>,
    short_texts: OnceRef<'static, ShortTexts<H>>,
}

struct Resolved<R, H> {
    registered: R,
    label_sets: LabelSets<H>,
}

impl<R, H> HandleCache<R, H> {
    /// A constant instead of a function, because the compiler evaluates it once for all sites.
    #[expect(clippy::declare_interior_mutable_const, reason = "it initialises statics only")]
    pub(super) const EMPTY: Self = Self { unlabelled: OnceRef::new(), first_call: OnceRef::new() };

    /// Returns the handles of a site without labels; `None` before its first call.
    #[inline]
    pub(super) fn unlabelled(&self) -> Option<&'static H> {
        self.unlabelled.get()
    }

    /// Returns the handles for a call with one short text as label value, if an earlier call has stored them.
    #[inline]
    pub(super) fn find_short(&self, labels: &[LabelValue<'_>]) -> Option<&'static H> {
        let [LabelValue::Text(text)] = labels else { return None };
        self.first_call.get()?.short_texts.get()?.find(text)
    }

    /// Returns the handles for a call with these label values. Registers the metrics at the first call.
    pub(super) fn resolve(
        &'static self,
        site: &impl Resolve<Registered = R, Handles = H>,
        labels: &[LabelValue<'_>],
    ) -> &'static H {
        let first_call = self.first_call.get_or_init(|| leak(FirstCall::default()));
        let Some(resolved) = first_call.resolved(site) else {
            return first_call.detached.get_or_init(|| site.detached());
        };
        let create = |values: &[&str]| site.handles(&resolved.registered, values);
        if site.site().has_labels() {
            let handles = resolved.label_sets.get_or_insert(site.site(), labels, create);
            if let [LabelValue::Text(text)] = labels {
                let short_texts = || leak(ShortTexts::new());
                first_call.short_texts.get_or_init(short_texts).insert(text, handles);
            }
            return handles;
        }
        self.unlabelled.get_or_init(|| leak(create(&[])))
    }
}

impl<R, H> Default for FirstCall<R, H> {
    fn default() -> Self {
        Self { resolved: OnceLock::new(), detached: OnceLock::new(), short_texts: OnceRef::new() }
    }
}

impl<R, H> FirstCall<R, H> {
    #[inline]
    fn resolved(&self, site: &impl Resolve<Registered = R>) -> Option<&Resolved<R, H>> {
        match self.resolved.get() {
            Some(resolved) => resolved.as_ref(),
            None => self.register(site),
        }
    }

    #[cold]
    fn register(&self, site: &impl Resolve<Registered = R>) -> Option<&Resolved<R, H>> {
        if is_gathering() {
            // A collector cannot register metrics while its registry is gathered. A later call registers them.
            return None;
        }
        let resolved = self.resolved.get_or_init(|| {
            // The function that returns the registry is code of the program. Its panic has been reported.
            let registered = site.site().ok_or_warn(catch_panic(|| site.register())?)?;
            Some(Resolved { registered, label_sets: LabelSets::new() })
        });
        resolved.as_ref()
    }
}

/// Sites are static, so their handles are never dropped.
fn leak<T>(handles: T) -> &'static T {
    Box::leak(Box::new(handles))
}
