//! `Proxy`: whether requests use the proxies that the environment configures.

use reqwest::Url;

use super::url::is_loopback;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Proxy {
    /// Ignores the environment and connects directly.
    #[default]
    Never,
    /// Reads `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`. Servers on this machine never use a proxy.
    Environment,
}

impl Proxy {
    /// Returns true if requests to `base` may use a proxy.
    pub(super) fn is_allowed_for(self, base: &Url) -> bool {
        self == Self::Environment && !is_loopback(base)
    }
}
