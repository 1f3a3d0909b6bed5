//! Servers for tests: a Pushgateway, [`FakeGateway`], and a receiver of remote write, [`FakeReceiver`].
//!
//! `FakeGateway` is an HTTP server on a free local port. It follows the rules of Pushgateway 1.5.1: which push replaces
//! which metrics, which pushes are rejected and with which message, the push timestamps, the redirects, and the groups
//! that a rejected push leaves behind. A [`Fault`] makes it fail like a real gateway or proxy. An end-to-end test compares
//! it with the real Pushgateway.
//!
//! `FakeReceiver` accepts and refuses samples like Prometheus, and an end-to-end test compares it with Prometheus.
//!
//! # Examples
//!
//! ```
//! use std::io::{Read, Write};
//! use metrics_push::testing::{FakeGateway, Fault};
//!
//! # fn main() -> std::io::Result<()> {
//! let gateway = FakeGateway::start();
//!
//! // Any client can push. This one is a plain socket.
//! let mut stream = std::net::TcpStream::connect(gateway.address())?;
//! stream.write_all(
//!     b"PUT /metrics/job/nightly/region/eu HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\
//!       Content-Length: 33\r\n\r\nrecords{result=\"processed\"} 9000\n",
//! )?;
//! let mut response = String::new();
//! stream.read_to_string(&mut response)?;
//! assert!(response.starts_with("HTTP/1.1 200 OK"));
//!
//! let group = gateway.group("nightly", &[("region", "eu")]);
//! assert_eq!(group.value("records", &[("result", "processed")]), 9000.0);
//! assert!(group.last_push.is_some() && group.last_failure.is_none());
//! assert_eq!(gateway.requests()[0].method, "PUT");
//!
//! // From now on, the gateway is overloaded.
//! gateway.fault(Fault::status(503).header("Retry-After", "120"));
//! # Ok(())
//! # }
//! ```
//!
//! # Differences from the real Pushgateway
//!
//! - Compressed bodies need the feature `gzip`. Without it, they get a 415.
//! - Nothing is stored on disk.
//! - `/metrics` contains the pushed metrics only, not the gateway's metrics about itself.
//! - A job name in invalid base64 does not block later pushes. In the real gateway it does, because of a bug.
//! - The type `gauge_histogram` is rejected. The real gateway accepts it, and one sample named like its family
//!   truncates every later scrape.

// This module uses no other module of the crate: it must not repeat a bug of the client that it tests.
mod assertions;
mod auth;
mod body;
mod connection;
mod consistency;
mod exposition;
mod fake_gateway;
mod fake_receiver;
mod family;
mod fault;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod go_base64;
mod go_format;
mod group;
#[cfg(feature = "gzip")]
mod gzip;
#[cfg(not(feature = "gzip"))]
#[path = "gzip_disabled.rs"]
mod gzip;
mod http;
mod index;
mod json;
mod lexer;
mod parse;
mod path;
mod protobuf;
mod protobuf_reader;
mod receiver_service;
mod reserved_port;
mod routes;
mod sample_store;
mod series;
mod server;
mod service;
#[cfg(any(feature = "remote-write", feature = "testing"))]
mod snappy;
#[cfg(not(any(feature = "remote-write", feature = "testing")))]
#[path = "snappy_disabled.rs"]
mod snappy;
mod state;
mod store;
mod write_request;

pub use fake_gateway::{Builder, FakeGateway};
pub use fake_receiver::{FakeReceiver, ReceiverBuilder};
pub use family::{Family, Kind, Sample};
pub use fault::Fault;
pub use group::Group;
pub use http::Request;
pub use series::{Point, Series};
