//! A task that is called again while it runs. The overlapping call skips its work and is reported as `skipped`.

use metrics_push::{Run, push_job};
use tokio::sync::{Mutex, Semaphore};

static LOCK: Mutex<()> = Mutex::const_new(());

/// Closed by the first call that skips. A backup waits until then, so that an overlap happens on machines of any speed.
static OVERLAP: Semaphore = Semaphore::const_new(0);

/// `on_success = add` leaves the time of the last skip in the group. By default, a success replaces the group.
#[push_job(every = "24h", run = run, on_success = add)]
pub(crate) async fn backup() {
    match LOCK.try_lock() {
        Ok(_guard) => copy(run).await,
        Err(_) => {
            run.skip("the previous backup is still running");
            OVERLAP.close();
        }
    }
}

async fn copy(run: &Run) {
    let _stage = run.stage("copy");
    wait_for_overlap().await;
    run.add_processed(1);
}

/// Waits until a call of [`backup`] has skipped its work.
pub(crate) async fn wait_for_overlap() {
    // The semaphore has no permits, so this returns an error when it is closed.
    let _ = OVERLAP.acquire().await;
}
