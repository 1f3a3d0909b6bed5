//! `spawn`: starts a thread of this crate.

use std::io;
use std::thread::Builder;

/// Starts a thread with this name.
///
/// # Errors
/// If the system cannot start the thread. `body` is then dropped.
pub(crate) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    // Boxed, so that the code that starts a thread is compiled only once.
    let body: Box<dyn FnOnce() + Send> = Box::new(body);
    Builder::new().name(name.to_owned()).spawn(body).map(drop)
}
