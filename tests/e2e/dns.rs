//! Host names: the system's resolver looks up the gateway, and a name server that the test runs responds.
//!
//! The job runs in a mount namespace with another `/etc/resolv.conf`, which requires root.

use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use metrics_push::testing::FakeGateway;

use crate::child::{FinishedJob, JobCommand, PanicStrategy, job};
use crate::programs::{command, program};
use crate::state_dir::StateDir;

/// How a name server responds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behaviour {
    Silent,
    /// Responds with an error code `times` times, and then with `127.0.0.1`.
    ErrorFirst {
        code: u8,
        times: usize,
    },
}

const SERVFAIL: u8 = 2;
const NXDOMAIN: u8 = 3;

/// A name server on a thread, stopped on drop.
struct NameServer {
    address: String,
    queries: Arc<AtomicUsize>,
    is_stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl NameServer {
    /// Starts a name server with its own address, because resolvers use port 53 only.
    fn start(behaviour: Behaviour) -> Self {
        let (socket, address) = (1..=254)
            .find_map(|last| {
                let address = format!("127.53.{}.{last}", std::process::id() % 250);
                UdpSocket::bind((address.as_str(), 53)).ok().map(|socket| (socket, address))
            })
            .expect("run this test as root: the name server needs port 53");
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let (queries, is_stopped) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let (count, stopped) = (Arc::clone(&queries), Arc::clone(&is_stopped));
        let thread = std::thread::spawn(move || {
            let mut query = [0; 512];
            while !stopped.load(Ordering::Relaxed) {
                let Ok((length, client)) = socket.recv_from(&mut query) else { continue };
                let before = count.fetch_add(1, Ordering::Relaxed);
                if let Some(response) = response(behaviour, before, &query[..length]) {
                    socket.send_to(&response, client).unwrap();
                }
            }
        });
        Self { address, queries, is_stopped, thread: Some(thread) }
    }

    /// Writes a configuration for resolvers that query this server once, with a long timeout.
    fn resolv_conf(&self, state: &StateDir) -> PathBuf {
        let file = state.path().join("resolv.conf");
        let text = format!("nameserver {}\noptions timeout:30 attempts:1\n", self.address);
        std::fs::write(&file, text).unwrap();
        file
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        let _ = self.thread.take().unwrap().join();
    }
}

/// Returns the response to a query. The server has received `before` other queries.
fn response(behaviour: Behaviour, before: usize, query: &[u8]) -> Option<Vec<u8>> {
    let Behaviour::ErrorFirst { code, times } = behaviour else { return None };
    // Resolvers query types A and AAAA; the name has only an address of type A.
    let wants_address = query.windows(5).any(|five| five == [0, 0, 1, 0, 1]);
    let (code, answers) = if before < times { (code, 0) } else { (0, u8::from(wants_address)) };
    let end = query[12..].iter().position(|byte| *byte == 0)? + 12 + 5;
    let mut response = query[..2].to_vec();
    response.extend([0x81, 0x80 | code, 0, 1, 0, answers, 0, 0, 0, 0]);
    response.extend(&query[12..end]);
    if answers == 1 {
        response.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1]);
    }
    Some(response)
}

/// Returns the command of a job that uses this name server.
fn with_name_server(server: &NameServer, state: &StateDir, command: JobCommand) -> JobCommand {
    let file = server.resolv_conf(state);
    let script = "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"";
    command.within(&["unshare", "--mount", "sh", "-c", script, file.to_str().unwrap()])
}

fn failing_job(url: &str, state: &StateDir, timeout: &str) -> JobCommand {
    job(PanicStrategy::Unwind, &["err"])
        .gateway(url)
        .variable("METRICS_PUSH_STATE_DIR", state.path())
        .variable("METRICS_PUSH_TIMEOUT", timeout)
}

fn bare() -> FinishedJob {
    job(PanicStrategy::Unwind, &["err"]).run_to_end()
}

