//! Names: a job whose gateway has to be looked up, with the machine's own resolver and a name server of the test's.
//!
//! The job sees another `/etc/resolv.conf` than the machine: it runs in a mount namespace of its own, which takes root.

use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use metrics_push::testing::FakeGateway;

use crate::child::{Ended, Panics, Start, job};
use crate::programs::{command, program};
use crate::state_dir::StateDir;

/// What a name server says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    Nothing,
    /// This error code to as many questions, and `127.0.0.1` to those after.
    ErrorFirst {
        code: u8,
        times: usize,
    },
}

const SERVFAIL: u8 = 2;
const NXDOMAIN: u8 = 3;

struct NameServer {
    address: String,
    asked: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl NameServer {
    /// Resolvers ask port 53 alone, so each server has an address of its own.
    fn start(says: Says) -> Self {
        let (socket, address) = (1..=254)
            .find_map(|last| {
                let address = format!("127.53.{}.{last}", std::process::id() % 250);
                UdpSocket::bind((address.as_str(), 53)).ok().map(|socket| (socket, address))
            })
            .expect("run this test as root: a name server has port 53");
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let (asked, is_over) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let (count, end) = (Arc::clone(&asked), Arc::clone(&is_over));
        let thread = std::thread::spawn(move || {
            let mut question = [0; 512];
            while !end.load(Ordering::Relaxed) {
                let Ok((length, asker)) = socket.recv_from(&mut question) else { continue };
                let before = count.fetch_add(1, Ordering::Relaxed);
                if let Some(answer) = answer(says, before, &question[..length]) {
                    socket.send_to(&answer, asker).unwrap();
                }
            }
        });
        Self { address, asked, is_over, thread: Some(thread) }
    }

    /// A resolver that asks this server once, and waits long for it.
    fn resolv_conf(&self, state: &StateDir) -> PathBuf {
        let file = state.path().join("resolv.conf");
        let text = format!("nameserver {}\noptions timeout:30 attempts:1\n", self.address);
        std::fs::write(&file, text).unwrap();
        file
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let _ = self.thread.take().unwrap().join();
    }
}

/// The answer to the question that came after so many others.
fn answer(says: Says, before: usize, question: &[u8]) -> Option<Vec<u8>> {
    let Says::ErrorFirst { code, times } = says else { return None };
    // Type A; the other one that is asked for is AAAA, of which there is none.
    let wants_address = question.windows(5).any(|five| five == [0, 0, 1, 0, 1]);
    let (code, answers) = if before < times { (code, 0) } else { (0, u8::from(wants_address)) };
    let end = question[12..].iter().position(|byte| *byte == 0)? + 12 + 5;
    let mut answer = question[..2].to_vec();
    answer.extend([0x81, 0x80 | code, 0, 1, 0, answers, 0, 0, 0, 0]);
    answer.extend(&question[12..end]);
    if answers == 1 {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, 1]);
    }
    Some(answer)
}

/// The job, asking this name server.
fn asking(server: &NameServer, state: &StateDir, start: Start) -> Start {
    let file = server.resolv_conf(state);
    let script = "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"";
    start.within(&["unshare", "--mount", "sh", "-c", script, file.to_str().unwrap()])
}

fn fails(url: &str, state: &StateDir, timeout: &str) -> Start {
    job(Panics::Unwind, &["err"])
        .gateway(url)
        .variable("METRICS_PUSH_STATE_DIR", state.path())
        .variable("METRICS_PUSH_TIMEOUT", timeout)
}

fn bare() -> Ended {
    job(Panics::Unwind, &["err"]).run_to_end()
}

fn waiting(state: &StateDir) -> usize {
    let Ok(entries) = std::fs::read_dir(state.path().join("spool")) else { return 0 };
    entries
        .filter(|e| e.as_ref().unwrap().path().extension().is_some_and(|x| x == "request"))
        .count()
}

#[test]
fn a_name_server_that_never_answers_does_not_outlast_the_budget() {
    let (server, state) = (NameServer::start(Says::Nothing), StateDir::new());
    let started = Instant::now();
    let start = fails("http://gateway.example:9091", &state, "1s");
    let ended = asking(&server, &state, start).run_to_end();
    // The resolver itself would have taken half a minute.
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    ended.assert_same_as(&bare());
    assert!(server.asked.load(Ordering::Relaxed) > 0, "nobody asked: {ended:?}");
    assert_eq!(waiting(&state), 1, "{ended:?}");
    assert!(ended.notices[0].contains("did not answer in time"), "{ended:?}");
}

#[test]
fn a_name_that_is_not_known_at_first_is_asked_for_again() {
    for code in [SERVFAIL, NXDOMAIN] {
        // A question for each of two address families, and again with each attempt.
        let server = NameServer::start(Says::ErrorFirst { code, times: 6 });
        let (gateway, state) = (FakeGateway::start(), StateDir::new());
        let url = gateway.url().replace("127.0.0.1", "gateway.example");
        let ended = asking(&server, &state, fails(&url, &state, "20s")).run_to_end();
        ended.assert_same_as(&bare());
        let group = gateway.group("ending", &[]);
        let attempts = group.value("batch_job_push_attempts", &[]);
        assert!(attempts > 1.0, "code {code}: {attempts} attempts, {ended:?}");
        assert_eq!(group.value("batch_job_last_run_success", &[]), 0.0, "code {code}");
        assert_eq!(waiting(&state), 0, "code {code}: {ended:?}");
    }
}

#[test]
fn what_name_servers_do_is_told_by_its_kind() {
    let always = |code| Says::ErrorFirst { code, times: usize::MAX };
    for (says, told) in [
        (Says::Nothing, "timeout true, unreachable false, retryable true"),
        (always(SERVFAIL), "timeout false, unreachable true, retryable true"),
        (always(NXDOMAIN), "timeout false, unreachable true, retryable true"),
    ] {
        let (server, state) = (NameServer::start(says), StateDir::new());
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
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(told), "{says:?}: {output:?}");
    }
}
