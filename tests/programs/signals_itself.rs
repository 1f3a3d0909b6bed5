//! A job whose body is a signal to itself: its `main` would return a moment later.

use metrics_push::push_job;

#[push_job]
#[expect(unsafe_code, reason = "a call into C")]
fn main() {
    // SAFETY: a plain call. Without a handler it does not return.
    unsafe { libc::raise(libc::SIGTERM) };
}
