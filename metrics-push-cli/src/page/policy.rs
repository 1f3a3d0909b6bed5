//! The style, the script and the Content-Security-Policy that allows nothing else.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

pub(super) const STYLE: &str = include_str!("../../templates/page.css");
pub(super) const SCRIPT: &str = include_str!("../../templates/page.js");

/// Returns the policy: one style and one script by their hashes, and requests to the page itself only.
pub(crate) fn content_security_policy() -> &'static str {
    static POLICY: LazyLock<String> = LazyLock::new(|| {
        let (style, script) = (hash(STYLE), hash(SCRIPT));
        format!(
            "default-src 'none'; style-src '{style}'; script-src '{script}'; img-src data:; connect-src 'self'; \
             base-uri 'none'; form-action 'self'"
        )
    });
    &POLICY
}

fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}
