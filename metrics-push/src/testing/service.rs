//! `Service`: what a fake server does with its requests. The server itself is the same for all services.

use super::http::{HttpResponse, Request};

pub(super) trait Service: Send + 'static {
    /// Handles a request and returns the response.
    fn handle(&mut self, request: &Request) -> HttpResponse;
}
