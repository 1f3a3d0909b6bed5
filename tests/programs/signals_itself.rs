//! A job that sends itself a signal just before `main` returns.

use metrics_push::push_job;

#[push_job]
#[expect(unsafe_code, reason = "a call into C")]
fn main() {
    // SAFETY: `raise` has no preconditions.
    unsafe { libc::raise(libc::SIGTERM) };
}
