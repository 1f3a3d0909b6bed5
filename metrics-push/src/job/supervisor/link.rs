//! `Link`: the socket between a supervised job and its supervisor.
//!
//! The job writes the lines of its journal to the socket: one per start, completion and acknowledgement. The supervisor
//! therefore gets the active runs even if no file can be written. Before the supervisor ends a job that exceeds its
//! maximum runtime, it writes one byte to the socket.
//!
//! The job inherits the socket. Before each use it checks that the descriptor still refers to the socket, because the
//! program may have closed it and opened a file in its place.
//!
//! The unsafe code of this file calls C functions for a descriptor that no value owns.

use std::ffi::c_int;
use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::mem::{ManuallyDrop, MaybeUninit};
use std::os::fd::{AsRawFd as _, FromRawFd as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, parent_id};
use std::process::Command;
use std::str::FromStr;
use std::sync::OnceLock;
use std::time::Duration;

use crate::job::journal::line::Line;
use crate::sync::Mutex;

/// The environment variable with the [`Address`] of the socket.
pub(in crate::job) const VARIABLE: &str = crate::config::SUPERVISOR_VARIABLE;

/// The byte that the supervisor writes before it ends a job that exceeds its maximum runtime.
const TIMEOUT_MARK: u8 = b'T';

/// How long a line waits for a supervisor that does not read. Later lines do not wait until it reads again.
const SEND_TIMEOUT: Duration = Duration::from_millis(100);

/// The maximum size of the lines that wait for a supervisor that does not read.
const MAX_UNSENT: usize = 16 << 20;

/// The line in place of lines that are not sent. The supervisor then removes all tasks, because some of them may have
/// ended.
pub(super) const LOST: &str = "lost\n";

/// The line about the end of the run of the whole process. It precedes the line with the outcome, which waits for the start
/// and the collectors.
pub(super) const ENDING: &str = "ending\n";

/// The lowest descriptor of the socket in the job, so that the low ones stay free for the program.
const MIN_DESCRIPTOR: c_int = 100;

/// The identity of a socket, as the system reports it.
type SocketId = (libc::dev_t, libc::ino_t);

/// The value of the variable: where the job finds the socket.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Address {
    /// The id of the supervisor. Children of the job inherit the variable, but have another parent.
    process: u32,
    descriptor: c_int,
    socket: SocketId,
    /// The file in the journal's folder that is locked while the supervisor lives, if there is one.
    file: Option<String>,
}

impl Address {
    /// Returns the address of a socket that a child of this process inherits.
    fn new(socket: &UnixStream, file: Option<String>) -> io::Result<Self> {
        let descriptor = socket.as_raw_fd();
        let id = socket_id(descriptor).ok_or_else(io::Error::last_os_error)?;
        Ok(Self { process: std::process::id(), descriptor, socket: id, file })
    }

    fn is_of_this_process(&self) -> bool {
        self.process == parent_id() && socket_id(self.descriptor) == Some(self.socket)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (device, inode) = self.socket;
        write!(f, "{}:{}:{device}:{inode}", self.process, self.descriptor)?;
        self.file.iter().try_for_each(|file| write!(f, ":{file}"))
    }
}

impl FromStr for Address {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        fn number<T: FromStr>(part: Option<&str>) -> Result<T, ()> {
            part.and_then(|part| part.parse().ok()).ok_or(())
        }
        let mut parts = text.splitn(5, ':');
        Ok(Self {
            process: number(parts.next())?,
            descriptor: number(parts.next())?,
            socket: (number(parts.next())?, number(parts.next())?),
            file: parts.next().map(str::to_owned),
        })
    }
}

/// The job's end of the socket.
#[derive(Debug)]
pub(in crate::job) struct Link {
    socket: SocketId,
    /// The supervisor's file in the journal's folder.
    pub(in crate::job) file: Option<String>,
    state: Mutex<LinkState>,
}

