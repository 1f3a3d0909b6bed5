//! A server that accepts every push at a low and constant cost, so that only the cost of the client grows.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use metrics_push_benches::pushgateway::free_address;
use metrics_push_benches::request::read_request;

/// A port on which a server can listen. It ends with this process.
pub(crate) struct Server {
    address: SocketAddr,
}

impl Server {
    /// Selects a free port. Connections are refused until the server starts.
    pub(crate) fn bind() -> Self {
        Self { address: free_address() }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Listens in the background.
    pub(crate) fn start(&self) {
        let listener = TcpListener::bind(self.address).expect("the port is free");
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || serve(stream));
            }
        });
    }
}

/// Responds to requests until the client closes the connection. The server has no query API.
fn serve(stream: TcpStream) {
    let mut stream = BufReader::new(stream);
    while stream.fill_buf().is_ok_and(|bytes| !bytes.is_empty()) {
        let response: &[u8] = if read_request(&mut stream).starts_with(b"GET") {
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        } else {
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        };
        if stream.get_mut().write_all(response).is_err() {
            return;
        }
    }
}
