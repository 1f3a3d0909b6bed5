//! `OutputCopy`: copies what the job writes to stderr to the stderr of the supervisor, and stores the last lines.
//!
//! A thread copies, so that a terminal that does not read delays neither signals nor the report.

use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _, pipe};
use std::net::Shutdown;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use super::signal_forwarding::poll;
use crate::job::failure_reason::MAX_SOURCE_SIZE;
use crate::job::posix_signals::with_signals_blocked;
use crate::oneshot::{self, Receiver};
use crate::sync::Mutex;
use crate::threads;

/// How long the supervisor waits for a reader of its stderr after the end of the job.
const COPY_TIMEOUT: Duration = Duration::from_secs(10);

/// The maximum number of bytes that are copied after the end of the job, if a process that it has left writes without a
/// pause. A pipe contains at most 1 MiB.
const MAX_REST_SIZE: usize = 1 << 20;

/// The copy of an output in progress.
pub(super) struct OutputCopy {
    tail: Arc<Mutex<Tail>>,
    /// Closed at the end of the job.
    job_ended: UnixStream,
    copied: Receiver<()>,
}

impl OutputCopy {
    /// Starts to copy what is written to the returned pipe.
    pub(super) fn start(max_lines: usize) -> io::Result<(Self, PipeWriter)> {
        let (output, writer) = pipe()?;
        let (job_ended, ended) = UnixStream::pair()?;
        let (sender, copied) = oneshot::channel();
        let tail = Arc::new(Mutex::new(Tail::new(max_lines)));
        let stored = Arc::clone(&tail);
        let copy = move || {
            copy(output, &ended, &stored);
            sender.send(());
        };
        with_signals_blocked(|| threads::spawn("metrics-push-output", copy))?;
        Ok((Self { tail, job_ended, copied }, writer))
    }

    /// Waits until the output of the job, which has ended, is copied. Returns its last lines.
    pub(super) fn finish(self) -> String {
        let _ = self.job_ended.shutdown(Shutdown::Both);
        self.copied.wait(COPY_TIMEOUT);
        self.tail.lock().last_lines()
    }
}

/// Copies until the last writer closes the pipe, or until the pipe is empty after the end of the job. If stderr has no
/// reader, the pipe is closed, as stderr would be. After another error, such as a full disk, a job that writes to
/// stderr directly would continue, so the pipe stays open.
fn copy(mut output: PipeReader, job_ended: &UnixStream, tail: &Mutex<Tail>) {
    let mut buffer = [0; 8 << 10];
    let mut rest = MAX_REST_SIZE;
    loop {
        let [is_readable, has_ended] = poll([output.as_raw_fd(), job_ended.as_raw_fd()], None);
        if !is_readable && !has_ended {
            continue;
        }
        if has_ended && (!is_readable || rest == 0) {
            return;
        }
        let length = match output.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(length) => length,
        };
        if has_ended {
            rest = rest.saturating_sub(length);
        }
        tail.lock().push(&buffer[..length]);
        let copied = io::stderr().write_all(&buffer[..length]);
        if copied.is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
            return;
        }
    }
}

/// The end of an output.
#[derive(Debug)]
struct Tail {
    max_lines: usize,
    bytes: Vec<u8>,
    /// The bytes lack the start of the output.
    is_cut: bool,
}

impl Tail {
    const fn new(max_lines: usize) -> Self {
        Self { max_lines, bytes: Vec::new(), is_cut: false }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        let excess = self.bytes.len().saturating_sub(MAX_SOURCE_SIZE);
        self.is_cut |= excess > 0;
        self.bytes.drain(..excess);
    }

    /// Returns the last lines. A word whose start is not stored is left out, because it may be a part of a password.
    fn last_lines(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        let whole = match text.split_once(char::is_whitespace) {
            Some((_, whole)) if self.is_cut => whole,
            None if self.is_cut => "",
            _ => &text,
        };
        let lines: Vec<_> = whole.trim_end().lines().collect();
        lines[lines.len().saturating_sub(self.max_lines)..].join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last_lines(max_lines: usize, chunks: &[&str]) -> String {
        let mut tail = Tail::new(max_lines);
        chunks.iter().for_each(|chunk| tail.push(chunk.as_bytes()));
        tail.last_lines()
    }

    #[test]
    fn tail_is_the_last_lines_of_any_chunks() {
        for (max_lines, expected) in [(1, "three"), (2, "two\nthree"), (9, "one\ntwo\nthree")] {
            assert_eq!(last_lines(max_lines, &["one\nt", "wo\nth", "ree\n\n"]), expected);
        }
        assert_eq!(last_lines(3, &[]), "");
    }

    #[test]
    fn tail_of_a_long_output_starts_with_a_whole_word() {
        let long = format!("http://user:{}@host done", "x".repeat(MAX_SOURCE_SIZE));
        assert_eq!(last_lines(5, &[&long]), "done");
        assert_eq!(last_lines(5, &[&"x".repeat(MAX_SOURCE_SIZE + 1)]), "");
        let chunk = "x".repeat(100) + "\n";
        let tail = last_lines(1_000, &vec![&*chunk; 1_000]);
        assert!(tail.len() <= MAX_SOURCE_SIZE && tail.len() > MAX_SOURCE_SIZE - 200);
    }
}