#[derive(Debug)]
struct LinkState {
    /// Never closed: the program may have closed the descriptor and opened another file in its place.
    stream: ManuallyDrop<UnixStream>,
    /// The lines that are not sent yet.
    unsent: Vec<u8>,
    /// The supervisor does not read, so lines do not wait for it.
    is_lagging: bool,
    /// The supervisor has written [`TIMEOUT_MARK`].
    has_timeout_mark: bool,
}

/// The link of a process that is a copy of its supervisor.
static COPIED: OnceLock<Link> = OnceLock::new();

/// Returns the link if this process is supervised.
pub(in crate::job) fn link() -> Option<&'static Link> {
    static LINK: OnceLock<Option<Link>> = OnceLock::new();
    let connect = || {
        let address: Address = std::env::var(VARIABLE).ok()?.parse().ok()?;
        let stream = address.is_of_this_process().then(|| take_descriptor(address.descriptor))?;
        Some(Link::new(stream, address.socket, address.file))
    };
    COPIED.get().or_else(|| LINK.get_or_init(connect).as_ref())
}

/// Returns true if this process is a copy of its supervisor, which pushes everything.
pub(in crate::job) fn is_copy() -> bool {
    COPIED.get().is_some()
}

/// Uses this socket as the link of this process, which is a copy of its supervisor.
pub(super) fn set_copied(socket: UnixStream, file: Option<String>) {
    if let Some(id) = socket_id(socket.as_raw_fd()) {
        let _ = COPIED.set(Link::new(socket, id, file));
    }
}

/// Tells the supervisor that the run of the whole process has ended, so that `max_runtime` no longer applies.
pub(in crate::job) fn announce_end() {
    if let Some(link) = link() {
        link.send_text(ENDING);
    }
}

/// Returns true if the supervisor is ending this job because it exceeds its maximum runtime.
pub(in crate::job) fn is_killing() -> bool {
    link().is_some_and(Link::has_timeout_mark)
}

impl Link {
    fn new(stream: UnixStream, socket: SocketId, file: Option<String>) -> Self {
        let stream = ManuallyDrop::new(stream);
        let _ = stream.set_write_timeout(Some(SEND_TIMEOUT));
        // A read timeout of zero is an error.
        let _ = stream.set_read_timeout(Some(Duration::from_millis(1)));
        let state =
            LinkState { stream, unsent: Vec::new(), is_lagging: false, has_timeout_mark: false };
        Self { socket, file, state: Mutex::new(state) }
    }

    /// Sends a line to the supervisor. If the supervisor is stopped, the line is sent with a later one.
    pub(in crate::job) fn send(&self, line: &Line) {
        self.send_text(&line.to_text());
    }

    fn send_text(&self, line: &str) {
        let mut state = self.state.lock();
        if self.is_open(&state) {
            state.push(line);
            state.flush();
        }
    }

    fn has_timeout_mark(&self) -> bool {
        let mut state = self.state.lock();
        let mut mark = [0];
        if !state.has_timeout_mark && self.is_open(&state) {
            let is_read = matches!(state.stream.read(&mut mark), Ok(1));
            state.has_timeout_mark = is_read && mark == [TIMEOUT_MARK];
        }
        state.has_timeout_mark
    }

    fn is_open(&self, state: &LinkState) -> bool {
        socket_id(state.stream.as_raw_fd()) == Some(self.socket)
    }
}

impl LinkState {
    /// Appends a line. If too many lines are unsent, sends [`LOST`] instead of all later ones.
    fn push(&mut self, line: &str) {
        if self.unsent.len() + line.len() <= MAX_UNSENT {
            self.unsent.extend_from_slice(line.as_bytes());
        } else if !self.unsent.ends_with(LOST.as_bytes()) {
            self.unsent.extend_from_slice(LOST.as_bytes());
        }
    }

