//! Looks up host names. The client's own resolver panics if the system refuses it a thread.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::oneshot;
use crate::threads;

pub(super) struct Resolver;

impl Resolve for Resolver {
    /// Calls the system's resolver, which blocks, on a new thread.
    fn resolve(&self, name: Name) -> Resolving {
        let (sender, receiver) = oneshot::channel();
        let look_up = move || {
            // The client replaces the port.
            let addresses = (name.as_str(), 0).to_socket_addrs();
            sender.send(addresses.map(Iterator::collect::<Vec<SocketAddr>>));
        };
        let spawned = threads::spawn("metrics-push-dns", look_up);
        Box::pin(async move {
            spawned?;
            let addresses = receiver.await.unwrap_or_else(|| Err(io::ErrorKind::Other.into()))?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
