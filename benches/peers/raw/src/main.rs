//! The lower bound: sends recorded requests over one socket, with a pause before each request but the first.
//!
//! `raw ADDRESS MILLISECONDS FILE...`; without arguments it does nothing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [address, pause, files @ ..] = &arguments[..] else { return };
    let pause = Duration::from_millis(pause.parse().unwrap());
    let mut stream = TcpStream::connect(address).unwrap();
    for (number, file) in files.iter().enumerate() {
        if number > 0 && !pause.is_zero() {
            std::thread::sleep(pause);
        }
        stream.write_all(&std::fs::read(file).unwrap()).unwrap();
        let mut response = [0; 1024];
        let length = stream.read(&mut response).unwrap();
        assert!(response[..length].starts_with(b"HTTP/1.1 200"));
    }
}