    fn flush(&mut self) {
        let mut sent = 0;
        while sent < self.unsent.len() {
            match self.stream.write(&self.unsent[sent..]) {
                Ok(length @ 1..) => {
                    sent += length;
                    self.set_lagging(false);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => {
                    self.set_lagging(true);
                    break;
                }
            }
        }
        self.unsent.drain(..sent);
    }

    fn set_lagging(&mut self, is_lagging: bool) {
        if self.is_lagging != is_lagging {
            self.is_lagging = is_lagging;
            let _ = self.stream.set_nonblocking(is_lagging);
        }
    }
}

/// Writes to the job that it exceeds its maximum runtime.
pub(super) fn send_timeout_mark(mut job: &UnixStream) {
    let _ = job.write(&[TIMEOUT_MARK]);
}

/// Lets the child of a command inherit the job's end of the socket and find it.
#[expect(unsafe_code, reason = "code between fork and exec")]
pub(super) fn pass_to(
    command: &mut Command,
    socket: &UnixStream,
    file: Option<String>,
) -> io::Result<()> {
    command.env(VARIABLE, Address::new(socket, file)?.to_string());
    let descriptor = socket.as_raw_fd();
    // SAFETY: the closure makes one system call and does not allocate.
    unsafe { command.pre_exec(move || make_inheritable(descriptor)) };
    Ok(())
}

/// Lets the child that is about to be executed inherit the descriptor. This is async-signal-safe.
#[expect(unsafe_code, reason = "a call into C")]
fn make_inheritable(descriptor: c_int) -> io::Result<()> {
    // SAFETY: the call takes only integers and changes a flag of a descriptor that the caller owns.
    if unsafe { libc::fcntl(descriptor, libc::F_SETFD, 0) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Takes an inherited descriptor, so that no program that this one executes inherits it in turn. Moves it to a high
/// number if possible.
#[expect(unsafe_code, reason = "calls into C")]
fn take_descriptor(descriptor: c_int) -> UnixStream {
    // SAFETY: the calls take only integers. The descriptor is that of the inherited socket, and no other value uses it.
    unsafe {
        let moved = libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, MIN_DESCRIPTOR);
        if moved < 0 {
            libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC);
            return UnixStream::from_raw_fd(descriptor);
        }
        libc::close(descriptor);
        UnixStream::from_raw_fd(moved)
    }
}

/// Returns the identity of a socket; `None` if the descriptor is closed or is not a socket.
#[expect(unsafe_code, reason = "a call into C")]
fn socket_id(descriptor: c_int) -> Option<SocketId> {
    let mut found = MaybeUninit::<libc::stat>::zeroed();
    // SAFETY: the call writes to a live local. An all-zero `stat` is valid.
    let (result, found) =
        unsafe { (libc::fstat(descriptor, found.as_mut_ptr()), found.assume_init()) };
    let is_socket = result == 0 && found.st_mode & libc::S_IFMT == libc::S_IFSOCK;
    is_socket.then_some((found.st_dev, found.st_ino))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_reads_what_it_writes() {
        let (socket, _other) = UnixStream::pair().unwrap();
        for file in [None, Some("000:1-2.supervisor".to_owned())] {
            let address = Address::new(&socket, file).unwrap();
            assert_eq!(address.to_string().parse(), Ok(address));
        }
        for invalid in ["", "1", "1:2:3", "a:2:3:4", "/var/lib/journal/1-2.supervisor"] {
            assert_eq!(invalid.parse::<Address>(), Err(()), "{invalid:?}");
        }
    }

    #[test]
    fn address_of_another_process_or_socket_is_not_used() {
        let (socket, other) = UnixStream::pair().unwrap();
        let mut address = Address::new(&socket, None).unwrap();
        assert!(!address.is_of_this_process(), "this process is not a child of itself");
        address.process = parent_id();
        assert!(address.is_of_this_process());
        address.descriptor = other.as_raw_fd();
        assert!(!address.is_of_this_process());
        address.descriptor = -1;
        assert!(!address.is_of_this_process());
    }
}
