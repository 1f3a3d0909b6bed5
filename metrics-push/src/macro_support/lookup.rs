//! What a site measures with, from its first call on.

use std::sync::OnceLock;

/// A reference that is read with one load; `std` has none.
use once_cell::race::OnceRef;

use super::labels::Sets;
use super::site::Site;
use super::values::Value;
use crate::error::Error;
use crate::metrics::is_gathering;

/// A site that resolves what it measures with at its first call, so that later ones need but read it.
pub(super) trait Resolve {
    /// What is registered.
    type Registered;

    /// What one call needs.
    type Handles;

    fn site(&self) -> &Site;

    fn register(&self) -> Result<Self::Registered, Error>;

    /// What calls with these values need.
    fn handles(&self, registered: &Self::Registered, values: &[&str]) -> Self::Handles;

    /// The same for calls that nobody hears of.
    fn unheard(&self) -> Self::Handles;
}

/// What was found so far.
pub(super) struct Lookup<S: Resolve + 'static> {
    /// Without labels of the call, all that a call needs.
    plain: OnceRef<'static, S::Handles>,
    resolved: OnceLock<Option<Box<Resolved<S>>>>,
    unheard: OnceRef<'static, S::Handles>,
}

struct Resolved<S: Resolve> {
    registered: S::Registered,
    sets: Sets<S::Handles>,
}

impl<S: Resolve> Lookup<S> {
    pub(super) const fn new() -> Self {
        Self { plain: OnceRef::new(), resolved: OnceLock::new(), unheard: OnceRef::new() }
    }

    /// What a call needs, if it has no labels of its own and is not the first.
    #[inline]
    pub(super) fn plain(&self) -> Option<&'static S::Handles> {
        self.plain.get()
    }

    /// What a call with these label values needs. A site is never dropped, and so may be what it refers to.
    pub(super) fn find(&'static self, site: &S, values: &[Value<'_>]) -> &'static S::Handles {
        let Some(resolved) = self.resolve(site) else {
            return self.unheard.get_or_init(|| leaked(site.unheard()));
        };
        let make = |values: &[&str]| site.handles(&resolved.registered, values);
        if site.site().has_labels() {
            return resolved.sets.of(site.site(), values, make);
        }
        self.plain.get_or_init(|| leaked(make(&[])))
    }

    fn resolve(&'static self, site: &S) -> Option<&'static Resolved<S>> {
        if self.resolved.get().is_none() && is_gathering() {
            // A registry can't be changed by its own collectors; a later call will do.
            return None;
        }
        let resolved = self.resolved.get_or_init(|| {
            let registered = site.site().report(site.register())?;
            Some(Box::new(Resolved { registered, sets: Sets::new() }))
        });
        resolved.as_deref()
    }
}

fn leaked<T>(handles: T) -> &'static T {
    Box::leak(Box::new(handles))
}