fn pending(state: &StateDir) -> usize {
    let Ok(entries) = std::fs::read_dir(state.path().join("spool")) else { return 0 };
    entries
        .filter(|e| e.as_ref().unwrap().path().extension().is_some_and(|x| x == "request"))
        .count()
}

#[test]
fn silent_name_server_does_not_exceed_the_timeout() {
    let (server, state) = (NameServer::start(Behaviour::Silent), StateDir::new());
    let started = Instant::now();
    let command = failing_job("http://gateway.example:9091", &state, "1s");
    let ended = with_name_server(&server, &state, command).run_to_end();
    // The resolver would wait for half a minute.
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    ended.assert_same_as(&bare());
    assert!(server.queries.load(Ordering::Relaxed) > 0, "no query: {ended:?}");
    assert_eq!(pending(&state), 1, "{ended:?}");
    assert!(ended.log_lines[0].contains("did not respond in time"), "{ended:?}");
}

#[test]
fn failed_lookup_is_retried() {
    for code in [SERVFAIL, NXDOMAIN] {
        // Each attempt sends a query for each of the two address families.
        let server = NameServer::start(Behaviour::ErrorFirst { code, times: 4 });
        let (gateway, state) = (FakeGateway::start(), StateDir::new());
        let url = gateway.url().replace("127.0.0.1", "gateway.example");
        let ended =
            with_name_server(&server, &state, failing_job(&url, &state, "20s")).run_to_end();
        ended.assert_same_as(&bare());
        let group = gateway.group("ending", &[]);
        let attempts = group.value("batch_job_push_attempts", &[]);
        assert!(attempts > 1.0, "code {code}: {attempts} attempts, {ended:?}");
        assert_eq!(group.value("batch_job_last_run_success", &[]), 0.0, "code {code}");
        assert_eq!(pending(&state), 0, "code {code}: {ended:?}");
    }
}

#[test]
fn lookup_failures_are_classified() {
    let always = |code| Behaviour::ErrorFirst { code, times: usize::MAX };
    for (behaviour, expected) in [
        (Behaviour::Silent, "timeout true, unreachable false, retryable true"),
        (always(SERVFAIL), "timeout false, unreachable true, retryable true"),
        (always(NXDOMAIN), "timeout false, unreachable true, retryable true"),
    ] {
        let (server, state) = (NameServer::start(behaviour), StateDir::new());
        let script = "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"";
        let started = Instant::now();
        let output = command("unshare")
            .args(["--mount", "sh", "-c", script])
            .arg(server.resolv_conf(&state))
            .arg(program("push"))
            .args(["http://gateway.example:9091", "1s"])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(expected), "{behaviour:?}: {output:?}");
    }
}

/// The system refuses threads of a user who is not root and has reached the limit of processes.
#[test]
fn outcome_is_logged_as_lost_if_the_system_refuses_threads() {
    const USER: &str = "64321";
    let gateway = FakeGateway::start();
    // The folder of the original may be closed to that user.
    let ending = std::env::temp_dir().join(format!("metrics-push-ending-{}", std::process::id()));
    std::fs::copy(program("ending"), &ending).unwrap();
    // Of one thread, the dispatcher is refused the second. Of two, the look-up is refused the third.
    for limit in ["--nproc=1", "--nproc=2"] {
        let mut job = command("setpriv");
        job.args(["--reuid", USER, "--regid", USER, "--clear-groups", "--bounding-set=-all"]);
        job.args(["prlimit", limit]).arg(&ending).arg("ok");
        job.env("METRICS_PUSH_URL", gateway.url().replace("127.0.0.1", "localhost"));
        let output = job.env("METRICS_PUSH_TIMEOUT", "1s").output().unwrap();
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{limit}: {log}");
        assert!(log.contains(r#"the outcome of {job="ending"} is"#), "{limit}: {log}");
        assert!(!log.contains("panicked"), "{limit}: {log}");
    }
    std::fs::remove_file(ending).unwrap();
}
