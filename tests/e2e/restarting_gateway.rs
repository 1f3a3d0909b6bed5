//! A real gateway that tests freeze, stop, kill and restart on the same port.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use metrics_push::Gateway;

use crate::child::send_signal;
use crate::programs::command;

/// Whether a gateway stores its groups on disk when it receives TERM.
#[derive(Clone, Copy)]
enum Persistence {
    OnExit,
    Never,
}

/// A gateway and its temporary directory. Drop kills the gateway and removes the directory.
pub(crate) struct RestartingGateway {
    address: SocketAddr,
    directory: PathBuf,
    persistence: Persistence,
    child: Child,
}

impl RestartingGateway {
    /// Starts a gateway that stores its groups on disk when it receives TERM.
    pub(crate) fn with_persistence() -> Self {
        Self::start(Persistence::OnExit)
    }

    /// Starts a gateway whose groups are lost when it exits.
    pub(crate) fn without_persistence() -> Self {
        Self::start(Persistence::Never)
    }

    fn start(persistence: Persistence) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("metrics-push-restarting-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).unwrap();
        let child = spawn(address, &directory, persistence);
        let gateway = Self { address, directory, persistence, child };
        gateway.wait_until_ready();
        gateway
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A temporary directory, removed when the gateway is dropped.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn freeze(&mut self) {
        send_signal(self.child.id(), "STOP");
    }

    pub(crate) fn thaw(&mut self) {
        send_signal(self.child.id(), "CONT");
    }

    /// Sends TERM and waits until the gateway has exited.
    pub(crate) fn stop(&mut self) {
        send_signal(self.child.id(), "TERM");
        self.child.wait().unwrap();
    }

    pub(crate) fn kill(&mut self) {
        send_signal(self.child.id(), "KILL");
        self.child.wait().unwrap();
    }

    /// Starts the gateway again after it has exited.
    pub(crate) fn restart(&mut self) {
        self.child = spawn(self.address, &self.directory, self.persistence);
    }

    pub(crate) fn wait_until_ready(&self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        let gateway = Gateway::new(self.url()).unwrap().timeout(Duration::from_secs(1));
        while gateway.ready().is_err() {
            assert!(Instant::now() < deadline, "the gateway is not ready after its start");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for RestartingGateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn spawn(address: SocketAddr, directory: &Path, persistence: Persistence) -> Child {
    let binary = "/usr/bin/prometheus-pushgateway";
    let file = match persistence {
        Persistence::OnExit => directory.join("groups").display().to_string(),
        Persistence::Never => String::new(),
    };
    command(binary)
        .arg(format!("--web.listen-address={address}"))
        .arg(format!("--persistence.file={file}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("{binary}: install prometheus-pushgateway: {error}"))
}
