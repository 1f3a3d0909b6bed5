//! Records the requests of a job, byte for byte.

use std::fs;
use std::io::{BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use metrics_push_benches::request::read_request;

/// Runs a job that works long enough to send its start and its completion as two requests. Returns the files with the
/// requests.
pub(crate) fn record(program: &Path, work: &str, folder: &Path) -> [PathBuf; 2] {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("a free port"));
    let mut job = Command::new(program)
        .arg(work)
        .env_clear()
        .envs([("METRICS_PUSH_URL", &*url), ("METRICS_PUSH_STATE_DIR", "off")])
        .spawn()
        .unwrap_or_else(|error| {
            panic!("{}: {error}; run this bench with `build` first", program.display())
        });
    let (stream, _) = listener.accept().expect("the job connects");
    let mut stream = BufReader::new(stream);
    let files = ["start", "completion"].map(|name| folder.join(name));
    for file in &files {
        fs::write(file, read_request(&mut stream)).expect("the folder is writable");
        let response = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        stream.get_mut().write_all(response).expect("the job reads the response");
    }
    assert!(job.wait().expect("the job can be waited for").success());
    files
}

/// Returns the body of a recorded request.
pub(crate) fn body_of(file: &Path) -> Vec<u8> {
    let request = fs::read(file).expect("the request is recorded");
    let head =
        request.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("the head is complete");
    request[head + 4..].to_owned()
}
