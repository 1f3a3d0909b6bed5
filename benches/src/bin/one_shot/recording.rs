//! Records the requests of a job, byte for byte.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use metrics_push_benches::pushgateway::free_address;
use metrics_push_benches::server::Server;

/// Runs a job that works long enough to send its start and its completion as two requests. Returns the files with the
/// requests.
pub(crate) fn record(program: &Path, work: &str, folder: &Path) -> [PathBuf; 2] {
    let server = Server::record(free_address());
    let status = Command::new(program)
        .arg(work)
        .env_clear()
        .envs([("METRICS_PUSH_URL", &*server.url()), ("METRICS_PUSH_STATE_DIR", "off")])
        .status()
        .unwrap_or_else(|error| {
            panic!("{}: {error}; run this bench with `build` first", program.display())
        });
    assert!(status.success());
    let requests = server.into_pushes();
    let files = ["start", "completion"].map(|name| folder.join(name));
    assert_eq!(requests.len(), files.len(), "the start and the completion");
    for (file, request) in files.iter().zip(requests) {
        fs::write(file, request).expect("the folder is writable");
    }
    files
}

/// Returns the body of a recorded request.
pub(crate) fn body_of(file: &Path) -> Vec<u8> {
    let request = fs::read(file).expect("the request is recorded");
    let head =
        request.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("the head is complete");
    request[head + 4..].to_owned()
}
