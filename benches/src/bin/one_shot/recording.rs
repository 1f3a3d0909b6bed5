//! The requests that a job makes, byte for byte.

use std::fs;
use std::io::{BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use metrics_push_benches::request::read_request;

/// Runs a job that works for so long that its start and its end are requests of their own; the files they are in.
pub(crate) fn record(program: &Path, work: &str, folder: &Path) -> [PathBuf; 2] {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("a port"));
    let mut job = Command::new(program)
        .arg(work)
        .env_clear()
        .envs([("METRICS_PUSH_URL", &*url), ("METRICS_PUSH_STATE_DIR", "off")])
        .spawn()
        .unwrap_or_else(|why| panic!("{}: {why}; run this with `build` first", program.display()));
    let (stream, _) = listener.accept().expect("a job that connects");
    let mut stream = BufReader::new(stream);
    let files = ["start", "end"].map(|name| folder.join(name));
    for file in &files {
        fs::write(file, read_request(&mut stream)).expect("a folder of ours");
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        stream.get_mut().write_all(answer).expect("a job that listens");
    }
    assert!(job.wait().expect("a child").success());
    files
}

/// The body of a request in a file.
pub(crate) fn body_of(file: &Path) -> Vec<u8> {
    let request = fs::read(file).expect("a recorded request");
    let head = request.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a whole head");
    request[head + 4..].to_owned()
}
