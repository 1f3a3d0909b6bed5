//! A job that sends itself a signal as the last action of `main`.

use metrics_push::push_job;

#[push_job]
#[expect(unsafe_code, reason = "`raise` is a C function")]
fn main() {
    // SAFETY: `raise` has no preconditions. Without a handler it does not return.
    unsafe { libc::raise(libc::SIGTERM) };
}
