//! `EndpointRules`: how the sinks that are configured with a whole URL differ in their URL and headers.

/// The URL and headers of one kind of endpoint.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EndpointRules {
    /// The start of the scheme, such as `influx+`. `http` or `https` follows.
    pub(crate) prefix: &'static str,
    /// Returns the path of a URL without one, by its query.
    pub(crate) default_path: fn(&str) -> &'static str,
    /// The headers that each request sets, in lowercase. The configuration must not contain them.
    pub(crate) reserved_headers: &'static [&'static str],
    /// The word before a token in the header `Authorization`.
    pub(crate) token_scheme: &'static str,
}
