//! What happens when the process ends: parcels that still wait are delivered first.
//!
//! This is one of the files with `unsafe` code: registering an exit handler is a call into C.

use once_cell::sync::OnceCell;

use crate::config::Deployment;
use crate::courier::courier;
use crate::notice;

#[expect(unsafe_code, reason = "a call into C")]
/// Makes sure that the process does not end before its parcels are delivered, or their time is over.
pub(crate) fn deliver_before_exit() {
    static REGISTERED: OnceCell<()> = OnceCell::new();
    REGISTERED.get_or_init(|| {
        // SAFETY: `deliver` has the signature the C standard asks for, lives as long as the program, and never unwinds.
        if unsafe { libc::atexit(deliver) } != 0 {
            notice::debug(
                "no exit handler could be registered: only runs that wait are sure to be delivered",
            );
        }
    });
}

/// Runs on whichever thread ends the process; the courier's thread is still alive then.
extern "C" fn deliver() {
    // A panic must not cross into C, and here nobody could be told of one.
    let _ = std::panic::catch_unwind(|| {
        let left = courier().flush(Deployment::of_process().timeout);
        if left > 0 {
            notice::warn(format_args!("the process ends with {left} groups not delivered in time"));
        }
    });
}
