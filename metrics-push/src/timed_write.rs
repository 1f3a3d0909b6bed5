//! `write_within`: writes to a stream with a timeout. A write to a full pipe or terminal blocks until a process reads it.

use std::io::{self, Write};
use std::time::Duration;

use crate::clock::Moment;
use crate::file_size::write_within_limit;

/// `PIPE_BUF`: a pipe that `poll` reports as writable accepts this many bytes without blocking. POSIX guarantees 512.
#[cfg(unix)]
const MAX_WRITE_SIZE: usize = if cfg!(target_os = "linux") { 4096 } else { 512 };

/// Writes all bytes, or fails if the stream accepts nothing for `timeout`.
#[cfg(unix)]
pub(crate) fn write_within(
    mut stream: impl Write + std::os::fd::AsFd,
    bytes: &[u8],
    timeout: Duration,
) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    if let Some(terminal) = reopen_terminal(&stream) {
        return write_without_blocking(terminal, bytes, timeout);
    }
    for part in bytes.chunks(MAX_WRITE_SIZE) {
        if !is_writable_within(&stream, timeout) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        write_within_limit(&mut stream, part)?;
    }
    Ok(())
}

/// Returns false if a write would block for `timeout`. A write to a closed stream fails at once.
#[cfg(unix)]
fn is_writable_within(stream: impl std::os::fd::AsFd, timeout: Duration) -> bool {
    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::io::retry_on_intr;

    let deadline = Moment::now().after(timeout);
    let mut streams = [PollFd::new(&stream, PollFlags::OUT)];
    // A signal that interrupts `poll` does not extend the time.
    let poll = || poll(&mut streams, deadline.remaining().try_into().ok().as_ref());
    retry_on_intr(poll) != Ok(0)
}

/// Opens the terminal again in non-blocking mode. `poll` is not enough: it reports a terminal as writable even if only a part
/// of the line fits. Setting the flag on the stream itself would affect other processes.
///
/// Returns `None` for other streams, and if the terminal cannot be opened again: it belongs to another user, is in exclusive
/// mode, or `/proc` is not mounted. A write to it can block.
#[cfg(target_os = "linux")]
fn reopen_terminal(stream: &impl std::os::fd::AsFd) -> Option<std::fs::File> {
    use std::io::IsTerminal as _;
    use std::os::fd::AsRawFd as _;

    use rustix::fs::{Mode, OFlags, fstat, major, open};

    /// Of devices that stand for another terminal, such as `/dev/tty`, or become a new one, such as `/dev/ptmx`.
    const INDIRECT_MAJOR: u32 = 5;

    let stream = stream.as_fd();
    if !stream.is_terminal() {
        return None;
    }
    let device = fstat(stream).ok().filter(|stat| major(stat.st_rdev) != INDIRECT_MAJOR)?;
    let path = format!("/proc/self/fd/{}", stream.as_raw_fd());
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let terminal = open(path, flags, Mode::empty()).ok()?;
    // Another thread may have replaced the stream.
    let opened = fstat(&terminal).ok()?;
    let is_same = (opened.st_dev, opened.st_ino) == (device.st_dev, device.st_ino);
    is_same.then(|| terminal.into())
}

#[cfg(target_os = "linux")]
fn write_without_blocking(
    mut terminal: impl Write,
    mut bytes: &[u8],
    timeout: Duration,
) -> io::Result<()> {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};

    const POLL_INTERVAL: Duration = Duration::from_millis(10);

    let mut deadline = Moment::now().after(timeout);
    while !bytes.is_empty() {
        match terminal.write(bytes) {
            Ok(written @ 1..) => {
                bytes = &bytes[written..];
                deadline = Moment::now().after(timeout);
            }
            Err(error) if !matches!(error.kind(), WouldBlock | Interrupted) => return Err(error),
            _ if deadline.remaining().is_zero() => return Err(TimedOut.into()),
            _ => std::thread::sleep(POLL_INTERVAL),
        }
    }
    Ok(())
}

/// On other platforms, the time of a write is not limited.
#[cfg(not(unix))]
pub(crate) fn write_within(stream: impl Write, bytes: &[u8], _: Duration) -> io::Result<()> {
    write_within_limit(stream, bytes)
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn write_to_a_full_pipe_fails_until_it_is_read() {
        let (mut reader, writer) = io::pipe().unwrap();
        let bytes = [b'x'; MAX_WRITE_SIZE + 1];
        let write = || write_within(&writer, &bytes, Duration::ZERO);
        let error = (0..).find_map(|_| write().err()).unwrap();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(write().is_err());
        reader.read_exact(&mut vec![0; bytes.len()]).unwrap();
        write().unwrap();
    }

    #[test]
    fn write_without_a_reader_returns_its_error() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let error = write_within(&writer, b"line", Duration::MAX).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
