//! `write_within`: writes to a stream with a timeout. A write to a full pipe blocks until a process reads the pipe.

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
