//! Behaviour of the crates as their users meet it; a module per area.

mod fake_gateway;
#[path = "../e2e/http.rs"]
mod http;
