//! `ReservedPort`: a port of 127.0.0.1 on which a server listens or refuses connections.
//!
//! On Linux, a socket is bound to the port and does not listen. While the server refuses connections, the system does not
//! assign the port to another socket.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

pub(super) struct ReservedPort {
    address: SocketAddr,
    /// The socket that holds the port.
    _reservation: Box<dyn Send + Sync>,
}

impl ReservedPort {
    /// Reserves this port, or a free one for 0.
    pub(super) fn new(port: u16) -> io::Result<Self> {
        let (address, reservation) = reserve((Ipv4Addr::LOCALHOST, port).into())?;
        Ok(Self { address, _reservation: reservation })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn listen(&self) -> io::Result<TcpListener> {
        TcpListener::bind(self.address)
    }
}

// The documentation is built without the feature of this module.
#[cfg(all(target_os = "linux", not(doc)))]
fn reserve(address: SocketAddr) -> io::Result<(SocketAddr, Box<dyn Send + Sync>)> {
    use rustix::net::{self, AddressFamily, SocketFlags, SocketType};

    let socket =
        net::socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // `TcpListener` sets this option as well, so that both sockets can be bound.
    net::sockopt::set_socket_reuseaddr(&socket, true)?;
    net::bind(&socket, &address)?;
    let address = SocketAddr::try_from(net::getsockname(&socket)?)?;
    Ok((address, Box::new(socket)))
}

#[cfg(any(not(target_os = "linux"), doc))]
fn reserve(address: SocketAddr) -> io::Result<(SocketAddr, Box<dyn Send + Sync>)> {
    Ok((TcpListener::bind(address)?.local_addr()?, Box::new(())))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::net::{AddressFamily, SocketType, bind, socket};

    use super::*;

    #[test]
    fn port_of_a_closed_listener_stays_reserved() {
        let port = ReservedPort::new(0).unwrap();
        for _ in 0..2 {
            drop(port.listen().unwrap());
            // Like the search for a free port, this does not share the port with another socket.
            let other = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
            assert_eq!(bind(&other, &port.address()), Err(rustix::io::Errno::ADDRINUSE));
        }
    }
}
