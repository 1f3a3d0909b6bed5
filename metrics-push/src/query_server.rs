//! `QueryServer`: a server with Prometheus' query API, for the command.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::delivery::policy::RECEIPT_GRACE;
use crate::dispatcher::dispatcher;
use crate::error::{Error, Kind};
use crate::sink::PrometheusApi;

/// A Prometheus, or a server with the same query API.
#[derive(Clone)]
pub struct QueryServer {
    client: Arc<PrometheusApi>,
    timeout: Duration,
}

impl QueryServer {
    /// Returns the server at the first URL of a configuration, with its credentials, certificates and timeout.
    ///
    /// # Errors
    /// `is_config` if the configuration has no URL or is contradictory.
    pub fn from_config(config: &Config) -> Result<Self, Error> {
        let target = config.targets()?.into_iter().next();
        let target = target.ok_or_else(|| Error::config("no URL of a query API is configured"))?;
        Ok(Self { client: Arc::new(PrometheusApi::connect(&target)?), timeout: config.timeout })
    }

    /// Returns the URL without credentials.
    #[must_use]
    pub fn url(&self) -> &str {
        self.client.url()
    }

    /// Returns the error for a response that is not the result of a query.
    #[must_use]
    pub fn invalid_response(&self) -> Error {
        Error::config("the response is not the result of a query")
            .at("url", self.url())
            .remedy("check that the URL is that of a Prometheus, or of a server with its query API")
    }

    /// Evaluates an expression at this moment, and returns the JSON document of the response.
    ///
    /// # Errors
    /// If the server does not respond, or rejects the expression or the credentials.
    pub fn query(&self, expression: &str) -> Result<Vec<u8>, Error> {
        let (client, timeout) = (Arc::clone(&self.client), self.timeout);
        let expression = expression.to_owned();
        let response = dispatcher().spawn(async move { client.query(&expression, timeout).await });
        response.wait(timeout.saturating_add(RECEIPT_GRACE)).unwrap_or_else(|| {
            Err(Error::new(Kind::Timeout, "the query did not finish in time")
                .at("url", self.url())
                .remedy("check the load of the server, or set a longer --timeout"))
        })
    }
}

impl fmt::Debug for QueryServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryServer").field("url", &self.url()).finish_non_exhaustive()
    }
}
