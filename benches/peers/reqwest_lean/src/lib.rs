//! A push with `reqwest` by hand, without its default features, on a current-thread runtime.

use reqwest::Client;
use tokio::runtime::{Builder, Runtime};

/// The client and the runtime of one process.
pub struct Lean {
    client: Client,
    runtime: Runtime,
    url: String,
}

impl Lean {
    /// Prepares pushes to the gateway with this URL.
    pub fn new(url: &str) -> Self {
        #[cfg(feature = "tls")]
        rustls::crypto::ring::default_provider().install_default().unwrap();
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let client = Client::builder().no_proxy().build().unwrap();
        Self { client, runtime, url: format!("{url}/metrics/job/lean") }
    }

    /// Pushes the content of a file.
    pub fn push(&self, file: &str) {
        let body = std::fs::read_to_string(file).unwrap();
        let response = self.client.put(&self.url).body(body).send();
        assert!(self.runtime.block_on(response).unwrap().status().is_success());
    }
}
